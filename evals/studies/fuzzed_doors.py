"""All doors to fuzz, by name."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from whimbrel.evals.studies.fuzzed_door import Door
from whimbrel.tools.errors import ConfigError

DOORS: Mapping[str, str] = {
    "csv": "fuzzed_sources:csv",
    "jsonl": "fuzzed_sources:jsonl",
    "json": "fuzzed_sources:json_list",
    "parquet": "fuzzed_sources:parquet",
    "spark": "fuzzed_sources:spark",
    "movielens": "fuzzed_sources:movielens",
    "amazon": "fuzzed_sources:amazon",
    "mind": "fuzzed_sources:mind",
    "completejourney": "fuzzed_sources:completejourney",
    "items": "fuzzed_sources:items",
    "options": "fuzzed_sources:options",
    "cells": "fuzzed_words:cells",
    "chat": "fuzzed_words:chat",
    "context": "fuzzed_words:context",
    "feedback": "fuzzed_words:feedback",
    "replies": "fuzzed_words:replies",
    "completions": "fuzzed_words:completions",
    "talks": "fuzzed_files:talks",
    "fitted": "fuzzed_files:fitted",
    "store": "fuzzed_files:store",
    "runs": "fuzzed_files:runs",
    "cases": "fuzzed_files:cases",
    "policy": "fuzzed_files:policy",
    "research": "fuzzed_files:research",
    "batch": "fuzzed_files:batch",
    "settings": "fuzzed_files:settings",
}
"""The doors of this package, with the module and function of each below `whimbrel.evals.studies`."""


def check_door(name: str) -> None:
    """Check that there is a door of this name.

    Raises:
        ConfigError: There is none.
    """
    if name not in DOORS and ":" not in name:
        raise ConfigError(f"--door {name!r}: give package.module:function, or one of {', '.join(DOORS)}")


def open_door(name: str, folder: Path) -> Door:
    """Make a door.

    Args:
        name: One of DOORS, or `package.module:function`. Such a function takes a folder and returns a `Door`.
        folder: A folder for the door, which it may fill.
    """
    check_door(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = name if ":" in name else f"whimbrel.evals.studies.{DOORS[name]}"
    module, _, function = path.partition(":")
    make: Callable[[Path], Door] = getattr(import_module(module), function)
    return make(folder)
