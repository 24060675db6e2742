"""`whimbrel check`: look for damage in a store, and repair it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example("whimbrel check --store shop", "whimbrel check --store shop --repair")
def check(
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="The folder of a store.")],
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be computed again.")] = False,
    json: JsonOption = False,
) -> None:
    """Look for damaged files in a store.

    A damaged index is built again from the records, and so is the log. What was learned is removed if it is damaged.
    Damaged records need a backup. The exit status is 1 if damage remains.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.tools.store.repair import check_store, repair_store

    with progress_bars() as progress:
        damages = check_store(store, progress=progress)
        documents = [damage.document() for damage in damages]
        if damages and repair:
            repair_store(store, damages, progress=progress)
            damages = check_store(store, progress=progress)
    if json:
        print_json({"store": str(store), "found": documents, "damaged": bool(damages)})
    else:
        for damage in documents:
            print(f"{damage['part']}: {damage['problem']}")
            print(f"  {damage['repair']}")
        print(_outcome(len(documents), repaired=repair and not damages))
    if damages:
        sys.exit(1)


def _outcome(count: int, *, repaired: bool) -> str:
    if not count:
        return "No damage: the files are as they were written, and all records can be read."
    if repaired:
        return "Repaired."
    return "Repair it with --repair."
