"""Cases to learn from and to test on, never both at once: each part of the users after a fit on the others."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whimbrel.agent.display.terminal import ingest_progress
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.cases import Case
from whimbrel.agent.learning.fit import Asked, fit_cases, fit_sessions
from whimbrel.agent.learning.fitted_log import LOG
from whimbrel.evals.runs.plan import Part, Plan, manifest_of
from whimbrel.evals.runs.run import claim, loaded
from whimbrel.tools.errors import DataError


def fit_parts(plan: Plan, count: int, folder: Path) -> list[tuple[Plan, Path]]:
    """Plans of the parts of a plan's users, each with a folder below `folder` that holds what was fitted for it, unless
    it lies there already.

    Raises:
        ConfigError: the folder holds what was fitted for another plan, or a system does not exist.
        DataError: too few users have cases, or the others are too few to learn from.
    """
    for name in plan.systems:
        loaded(name)
    parts = [Part(number, count, plan.settings.seed) for number in range(count)]
    cases = [case for case in plan.read_all() if isinstance(case, Case)]
    if not all(any(part.holds(case.blind.user_id) for case in cases) for part in parts):
        raise DataError(f"the cases are of too few users for {count} parts")
    found = []
    for number, part in enumerate(parts, start=1):
        place = folder / f"fold-{number}"
        others = [case for case in cases if not part.holds(case.blind.user_id)]
        claim(place / "fitted", manifest_of(replace(plan, part=part)))
        if not (place / "fitted" / LOG).is_file():
            print(f"Learning for fold {number} of {count}", file=sys.stderr)
            _fit(plan, others, place / "fitted")
        settings = replace(plan.settings, fitted=str((place / "fitted").resolve()))
        found.append((replace(plan, part=part, settings=settings), place))
    return found


def _fit(plan: Plan, cases: Sequence[Case], out: Path) -> None:
    model = open_model(plan.settings.llm, remember=True) if "whimbrel" in plan.systems else None
    asked = Asked(cases, model)
    with ingest_progress() as progress:
        if plan.sessions:
            fit_sessions(plan.sessions, plan.items, out, asked, seed=plan.settings.seed, progress=progress)
        else:
            fit_cases(asked, out, seed=plan.settings.seed, progress=progress)
