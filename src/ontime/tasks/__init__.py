"""What is asked of a model: whether an event happens, which of several classes, or a number."""
