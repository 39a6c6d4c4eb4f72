"""What is asked of a model: whether an event happens, or a number."""
