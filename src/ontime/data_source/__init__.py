"""A table of your own in place of the default data set, and the new content of a data source."""
