"""The results of a run: every metric of every case and system, computed from the files of the run.

The relevant items are read only here. All rankings are on disk before the first metric is computed.
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import Case
from whimbrel.evals.metrics import lists, ranking
from whimbrel.evals.metrics.intervals import Interval, bootstrap_means, interval, percentile_interval
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.evals.runs.files import OutcomeLine, PredictedShift, RankingLine, read_answers
from whimbrel.evals.runs.plan import Plan
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item

USAGE = ("seconds", "llm_calls", "prompt_tokens", "completion_tokens", "cost_usd")
METRICS = (*ranking.all_of([], candidates=0), *lists.all_of([], history=[], popularity={}, interactions=1))
SHIFTS, STAYS, GROUP = "interest shifts", "interest stays", "group "
"""Names of slices. The slice of the cases with a `context.group` is called GROUP followed by that group."""
RECENT = 5
"""The topics of this many latest events are recent. The interest shifts if no relevant item has a recent topic."""
COLD_EVENTS = 5
"""A user with fewer events is cold."""

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


@dataclass
class SystemResult:
    """The results of one system over the cases.

    Attributes:
        values: One value for each case, in the order of the cases, keyed by metric. NaN if there is no value.
        totals: The sum of each value that USAGE names.
        recommended: How often each item was among the first ten.
        p_topic_change: For each case, the predicted probability that the interest moves; NaN if none was predicted.
        confidence: For each case, the confidence in the predicted shift; NaN if it cannot be judged.
        came_true: For each case, whether the predicted shift came true (1 or 0); NaN if it cannot be judged.
        failed: Number of cases on which the system failed.
        warned: Number of cases with warnings.
    """

    # Values are arrays of doubles, since lists of Python floats would take four times the memory.
    values: "dict[str, array[float]]" = field(default_factory=lambda: defaultdict(lambda: array("d")))
    totals: Counter[str] = field(default_factory=Counter)
    recommended: Counter[str] = field(default_factory=Counter)
    p_topic_change: "array[float]" = field(default_factory=lambda: array("d"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    came_true: "array[float]" = field(default_factory=lambda: array("d"))
    failed: int = 0
    warned: int = 0

    def __len__(self) -> int:
        return max((len(values) for values in self.values.values()), default=0)

    def pad(self, length: int) -> None:
        """Append NaN up to `length` cases, for cases that the system did not rank."""
        for metric in METRICS:
            self.values[metric].extend([math.nan] * (length - len(self.values[metric])))
        for column in (self.p_topic_change, self.confidence, self.came_true):
            column.extend([math.nan] * (length - len(column)))

    def column(self, metric: str) -> Floats:
        """Return the values of one metric, shape (cases,)."""
        return np.array(self.values[metric], dtype=np.float64)


@dataclass
class Results:
    """The results of a run.

    Attributes:
        systems: The result of each system.
        users: The user of each case, numbered from 0, shape (cases,).
        case_ids: The id of each case.
        slices: Whether each case is in the slice, shape (cases,), keyed by the name of the slice.
        empty: Number of cases without relevant items.
        candidates: Number of items that are a candidate of at least one case.
        seed: Seed of intervals and tests.
    """

    systems: dict[str, SystemResult]
    users: NDArray[np.int64]
    case_ids: list[str]
    slices: dict[str, Truth]
    empty: int
    candidates: int
    seed: int

    def interval(self, system: str, metric: str, within: Truth | None = None) -> Interval:
        """Return the mean and 95% interval of a metric over all cases, or only over the cases `within` a slice."""
        values = self.systems[system].column(metric)
        if within is not None:
            values = np.where(within[: len(values)], values, np.nan)
        return interval(values, self.users[: len(values)], seed=self.seed)

    def difference(self, first: str, second: str, metric: str, within: Truth | None = None) -> dict[str, Any]:
        """Return the mean paired difference of two systems, its interval, and its p-value (sign flips over users)."""
        minuends, subtrahends = self.systems[first].column(metric), self.systems[second].column(metric)
        n = min(len(minuends), len(subtrahends))
        values = minuends[:n] - subtrahends[:n]
        if within is not None:
            values = np.where(within[:n], values, np.nan)
        users = self.users[:n]
        draws = bootstrap_means(values, users, seed=self.seed)
        count = int((~np.isnan(values)).sum())
        return {
            "difference": float(np.nanmean(values)) if count else math.nan,
            "ci": list(percentile_interval(draws)),
            "p": sign_flip_p(values, users, seed=self.seed),
            "n": count,
        }


@dataclass(frozen=True)
class _Popularity:
    """The number of interactions in the training log, for each item and in total."""

    counts: Mapping[str, int]
    total: int

    @classmethod
    def of(cls, plan: Plan) -> "_Popularity":
        training = plan.training()
        counts = {item.item_id: int(n) for item, n in zip(training.items, training.counts, strict=True)}
        return cls(counts, max(int(training.counts.sum()), 1))


def results_of(parts: Sequence[tuple[Plan, Path]]) -> Results:
    """Compute the results of all rankings that run folders hold so far.

    Args:
        parts: Plans, each with its folder. There is one, or one for each fold.

    Returns:
        The results. A case that a system did not rank has NaN in all its metrics.

    Raises:
        DataError: the lines of a folder do not match the cases of its plan.
    """
    results = Results({}, np.empty(0, dtype=np.int64), [], {}, 0, 0, parts[0][0].settings.seed)
    user_numbers: dict[str, int] = {}
    users: list[int] = []
    slices: dict[str, list[bool]] = defaultdict(list)
    candidates: set[str] = set()
    for plan, folder in parts:
        popularity = _Popularity.of(plan)
        for case in _cases(plan):
            by_id = plan.candidates_by_id(case)
            users.append(user_numbers.setdefault(case.blind.user_id, len(user_numbers)))
            results.case_ids.append(case.blind.case_id)
            results.empty += not case.relevant
            # All cases on the whole catalogue have the same items, which are added once.
            if case.blind.met is None or not candidates.issuperset(by_id):
                candidates.update(by_id)
            for name, is_in in slices_of(case, by_id, popularity.counts).items():
                # If a slice first appears here, no earlier case is in it.
                slices[name] += [False] * (len(users) - 1 - len(slices[name])) + [is_in]
        _read_rankings(results.systems, plan, folder, popularity)
        for result in results.systems.values():
            result.pad(len(users))
    results.users = np.array(users, dtype=np.int64)
    results.candidates = len(candidates)
    for name, values in slices.items():
        if any(values):
            results.slices[name] = np.array([*values, *[False] * (len(users) - len(values))], dtype=bool)
    return results


def _read_rankings(systems: dict[str, SystemResult], plan: Plan, folder: Path, popularity: _Popularity) -> None:
    """Measure the lines of one folder, each together with its case."""
    lines = read_answers(folder)
    pending = next(lines, None)
    cases_before = max((len(result) for result in systems.values()), default=0)
    while pending is not None:
        name, first = pending[0].system, pending
        result = systems.setdefault(name, SystemResult())
        result.pad(cases_before)  # earlier folds may have cases that this system did not rank
        for case in _cases(plan):
            if pending is None or pending[0].system != name:
                break
            line, outcome = pending
            if line.case_id != case.blind.case_id:
                raise DataError(f"{str(folder)!r}: expected case {case.blind.case_id!r}, found {line.case_id!r}")
            _measure(result, case, plan.candidates_by_id(case), line, outcome, popularity)
            pending = next(lines, None)
        if pending is first:  # there are no cases any more
            raise DataError(f"{str(folder)!r}: no case {first[0].case_id!r} in {str(plan.cases)!r}")


def _cases(plan: Plan) -> Iterator[Case]:
    return (case for case in plan.read() if isinstance(case, Case))


def _measure(
    result: SystemResult,
    case: Case,
    by_id: Mapping[str, Item],
    line: RankingLine,
    outcome: OutcomeLine,
    popularity: _Popularity,
) -> None:
    """Add the metrics of one case to the result of a system."""
    if unknown := next((item_id for item_id in line.ranking if item_id not in by_id), None):
        raise DataError(f"case {line.case_id!r} has no candidate {unknown!r}, which was ranked: its file has changed")
    position = {item_id: number for number, item_id in enumerate(line.ranking)}
    ranks = np.arange(1, len(position) + 1, dtype=np.float64)
    for start, length in outcome.ties:
        # Positions count from 0 and ranks from 1. Tied items get the mean of start + 1 .. start + length.
        ranks[start : start + length] = start + (length + 1) / 2
    relevant = [float(ranks[position[item_id]]) if item_id in position else math.inf for item_id in case.relevant]
    top = [by_id[item_id] for item_id in line.ranking[: lists.K]]
    values = ranking.all_of(relevant, candidates=len(by_id))
    if case.blind.met is not None:
        values["auc"] = math.nan  # the file holds only the first hundred ranks of the whole catalogue
    values |= lists.all_of(top, history=case.blind.history, popularity=popularity.counts, interactions=popularity.total)
    for metric, value in values.items():
        result.values[metric].append(value)
    shift, p_topic_change = outcome.shift, outcome.moves
    right = came_true(shift, case, by_id) if shift else None
    result.p_topic_change.append(math.nan if p_topic_change is None else float(p_topic_change))
    result.confidence.append(math.nan if right is None or not shift else shift.confidence)
    result.came_true.append(math.nan if right is None else float(right))
    result.failed += bool(outcome.failure)
    result.warned += bool(line.warnings)
    result.totals.update({key: getattr(outcome, key) for key in USAGE})
    result.recommended.update(item.item_id for item in top)


def came_true(shift: PredictedShift, case: Case, by_id: Mapping[str, Item]) -> bool | None:
    """Return whether the shift that a system predicted came true.

    A shift came true if a relevant item has one of the topics that it moves to. "No shift" came true if a relevant item
    has a recent topic. None if nothing was predicted, or if topics are missing.
    """
    relevant, recent = _topics_of(case, by_id)
    if not (relevant and recent) or (shift.kind == "none" and not shift.confidence):
        return None
    return bool(relevant & (recent if shift.kind == "none" else set(shift.to_topics)))


def _topics_of(case: Case, by_id: Mapping[str, Item]) -> tuple[set[str], set[str]]:
    """Return the topics of the relevant items, and the topics of the latest events."""
    relevant = {topic for item_id in case.relevant if item_id in by_id for topic in by_id[item_id].topics}
    return relevant, {topic for item in case.blind.history[-RECENT:] for topic in item.topics}


def slices_of(case: Case, by_id: Mapping[str, Item], popularity: Mapping[str, int]) -> dict[str, bool]:
    """Return whether the case is in each slice, keyed by the name of the slice.

    The interest shifts if no relevant item has a topic of the latest five events. A case without topics is neither in
    the slice SHIFTS nor in the slice STAYS.
    """
    blind = case.blind
    relevant, recent = _topics_of(case, by_id)
    has_topics = bool(relevant and recent)
    is_cold = [popularity.get(item_id, 0) == 0 for item_id in case.relevant]
    slices = {
        SHIFTS: has_topics and not relevant & recent,
        STAYS: has_topics and bool(relevant & recent),
        "cold user (< 5 events)": len(blind.history) < COLD_EVENTS,
        "cold item (in no training session)": bool(is_cold) and all(is_cold),
    }
    group = blind.context.get("group")
    return slices | ({f"{GROUP}{group}": True} if group else {})
