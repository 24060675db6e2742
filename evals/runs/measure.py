"""Measure plans one after the other in one run folder, and write the results there."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whimbrel.agent.display.progress import progress_bars
from whimbrel.evals.runs.document import document_of
from whimbrel.evals.runs.files import PLAN, RESULTS
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import Limits, run
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.files.locks import exclusive
from whimbrel.tools.workers import Workers


@dataclass(frozen=True)
class Execution:
    """How plans are run: the limits at which they stop, and the processes that rank."""

    limits: Limits = field(default_factory=Limits)
    workers: Workers = field(default_factory=Workers)


@contextmanager
def run_folder(out: Path | None, *, in_parts: bool) -> Iterator[Path]:
    """Lock the folder of a run while the block runs. Without `out`, use a temporary folder.

    Raises:
        ConfigError: `out` holds a run in parts but this run is not in parts, or the reverse.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="whimbrel-") as folder:
            yield Path(folder)
        return
    # If folds and a single plan shared a folder, `eval report` would take them for one run.
    if any(out.glob("fold-*")) if not in_parts else (out / PLAN).is_file():
        raise ConfigError(f"{str(out)!r} holds a run of another kind: give another --out, or remove it")
    with exclusive(out, "run folder"):
        yield out


def measure_plans(
    parts: Sequence[tuple[Plan, Path]], folder: Path, execution: Execution, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run the plans one after the other, each in its own folder.

    Args:
        parts: The plans and their folders.
        folder: The folder of the whole run. A file with the results is written to it.
        execution: The limits and the processes.
        facts: What else the results hold.

    Returns:
        The results of all plans as JSON.
    """
    done = total = 0
    skipped: dict[str, str] = {}
    problems: list[object] = []
    for number, (plan, plan_folder) in enumerate(parts, start=1):
        if len(parts) > 1:
            print(f"Fold {number} of {len(parts)}", file=sys.stderr)
        with progress_bars() as progress:
            finished = run(plan, plan_folder, limits=execution.limits, workers=execution.workers, progress=progress)
        for problem in finished.problems:
            print(f"whimbrel: {plan.cases}: {problem}", file=sys.stderr)
        done, total = done + finished.done, total + finished.total
        skipped |= finished.skipped
        problems += finished.problems
        if not finished.whole:
            break
    if done < total:
        print(f"whimbrel: stopped after {done} of {total} rankings. The same command resumes the run.", file=sys.stderr)
    # A run that stopped early is reported with the rankings it has.
    document = {**document_of(results_of(parts[:number]), skipped=skipped, problems=problems), **(facts or {})}
    with atomic_write(folder / RESULTS) as partial:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    return document
