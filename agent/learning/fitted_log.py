"""A log together with what was learned from it, in one folder: what `whimbrel fit --out` writes."""

import json
import zipfile
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from whimbrel.agent.fitted import FUSION, Fitted
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import read_items
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.store.in_memory import InMemory

LOG, ITEMS, TAUGHT = "log.npz", "items.jsonl", "taught.json"


def write_fitted_log(library: InMemory, fitted: Fitted, folder: Path, taught: Sequence[BlindCase] = ()) -> None:
    """All of it into a folder, each file replaced whole or not at all, with digests of the cases that it was `taught`
    what is relevant in."""
    fitted.save(folder)
    with atomic_write(folder / TAUGHT) as partial:
        partial.write_text(json.dumps(sorted(map(_digest, taught))), "utf-8")
    with atomic_write(folder / ITEMS) as partial, partial.open("w", encoding="utf-8") as file:
        for item in library.all_items():
            file.write(item.model_dump_json(exclude_defaults=True) + "\n")
    library.log.save(folder / LOG)


def taught_cases(folder: Path, cases: Iterable[BlindCase]) -> int:
    """How many of these cases the folder was taught what is relevant in: they are no test of it."""
    try:
        known = set(json.loads((folder / TAUGHT).read_text("utf-8")))
    except FileNotFoundError:
        known = set()
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{str(folder / TAUGHT)!r} is damaged: run `whimbrel fit` again") from error
    return sum(_digest(case) in known for case in cases) if known else 0


def _digest(case: BlindCase) -> str:
    shown = [[item.item_id for item in items] for items in (case.history, case.candidates)]
    return blake2b(json.dumps([case.user_id, *shown]).encode(), digest_size=8).hexdigest()


def check_fitted_log(folder: Path) -> None:
    """Raises: DataError: not all of it is there."""
    absent = [name for name in (LOG, ITEMS, FUSION) if not (folder / name).is_file()]
    if absent:
        raise DataError(
            f"{str(folder)!r} holds nothing fitted (no {absent[0]}): write it with `whimbrel fit --sessions FILE "
            "--items FILE --out FOLDER`"
        )


def read_fitted_log(folder: Path) -> tuple[InMemory, Fitted]:
    """What `write_fitted_log` wrote.

    Raises:
        DataError: not all of it is there, or a file is damaged.
    """
    check_fitted_log(folder)
    try:
        log = InteractionLog.load(folder / LOG)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(folder / LOG)!r} is damaged: run `whimbrel fit` again") from error
    items = list(read_items(folder / ITEMS))
    if not {item.item_id for item in items}.issuperset(log.item_ids):
        raise DataError(
            f"{str(folder)!r} mixes two logs ({LOG} knows items that {ITEMS} lacks): run `whimbrel fit` again"
        )
    return InMemory(items, log, timed=False), Fitted.load(folder).for_log(log)
