"""A run: systems rank cases. Each ranking is written at once, so that a killed run can resume."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE, price_of
from whimbrel.agent.language_models.specs import hosted_by
from whimbrel.agent.learning.cases import BlindCase, Case, Problem
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.runs.files import (
    OUTCOMES,
    PLAN,
    RANKINGS,
    SKIPPED,
    append_line,
    claim,
    mend,
    read_lines,
    read_outcomes,
    read_skipped,
)
from whimbrel.evals.runs.manifest import manifest_of
from whimbrel.evals.runs.outcome import Outcome, outcome_of
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.systems.protocol import NotApplicableError, Scored, Scorer, Settings, System, from_ranking
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.workers import Workers, worker_pool


@dataclass(frozen=True)
class Limits:
    """When a run stops between two cases. The same command resumes it.

    Attributes:
        seconds: Stop after this time.
        cost_usd: Budget. Stop when less remains of it than the most expensive case so far cost.
    """

    seconds: float | None = None
    cost_usd: float | None = None

    def is_over(self, started: float) -> bool:
        """Return whether the time is over. `started` is a value of `time.monotonic`."""
        return self.seconds is not None and time.monotonic() - started >= self.seconds

    def is_spent(self, cost_usd: float, most_expensive_usd: float) -> bool:
        """Return whether another case could exceed the budget."""
        return self.cost_usd is not None and cost_usd + most_expensive_usd > self.cost_usd


@dataclass(frozen=True)
class Finished:
    """How far a run came.

    Attributes:
        done: Number of rankings that are written.
        total: Number of rankings of the whole run.
        skipped: Systems that cannot rank these cases, each with the reason.
        problems: Lines that are not cases.
    """

    done: int
    total: int
    skipped: dict[str, str]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether every system ranked every case."""
        return self.done == self.total


@dataclass
class _Spending:
    """The cost of the cases so far, in US dollars."""

    total: float
    most_expensive: float

    def add(self, cost_usd: float) -> None:
        self.total += cost_usd
        self.most_expensive = max(self.most_expensive, cost_usd)


