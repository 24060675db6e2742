"""Token counts of hosted models: counted by tiktoken, estimated, or read from a server's reply."""

import hashlib
import math
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

MAX_TOKENS_REPORTED = 10**8
"""A larger number in a server's reply is not taken as a token count."""
MIN_CHARACTERS_PER_TOKEN = 1.4
"""The fewest ASCII letters and blanks per token. Codes have about this many per token, English words about four."""

# The address from which tiktoken fetches a vocabulary. The file in its cache is named by the digest of this address.
_VOCABULARY_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_LETTERS = re.compile(r"[A-Za-z ]")


class TokenCounter:
    """Counts the tokens of a text for a hosted model.

    It uses tiktoken if tiktoken's cache holds the model's vocabulary. It never downloads a vocabulary. Otherwise it
    estimates the number. The estimate is never too low, so that a budget is not exceeded.

    Attributes:
        how: The method in words: tiktoken or the estimate.
    """

    def __init__(self, model: str) -> None:
        self._encoding = _cached_encoding(model)
        self.how = f"tiktoken {self._encoding.name}" if self._encoding else "estimated from the bytes"

    def __call__(self, text: str) -> int:
        """Return the number of tokens of a text."""
        if self._encoding:
            return len(self._encoding.encode(text, disallowed_special=()))
        letters = len(_LETTERS.findall(text))
        # each of the remaining bytes may be one token, as in rare scripts
        return math.ceil(letters / MIN_CHARACTERS_PER_TOKEN) + len(text.encode("utf-8", "replace")) - letters


def reported_tokens(counts: Any, name: str) -> int | None:
    """Return a token count that a server reports; None if it is missing or impossible.

    Args:
        counts: The server's counts, as an object or a dict. Servers send anything here, including negative numbers.
        name: The name of one count.
    """
    value = counts.get(name) if isinstance(counts, dict) else getattr(counts, name, None)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS_REPORTED
    return value if is_count else None


@cache
def _cached_encoding(model: str) -> Any:
    try:
        import tiktoken

        name = tiktoken.encoding_name_for_model(model)
        return tiktoken.get_encoding(name) if _is_cached(name) else None
    except Exception:  # for an unknown model or a damaged cache, the estimate is used instead
        return None


def _is_cached(encoding: str) -> bool:
    # tiktoken looks for the file in the same way
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    file = hashlib.sha1(_VOCABULARY_URL.format(encoding).encode(), usedforsecurity=False).hexdigest()
    return (Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / file).is_file()
