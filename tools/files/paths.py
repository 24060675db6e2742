"""Folders of this user on this machine."""

from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of files that can be made again; it may be absent.

    On Linux it is `$XDG_CACHE_HOME/whimbrel`, by default `~/.cache/whimbrel`; elsewhere the place that the operating
    system has for caches, unless `$XDG_CACHE_HOME` is set.
    """
    from platformdirs import user_cache_path

    return user_cache_path("whimbrel", appauthor=False)