def run(
    plan: Plan,
    folder: Path,
    *,
    limits: Limits | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Finished:
    """Rank every case with every system and write the rankings to `folder`.

    An earlier run of the same plan in that folder is resumed. The number of workers does not change the files.

    Raises:
        ConfigError: the folder holds a run of another plan, or a system does not exist.
        DataError: the cases or the training log cannot be read, or no line is a case.
    """
    limits, workers, progress = limits or Limits(), workers or Workers(), progress or NoProgress()
    _check_price(limits, plan.settings.llm)
    systems = {name: load(name) for name in plan.systems}
    claim(folder, manifest_of(plan))
    (folder / PLAN).write_text(json.dumps(plan.document(), indent=1))
    count, problems = _count_cases(plan)
    # All lines of a system follow each other. Their number shows which systems are complete and where to resume.
    lines_left = mend(folder)
    skipped = read_skipped(folder)
    training = plan.training()
    costs = [outcome.cost_usd for outcome in read_outcomes(folder)]
    spending = _Spending(sum(costs), max(costs, default=0.0))
    started, done = time.monotonic(), 0
    with (folder / RANKINGS).open("ab") as rankings, (folder / OUTCOMES).open("ab") as outcomes:
        for name in (name for name in plan.systems if name not in skipped):
            first = min(lines_left, count)
            lines_left -= first
            done += first
            if first == count:
                continue
            if limits.is_spent(spending.total, spending.most_expensive):
                return Finished(done, count * len(systems), skipped, problems)
            progress.step(f"Ranking: {name}", count)
            progress.advance(first)
            try:
                for blind, outcome in _outcomes(plan, name, systems[name], training, first, workers):
                    ranking_line, outcome_line = outcome.lines(blind, name)
                    # The outcome is written first, so that every ranking on disk has its outcome.
                    append_line(outcomes, outcome_line)
                    append_line(rankings, ranking_line)
                    done += 1
                    spending.add(outcome.scored.usage.cost_usd)
                    progress.advance(1)
                    if limits.is_over(started) or limits.is_spent(spending.total, spending.most_expensive):
                        return Finished(done, count * len(systems), skipped, problems)
            except _CannotLearnError as reason:
                skipped[name] = str(reason)
                (folder / SKIPPED).write_text(json.dumps(skipped))
    return Finished(done, count * (len(systems) - len(skipped)), skipped, problems)


def _count_cases(plan: Plan) -> tuple[int, tuple[Problem, ...]]:
    """Return the number of cases of a plan, and the lines that are not cases.

    The cases themselves are not kept, since they may not fit into memory.
    """
    count, problems = 0, []
    for case in plan.read():
        if isinstance(case, Problem):
            problems.append(case)
        else:
            count += 1
    if not count:
        raise DataError(f"{str(plan.cases)!r} holds no case" + (f": {problems[0]}" if problems else ""))
    return count, tuple(problems)


def _check_price(limits: Limits, spec: str) -> None:
    """Refuse a budget for a hosted model without a known price. A model with a base URL may be free, so it passes."""
    model, base_url = hosted_by(spec) or ("", "")
    if limits.cost_usd is not None and model and not base_url and price_of(model) is None:
        raise ConfigError(
            f"the price of {model!r} is not known, so no budget can be kept: write the price to a file and set "
            f"{PRICES_VARIABLE} to its path, or limit the run with --max-seconds"
        )


def _outcomes(
    plan: Plan, name: str, system: System, training: Training, first: int, workers: Workers
) -> Iterator[tuple[BlindCase, Outcome]]:
    """Return the cases in order, each with its outcome. The first `first` cases are left out."""
    cases = islice((case.blind for case in plan.read() if isinstance(case, Case)), first, None)
    if workers.count == 1 and workers.ray is None:
        scorer = _learn(system, training, plan.settings)
        for blind in cases:
            yield blind, outcome_of(scorer, blind)
        return
    with worker_pool(workers, _Ranker, (plan, name)) as rank:
        for blind, outcome in rank(map(_without_catalogue, cases)):
            yield _with_catalogue(blind, plan), outcome


class _Ranker:
    """A system that learned in a worker process, and ranks cases there."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan = plan
        self._scorer = _learn(load(name), plan.training(), plan.settings)

    def __call__(self, blind: BlindCase) -> tuple[BlindCase, Outcome]:
        return blind, outcome_of(self._scorer, _with_catalogue(blind, self._plan))


def _without_catalogue(blind: BlindCase) -> BlindCase:
    """Return a case without its catalogue, since every worker has the catalogue already."""
    return blind if blind.met is None else replace(blind, candidates=())


def _with_catalogue(blind: BlindCase, plan: Plan) -> BlindCase:
    return blind if blind.met is None else replace(blind, candidates=plan.catalogue)


class _CannotLearnError(Exception):
    """Why a system is skipped."""


def _learn(system: System, training: Training, settings: Settings) -> Scorer:
    try:
        return system(training, settings)
    except NotApplicableError as reason:
        raise _CannotLearnError(f"does not apply: {reason}") from reason
    except ImportError as error:
        raise _CannotLearnError(
            f"not installed ({error}): pip install 'whimbrel[evals]'; for sasrec run `make sasrec`"
        ) from error
    except WhimbrelError:  # a wrong configuration is not the system's failure, so it ends the run
        raise
    except Exception as error:
        raise _CannotLearnError(f"failed to learn: {type(error).__name__}: {error}"[:300]) from error


def load(name: str) -> System:
    """Return the system of a name (see `load_system`). A name `*.jsonl` gives a system that reads its rankings.

    Raises:
        ConfigError: there is no such system or file.
        DataError: a line of the file has no ranking.
    """
    if not name.endswith(".jsonl"):
        return load_system(name)
    rankings: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(Path(name)), start=1):
        if not isinstance(line, dict) or not isinstance(line.get("ranking"), list) or "case_id" not in line:
            raise DataError(f"{name!r}, line {number}: expected case_id and ranking")
        rankings[str(line["case_id"])] = line["ranking"]
    if not rankings:
        raise ConfigError(f"ranking file {name!r} is absent or empty")

    def score(case: BlindCase) -> Scored:
        if case.case_id not in rankings:
            raise KeyError(f"no ranking for case {case.case_id!r}")
        return from_ranking(rankings[case.case_id], case)

    return lambda training, settings: score
