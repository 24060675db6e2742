"""Write and read a fitted log: one folder with a log and what was learned from it, as in `whimbrel fit --out`."""

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from whimbrel.agent.fitted import FILES, FUSION, Fitted
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import read_items
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.whole_files import complete, whole_files
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.store.in_memory import InMemory

LOG, ITEMS, LEARNED_CASES = "log.npz", "items.jsonl", "taught.json"


def write_fitted_log(
    catalogue: InMemory, fitted: Fitted, folder: Path, learned_cases: Sequence[BlindCase] = ()
) -> None:
    """Write a log and what was learned from it into a folder. All files are replaced together or not at all.

    Args:
        catalogue: The log and its items.
        fitted: What was learned.
        folder: The folder to write to.
        learned_cases: Cases whose relevant items were learned from. Digests of these cases are kept, so that nobody
            tests on them unnoticed.
    """
    with whole_files(folder, (*FILES, LEARNED_CASES, ITEMS, LOG)) as new:
        fitted.save(new)
        (new / LEARNED_CASES).write_text(json.dumps(sorted(map(_digest, learned_cases))), "utf-8")
        with (new / ITEMS).open("w", encoding="utf-8") as file:
            for item in catalogue.all_items():
                file.write(item.model_dump_json(exclude_defaults=True) + "\n")
        catalogue.log.save(new / LOG)


def count_learned_cases(folder: Path, cases: Iterable[BlindCase]) -> int:
    """Count the cases that the fit was learned from. Such cases are not a valid test of the fit.

    Raises:
        DataError: The file of digests is damaged.
    """
    try:
        digests = set(json.loads((folder / LEARNED_CASES).read_text("utf-8")))
    except FileNotFoundError:
        digests = set()
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{str(folder / LEARNED_CASES)!r} is damaged: run `whimbrel fit` again") from error
    return sum(_digest(case) in digests for case in cases) if digests else 0


def _digest(case: BlindCase) -> str:
    # The case id is left out, because the same case may have different ids in different files.
    ids = [[item.item_id for item in items] for items in (case.history, case.candidates)]
    return blake2b(json.dumps([case.user_id, *ids]).encode(), digest_size=8).hexdigest()


def check_fitted_log(folder: Path) -> None:
    """Check that a folder has the files of a fitted log.

    Raises:
        DataError: A file is absent.
    """
    absent = [name for name in (LOG, ITEMS, FUSION) if not (folder / name).is_file()]
    if absent:
        raise DataError(
            f"{str(folder)!r} is not a fitted log (it has no {absent[0]}): write one with `whimbrel fit --sessions "
            "FILE --items FILE --out FOLDER`"
        )


def read_fitted_log(folder: Path) -> tuple[InMemory, Fitted]:
    """Read the log, its items and what was learned from it, as written by `write_fitted_log`.

    Raises:
        DataError: A file is absent or damaged.
    """
    complete(folder)
    check_fitted_log(folder)
    try:
        log = InteractionLog.load(folder / LOG)
        log.require_consistent()
    except (OSError, ValueError) as error:
        raise DataError(f"{str(folder / LOG)!r} is damaged: run `whimbrel fit` again") from error
    items = list(read_items(folder / ITEMS))
    if not {item.item_id for item in items}.issuperset(log.item_ids):
        raise DataError(
            f"{str(folder)!r} mixes two logs ({LOG} has items that {ITEMS} lacks): run `whimbrel fit` again"
        )
    catalogue = InMemory(items, log, timed=False)
    return catalogue, Fitted.load(folder).for_catalogue(catalogue)
