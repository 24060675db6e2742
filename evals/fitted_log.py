"""A log together with what was learned from it, in one folder: what `whimbrel fit --out` writes."""

import zipfile
from pathlib import Path

from whimbrel.agent.fitted import FUSION, Fitted
from whimbrel.evals.training import read_items
from whimbrel.tools.errors import DataError
from whimbrel.tools.in_memory import InMemory
from whimbrel.tools.interaction_log import InteractionLog
from whimbrel.tools.replaced import replaced

LOG, ITEMS = "log.npz", "items.jsonl"


def write_fitted_log(library: InMemory, fitted: Fitted, folder: Path) -> None:
    """All of it into a folder, each file replaced whole or not at all."""
    fitted.save(folder)
    with replaced(folder / ITEMS) as partial, partial.open("w", encoding="utf-8") as file:
        for item in library.all_items():
            file.write(item.model_dump_json(exclude_defaults=True) + "\n")
    library.log.save(folder / LOG)


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
    return InMemory(list(read_items(folder / ITEMS)), log, timed=False), Fitted.load(folder).for_log(log)
