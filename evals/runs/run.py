"""A run: systems over cases, written as it goes, so that a killed run goes on where it stopped.

A folder holds `manifest.json` (what makes the run repeatable), `plan.json` (where its files lay), `rankings.jsonl` (a
line a case and system, system by system in the order of the cases) and `outcomes.jsonl` (the same lines: tied ranks,
seconds, usage, failure). Lines are only ever appended; what stands after the last whole line of both files is cut off
before a run goes on.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE, price_of
from whimbrel.agent.language_models.specs import hosted_by
from whimbrel.agent.learning.cases import BlindCase, Case, Problem
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.runs.outcome import Outcome, outcome_of
from whimbrel.evals.runs.plan import PLAN, Plan, manifest_of
from whimbrel.evals.systems.protocol import NotApplicableError, Scored, Scorer, Settings, System, from_ranking
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress

RANKINGS, OUTCOMES, MANIFEST, SKIPPED = "rankings.jsonl", "outcomes.jsonl", "manifest.json", "skipped.json"


@dataclass(frozen=True)
class Limits:
    """When to stop between two cases; the same command goes on later. Of a budget as much must be left as the dearest
    case so far took."""

    seconds: float | None = None
    cost_usd: float | None = None

    def over(self, started: float) -> bool:
        """Whether the time is over; `started` is of the monotonic clock."""
        return self.seconds is not None and time.monotonic() - started >= self.seconds

    def spent(self, cost_usd: float, dearest_usd: float) -> bool:
        """Whether the budget may not do for another case."""
        return self.cost_usd is not None and cost_usd + dearest_usd > self.cost_usd


@dataclass(frozen=True)
class Finished:
    """How far a run came. `skipped` maps systems that do not apply to the reason."""

    done: int
    total: int
    skipped: dict[str, str]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether every case met every system."""
        return self.done == self.total


def run(
    plan: Plan,
    folder: Path,
    *,
    limits: Limits | None = None,
    workers: int = 1,
    ray: str | None = None,
    progress: Progress | None = None,
) -> Finished:
    """Rank every case with every system into `folder`, going on where an earlier run of the same plan stopped.

    `workers` processes rank side by side, on this machine or, with the address of a Ray cluster (`local` starts one
    here), over that; its machines must see the plan's files. However many there are, the file is the same.

    Raises:
        ConfigError: the folder holds a run of another plan, or a system does not exist.
        DataError: the cases or the training log cannot be read, or no line holds a case.
    """
    limits, progress = limits or Limits(), progress or NoProgress()
    _see_price(limits, plan.settings.llm)
    systems = {name: loaded(name) for name in plan.systems}
    claim(folder, manifest_of(plan))
    (folder / PLAN).write_text(json.dumps(plan.document(), indent=1))
    case_ids, problems = [], []
    for case in plan.read():
        if isinstance(case, Problem):
            problems.append(case)
        else:
            case_ids.append(case.blind.case_id)
    if not case_ids:
        raise DataError(f"{str(plan.cases)!r} holds no case" + (f": {problems[0]}" if problems else ""))
    done = _mend(folder)
    skipped = read_skipped(folder)
    training = plan.training()
    costs = [o["cost_usd"] for o in read_lines(folder / OUTCOMES)]
    started, cost, dearest, finished = time.monotonic(), sum(costs), max(costs, default=0.0), 0
    with (folder / RANKINGS).open("ab") as rankings, (folder / OUTCOMES).open("ab") as outcomes:
        for name in (name for name in plan.systems if name not in skipped):
            first = min(done, len(case_ids))
            done -= first
            finished += first
            if first == len(case_ids):
                continue
            if limits.spent(cost, dearest):
                return Finished(finished, len(case_ids) * len(systems), skipped, tuple(problems))
            progress.step(f"Ranking: {name}", len(case_ids))
            progress.advance(first)
            try:
                for blind, outcome in _outcomes(plan, name, systems[name], training, first, workers, ray):
                    ranking, facts = outcome.lines(blind, name)
                    _append(outcomes, facts)
                    _append(rankings, ranking)
                    finished += 1
                    cost += outcome.scored.usage.cost_usd
                    dearest = max(dearest, outcome.scored.usage.cost_usd)
                    progress.advance(1)
                    if limits.over(started) or limits.spent(cost, dearest):
                        return Finished(finished, len(case_ids) * len(systems), skipped, tuple(problems))
            except _CannotLearnError as reason:
                skipped[name] = str(reason)
                (folder / SKIPPED).write_text(json.dumps(skipped))
    total = len(case_ids) * (len(systems) - len(skipped))
    return Finished(finished, total, skipped, tuple(problems))


