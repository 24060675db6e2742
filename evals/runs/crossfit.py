"""Cross-fitting: rank each part of the users after a fit on the cases of all other parts."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whimbrel.agent.display.progress import progress_bars
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.cases import Case
from whimbrel.agent.learning.fit import Extras, fit_cases, fit_sessions
from whimbrel.agent.learning.fitted_log import LOG
from whimbrel.evals.runs.files import claim
from whimbrel.evals.runs.manifest import manifest_of
from whimbrel.evals.runs.plan import Part, Plan
from whimbrel.evals.runs.run import load
from whimbrel.tools.errors import DataError


def fit_parts(plan: Plan, count: int, folder: Path) -> list[tuple[Plan, Path]]:
    """Fit once for each of `count` parts of a plan's users. A part that was fitted before is not fitted again.

    Returns:
        The plan of each part, with its folder below `folder`. The folder also holds what was fitted for the part.

    Raises:
        ConfigError: the folder was used for another plan, or a system does not exist.
        DataError: too few users have cases, or a part leaves too few cases to learn from.
    """
    for name in plan.systems:
        load(name)  # fits take long, so an unknown system must be an error before them
    parts = [Part(number, count, plan.settings.seed) for number in range(count)]
    cases = [case for case in plan.read_all() if isinstance(case, Case)]
    if not all(any(part.holds(case.blind.user_id) for case in cases) for part in parts):
        raise DataError(f"the cases are of too few users for {count} parts")
    plans = []
    for number, part in enumerate(parts, start=1):
        part_folder = folder / f"fold-{number}"
        fitted = part_folder / "fitted"
        others = [case for case in cases if not part.holds(case.blind.user_id)]
        claim(fitted, manifest_of(replace(plan, part=part)))
        if not (fitted / LOG).is_file():
            print(f"Learning for fold {number} of {count}", file=sys.stderr)
            _fit(plan, others, fitted)
        settings = replace(plan.settings, fitted=str(fitted.resolve()))
        plans.append((replace(plan, part=part, settings=settings), part_folder))
    return plans


def _fit(plan: Plan, cases: Sequence[Case], out: Path) -> None:
    model = (
        open_model(plan.settings.llm, remember=plan.settings.remember is not False)
        if "whimbrel" in plan.systems
        else None
    )
    extras = Extras(cases, model)
    with progress_bars() as progress:
        if plan.sessions:
            fit_sessions(plan.sessions, plan.items, out, extras, seed=plan.settings.seed, progress=progress)
        else:
            fit_cases(extras, out, seed=plan.settings.seed, progress=progress)
