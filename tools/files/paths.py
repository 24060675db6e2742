"""Folders that belong to the current user of this machine."""

from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for files that can be made again. The folder may be absent.

    If `$XDG_CACHE_HOME` is set, the folder is `$XDG_CACHE_HOME/whimbrel`. Otherwise it is in the operating system's
    cache folder, on Linux `~/.cache/whimbrel`.
    """
    from platformdirs import user_cache_path

    return user_cache_path("whimbrel", appauthor=False)
