"""Who may ask about whom: tokens, each of which belongs to some people or to all."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import identifier

EVERYBODY = "*"
LEAST_LENGTH = 8


@dataclass(frozen=True)
class Callers:
    """The tokens of a server, and whom each may ask about. Without tokens, everybody may ask about everybody.

    Attributes:
        users: The people of each token; EVERYBODY stands for all.
    """

    users: Mapping[str, frozenset[str]] | None = None

    @classmethod
    def read(cls, path: Path) -> "Callers":
        """Read a file `{"TOKEN": ["USER", ...]}`, in which `["*"]` means all people.

        Raises:
            ConfigError: the file cannot be read, or is not of this form.
        """
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"the tokens in {str(path)!r} cannot be read: {error}") from None
        form = f'{str(path)!r} must be a JSON object of the form {{"TOKEN": ["USER", ...]}}'
        if not isinstance(document, dict) or not document:
            raise ConfigError(form)
        for token, users in document.items():
            if not isinstance(users, list) or not all(type(user) in (str, int) and user != "" for user in users):
                raise ConfigError(form)
            if len(token) < LEAST_LENGTH or not token.isascii() or not token.isprintable():
                raise ConfigError(f"{str(path)!r}: a token needs {LEAST_LENGTH} ASCII characters or more")
        try:
            return cls({token: frozenset(map(identifier, users)) for token, users in document.items()})
        except ValueError as error:
            raise ConfigError(f"{str(path)!r}: {error}") from None

    def users_of(self, authorization: str) -> frozenset[str] | None:
        """Return the people that a header `Authorization: Bearer TOKEN` may ask about; None if the token is unknown."""
        if self.users is None:
            return frozenset({EVERYBODY})
        scheme, _, given = authorization.partition(" ")
        if scheme.casefold() != "bearer":
            return None
        allowed = None
        for token, users in self.users.items():
            # Every token is compared, each in constant time, so that answers do not tell how much of one is right.
            if hmac.compare_digest(token.encode(), given.strip().encode("utf-8", "replace")):
                allowed = users
        return allowed
