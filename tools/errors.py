"""Every error that a user can see. The message says what happened and what to do next.

A programming mistake raises `ValueError` or `TypeError` instead.
"""


class WhimbrelError(Exception):
    """Base of all errors that a user can fix. The command line prints the message as one line and exits with 1."""


class ConfigError(WhimbrelError):
    """An option, a model spec or the installation is wrong. Change it and run again."""


class DataError(WhimbrelError):
    """A file, a row or an id is not valid. Correct the data or the column mapping."""


class InvalidValueError(DataError):
    """A given value is not valid, whatever the store holds. Correct the value."""


class StoreError(WhimbrelError):
    """The store cannot be used: it is locked, unfinished, unreachable, or was made with another encoder."""


class BusyError(WhimbrelError):
    """Too many requests wait already. Try again later."""


class ModelError(WhimbrelError):
    """A language model failed.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
