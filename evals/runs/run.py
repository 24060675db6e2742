"""A run: systems rank cases. Each line is written as it is made, so that a run that was killed resumes."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

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
    read_skipped,
)
from whimbrel.evals.runs.manifest import manifest_of
from whimbrel.evals.runs.outcome import Outcome, outcome_of
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.systems.protocol import NotApplicableError, Scored, Scorer, Settings, System, from_ranking
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress

CHUNK = 4
"""Cases that a worker takes at once: few, so that the last worker does not keep the others waiting."""


@dataclass(frozen=True)
class Limits:
    """When a run stops between two cases. The same command resumes it.

    Attributes:
        seconds: Stop after this time.
        cost_usd: Stop when the remaining budget is smaller than the most expensive case so far.
    """

    seconds: float | None = None
    cost_usd: float | None = None

    def is_over(self, started: float) -> bool:
        """Return whether the time is over; `started` is a time of the monotonic clock."""
        return self.seconds is not None and time.monotonic() - started >= self.seconds

    def is_spent(self, cost_usd: float, most_expensive_usd: float) -> bool:
        """Return whether the budget may not suffice for another case."""
        return self.cost_usd is not None and cost_usd + most_expensive_usd > self.cost_usd


@dataclass(frozen=True)
class Finished:
    """How far a run came.

    Attributes:
        done: Rankings that are written.
        total: Rankings of the whole run.
        skipped: Systems that cannot rank these cases, with the reason.
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


@dataclass(frozen=True)
class Workers:
    """The processes that rank.

    Attributes:
        count: Number of processes.
        ray: Address of a Ray cluster, `local` to start one here, None for processes of this machine. The machines of a
            cluster must see the plan's files.
    """

    count: int = 1
    ray: str | None = None


@dataclass
class _Spending:
    """What the cases so far cost, in US dollars."""

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
    """Rank every case with every system into `folder`, resuming an earlier run of the same plan.

    The files are the same however many workers there are.

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
    # Lines are system by system, so their number says which systems are complete and where the next one goes on.
    lines_left = mend(folder)
    skipped = read_skipped(folder)
    training = plan.training()
    costs = [outcome["cost_usd"] for outcome in read_lines(folder / OUTCOMES)]
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
                    # Outcomes first: a ranking on disk always has its outcome.
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
    """Return the number of cases of a plan, and the lines that are not cases. There may be too many cases to keep."""
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
    """Refuse a budget for a hosted model without a known price. A model on a server of one's own may cost nothing."""
    model, base_url = hosted_by(spec) or ("", "")
    if limits.cost_usd is not None and model and not base_url and price_of(model) is None:
        raise ConfigError(
            f"the price of {model!r} is not known, so no budget can be kept: name it in a file and set "
            f"{PRICES_VARIABLE} to that, or stop by --max-seconds"
        )


def _outcomes(
    plan: Plan, name: str, system: System, training: Training, first: int, workers: Workers
) -> Iterator[tuple[BlindCase, Outcome]]:
    """Return the cases from number `first` on, in order, each with its outcome."""
    cases = islice((case.blind for case in plan.read() if isinstance(case, Case)), first, None)
    if workers.count == 1 and workers.ray is None:
        scorer = _learn(system, training, plan.settings)
        for blind in cases:
            yield blind, outcome_of(scorer, blind)
        return
    with _pool(workers, (plan, name)) as pool:
        for blind, outcome in pool.imap(_rank_in_worker, map(_without_catalogue, cases), chunksize=CHUNK):
            yield _with_catalogue(blind, plan), outcome


def _without_catalogue(blind: BlindCase) -> BlindCase:
    """Return a case that is light to send to a worker, which has the catalogue already."""
    return blind if blind.met is None else replace(blind, candidates=())


def _with_catalogue(blind: BlindCase, plan: Plan) -> BlindCase:
    return blind if blind.met is None else replace(blind, candidates=plan.catalogue)


def _pool(workers: Workers, begin: tuple[Plan, str]) -> Any:
    if workers.ray is None:
        import multiprocessing

        # Not fork, which is unsafe in a process with threads, such as those of llama.cpp.
        return multiprocessing.get_context("spawn").Pool(workers.count, _begin_worker, begin)
    try:
        from ray.util.multiprocessing import Pool
    except ImportError as error:
        raise ConfigError(f"Ray is not installed ({error}): pip install 'whimbrel[ray]'") from error
    address = None if workers.ray == "local" else workers.ray
    return Pool(workers.count, _begin_worker, begin, ray_address=address)


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
    except WhimbrelError:  # a wrong configuration ends the run; it is not the system's failure
        raise
    except Exception as error:
        raise _CannotLearnError(f"failed to learn: {type(error).__name__}: {error}"[:300]) from error


_worker: list[tuple[Plan, Scorer | Exception]] = []
"""The plan and the scorer of a worker process, set once when it begins: a pool has no other place for them."""


def _begin_worker(plan: Plan, name: str) -> None:
    """Learn in a worker process.

    An error is kept for the first case: a pool would start a process that fails to begin again and again.
    """
    try:
        _worker[:] = [(plan, _learn(load(name), plan.training(), plan.settings))]
    except Exception as error:
        _worker[:] = [(plan, error)]


def _rank_in_worker(blind: BlindCase) -> tuple[BlindCase, Outcome]:
    ((plan, scorer),) = _worker
    if isinstance(scorer, Exception):
        raise scorer
    return blind, outcome_of(scorer, _with_catalogue(blind, plan))


def load(name: str) -> System:
    """Return the system of a name (see `load_system`), or one that reads its rankings from a file `*.jsonl`.

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
