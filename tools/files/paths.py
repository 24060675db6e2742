"""Where files that can be made again are kept, and where logs of a user's own are found."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/whimbrel`, by default `~/.cache/whimbrel`; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whimbrel"
