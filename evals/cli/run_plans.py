"""Code that `eval rank` and `eval log` share: it runs the plans and prints the results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whimbrel.agent.cli.options import print_json

if TYPE_CHECKING:
    from whimbrel.evals.runs.measure import Execution
    from whimbrel.evals.runs.plan import Plan


def run_plans(parts: "Sequence[tuple[Plan, Path]]", folder: Path, execution: "Execution", *, json: bool) -> None:
    """Run the plans as `measure_plans` does, then print the results."""
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.reports.tables import ranking_tables
    from whimbrel.evals.runs.measure import measure_plans

    document = measure_plans(parts, folder, execution)
    if json:
        print_json(document)
    else:
        console().print(ranking_tables(document))