def _see_price(limits: Limits, spec: str) -> None:
    """A budget in money needs to know what the model costs; on a server of one's own it may be nothing."""
    model, base_url = hosted_by(spec) or ("", "")
    if limits.cost_usd is not None and model and not base_url and price_of(model) is None:
        raise ConfigError(
            f"the price of {model!r} is not known, so no budget can be kept: name it in a file and set "
            f"{PRICES_VARIABLE} to that, or stop by --max-seconds"
        )


def _outcomes(
    plan: Plan, name: str, system: System, training: Training, first: int, workers: int, ray: str | None
) -> Iterator[tuple[BlindCase, Outcome]]:
    """Outcomes of the cases from the `first` on, in order."""
    blinds = islice((case.blind for case in plan.read() if isinstance(case, Case)), first, None)
    if workers == 1 and ray is None:
        scorer = _learned(system, training, plan.settings)
        for blind in blinds:
            yield blind, outcome_of(scorer, blind)
        return
    with _pool(workers, ray, (plan, name)) as pool:
        yield from pool.imap(_work, blinds, chunksize=4)


def _pool(workers: int, ray: str | None, begin: tuple[Plan, str]) -> Any:
    if ray is None:
        import multiprocessing

        return multiprocessing.get_context("spawn").Pool(workers, _begin_worker, begin)
    try:
        from ray.util.multiprocessing import Pool
    except ImportError as error:
        raise ConfigError(f"Ray is not installed ({error}): pip install 'whimbrel[ray]'") from error
    return Pool(workers, _begin_worker, begin, ray_address=None if ray == "local" else ray)


class _CannotLearnError(Exception):
    """Why a system is skipped."""


def _learned(system: System, training: Training, settings: Settings) -> Scorer:
    try:
        return system(training, settings)
    except NotApplicableError as reason:
        raise _CannotLearnError(f"does not apply: {reason}") from reason
    except ImportError as error:
        raise _CannotLearnError(
            f"not installed ({error}): pip install 'whimbrel[evals]'; for sasrec run `make sasrec`"
        ) from error
    except WhimbrelError:
        raise
    except Exception as error:
        raise _CannotLearnError(f"failed to learn: {type(error).__name__}: {error}"[:300]) from error


_worker: list[Scorer | Exception] = []


def _begin_worker(plan: Plan, name: str) -> None:
    """Learn; an error is kept for the first case, since a process that fails to begin would be begun again for ever."""
    try:
        _worker[:] = [_learned(loaded(name), plan.training(), plan.settings)]
    except Exception as error:
        _worker[:] = [error]


def _work(blind: BlindCase) -> tuple[BlindCase, Outcome]:
    (scorer,) = _worker
    if isinstance(scorer, Exception):
        raise scorer
    return blind, outcome_of(scorer, blind)


def loaded(name: str) -> System:
    """A system by name, or the rankings of a file."""
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


def read_lines(path: Path) -> Iterator[Any]:
    """Documents of a file of lines, none where there is no file.

    Raises:
        DataError: a line is not JSON.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}") from error


def _append(file: IO[bytes], document: dict[str, Any]) -> None:
    file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
    file.flush()


def claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Make the folder, or see that it holds a run of this very manifest."""
    path = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1))
            partial.replace(path)
            return
        held = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"run folder {str(folder)!r} cannot be used: {error}") from error
    other = [key for key in manifest if held.get(key) != json.loads(json.dumps(manifest[key]))]
    if other:
        raise ConfigError(
            f"{str(folder)!r} holds a run with other {', '.join(other)}: give another --out, or remove it"
        )


def _mend(folder: Path) -> int:
    """How many whole lines both files have; what stands behind them is cut off."""
    paths = (folder / RANKINGS, folder / OUTCOMES)
    whole = min(_whole_lines(path) for path in paths)
    for path in paths:
        if path.is_file():
            with path.open("r+b") as file:
                for _ in range(whole):
                    file.readline()
                file.truncate(file.tell())
    return whole


def _whole_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def read_skipped(folder: Path) -> dict[str, str]:
    """Systems that do not apply, with the reason."""
    try:
        return dict(json.loads((folder / SKIPPED).read_text()))
    except (OSError, ValueError):
        return {}
