"""From raw tables to the training, validation and test rows."""
