"""Every error that a user can meet. The message says what happened and what to do next.

Errors of a programmer remain `ValueError` and `TypeError`.
"""


class WhimbrelError(Exception):
    """Base of all errors that a person can act on. The command line prints the message as one line and exits with 1."""


class ConfigError(WhimbrelError):
    """An option, a model spec or the installation is wrong: change it and run again."""


class DataError(WhimbrelError):
    """A file, a row or an id is not what was expected: correct the data or the mapping."""


class StoreError(WhimbrelError):
    """The store cannot be opened or read: it is locked, unfinished, of another encoder, or out of reach."""


class ModelError(WhimbrelError):
    """A language model failed.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
