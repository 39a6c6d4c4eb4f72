"""The one exception whose text is meant for the person at the terminal."""


class OntimeError(Exception):
    """What is wrong, where, and how to mend it, in one line; the command exits with status 1."""


def one_line(error: BaseException | None, most: int = 300) -> str:
    """What another library's error says, as one line of at most so many characters; its type if it says nothing."""
    return (" ".join(str(error).split()) or type(error).__name__)[:most]


def root_cause(error: BaseException) -> str:
    """What the first error of a chain says, as one line, such as "Connection refused"; errors of libraries wrap it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return (isinstance(error, OSError) and error.strerror) or one_line(error)
