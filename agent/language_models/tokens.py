"""How many tokens a text takes in a model whose vocabulary is out of sight."""

import hashlib
import math
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

_SOURCE = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Where tiktoken says that a vocabulary comes from; its cache names files by the digest of this."""
LETTERS = 1.4
"""Letters and blanks of ASCII to a token, at least (codes; words have four); all else may take a token a byte."""

_LETTERS = re.compile(r"[A-Za-z ]")


class TokenCounter:
    """Counts with tiktoken where the model's vocabulary lies in its cache, which is never fetched; else estimates,
    no fewer than there are. `how` says which."""

    def __init__(self, model: str) -> None:
        self._encoding = _encoding(model)
        self.how = f"tiktoken {self._encoding.name}" if self._encoding else "estimated from the bytes"

    def __call__(self, text: str) -> int:
        if self._encoding:
            return len(self._encoding.encode(text, disallowed_special=()))
        letters = len(_LETTERS.findall(text))
        return math.ceil(letters / LETTERS) + len(text.encode("utf-8", "replace")) - letters


@cache
def _encoding(model: str) -> Any:
    try:
        import tiktoken

        name = tiktoken.encoding_name_for_model(model)
        return tiktoken.get_encoding(name) if _cached(name) else None
    except Exception:
        return None


def _cached(name: str) -> bool:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    file = hashlib.sha1(_SOURCE.format(name).encode(), usedforsecurity=False).hexdigest()
    return (Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / file).is_file()
