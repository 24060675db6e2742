"""Every error a user can meet. The message says what happened and what to do next; bugs stay `ValueError`."""


class WhimbrelError(Exception):
    """Base of all errors that a person can act on; the command line prints it as one line and exits 1."""


class ConfigError(WhimbrelError):
    """An option, a model spec or an installation is wrong: change it and run again."""


class DataError(WhimbrelError):
    """A file, a row or an id is not what was expected: mend the data or the mapping."""


class StoreError(WhimbrelError):
    """The store cannot be opened or read: locked, unfinished, of another encoder, or out of reach."""


class ModelError(WhimbrelError):
    """A language model failed. `retryable` tells whether the same call may work later."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
