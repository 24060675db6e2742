"""`whimbrel eval damage`: see what damaged files and full disks do to a store."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval damage --files 200 --places 0", "whimbrel eval damage --files 0 --places 20")
def damage(
    files: Annotated[int, typer.Option("--files", min=0, help="Damaged files of each kind.")] = 40,
    places: Annotated[int, typer.Option("--places", min=0, help="Amounts of free room. More than 0 needs root.")] = 0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """See what damaged files and full disks do to a store.

    Files of each kind are damaged one at a time. The store must then give the same answer or refuse in one line, and a
    repaired store the same answer. A store on a small disk must fail in one line, and keep what it acknowledged. Exits
    with 1 otherwise.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.damage import damage_markdown, measure_damage
    from whimbrel.evals.studies.full_disk import full_disk_markdown, measure_full_disk

    with progress_bars() as progress:
        outcomes = measure_damage(files, seed=seed, progress=progress) if files else []
        fills = measure_full_disk(places, seed=seed, progress=progress) if places else []
    if json:
        print_json({"damaged": [one.document() for one in outcomes], "full": [asdict(fill) for fill in fills]})
    else:
        tables = [damage_markdown(outcomes)] if outcomes else []
        print("\n\n".join([*tables, *([full_disk_markdown(fills)] if fills else [])]))
    if any(one.faults for one in outcomes) or any(f.tracebacks or f.lost or not f.is_same for f in fills):
        raise typer.Exit(1)
