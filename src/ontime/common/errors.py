"""The one exception whose text is meant for the person at the terminal."""


class OntimeError(Exception):
    """What is wrong, where, and how to mend it, in one line; the command exits with status 1."""
