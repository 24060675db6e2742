"""What a run showed: every metric of every system with n and interval, paired differences, slices.

The truth is read here and nowhere before: rankings are on disk when the first metric is taken.
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase, Case
from whimbrel.evals.metrics import lists, ranking
from whimbrel.evals.metrics.binary import expected_calibration_error, reliability
from whimbrel.evals.metrics.decisions import abstention, measure_decisions
from whimbrel.evals.metrics.intervals import Interval, bootstrap_means, holm, interval, percentile_interval, sign_flip_p
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.run import OUTCOMES, RANKINGS, read_lines
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item

PRIMARY = "ndcg@10"
WITH_INTERVAL = ("auc", "mrr", "map", "ndcg@5", "ndcg@10", "hr@1", "hr@5", "hr@10", "recall@10", "precision@10")
USAGE = ("seconds", "llm_calls", "prompt_tokens", "completion_tokens", "cost_usd")
METRICS = (*ranking.all_of([], candidates=0), *lists.all_of([], history=[], popularity={}, interactions=1))
SHIFTS, STAYS, GROUP = "interest shifts", "interest stays", "group "
RECENT, COLD_EVENTS = 5, 5
"""Latest events whose topics make the recent window; histories shorter than this are cold."""

Floats = NDArray[np.float64]


@dataclass
class SystemResult:
    """Values by metric, one a case in the order of the cases (NaN where there is none), and what it cost in all."""

    values: "dict[str, array[float]]" = field(default_factory=lambda: defaultdict(lambda: array("d")))
    totals: Counter[str] = field(default_factory=Counter)
    recommended: Counter[str] = field(default_factory=Counter)
    moves: "array[float]" = field(default_factory=lambda: array("d"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    right: "array[float]" = field(default_factory=lambda: array("d"))
    failed: int = 0
    warned: int = 0

    def __len__(self) -> int:
        return max((len(values) for values in self.values.values()), default=0)

    def pad(self, length: int) -> None:
        """Fill up with NaN: cases that it did not meet."""
        for metric in METRICS:
            self.values[metric].extend([math.nan] * (length - len(self.values[metric])))
        for told in (self.moves, self.confidence, self.right):
            told.extend([math.nan] * (length - len(told)))

    def column(self, metric: str) -> Floats:
        """The values of one metric, shape (cases,)."""
        return np.array(self.values[metric], dtype=np.float64)


@dataclass
class Results:
    """Results by system, with each case's user (numbered), slices and id."""

    systems: dict[str, SystemResult]
    users: NDArray[np.int64]
    case_ids: list[str]
    slices: dict[str, NDArray[np.bool_]]
    empty: int
    candidates: int
    seed: int

    def interval(self, system: str, metric: str, within: NDArray[np.bool_] | None = None) -> Interval:
        """Mean and 95% interval of a metric, of a slice where one is given."""
        values = self.systems[system].column(metric)
        if within is not None:
            values = np.where(within[: len(values)], values, np.nan)
        return interval(values, self.users[: len(values)], seed=self.seed)

    def difference(self, one: str, other: str, metric: str, within: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Mean paired difference with its interval and the p of a sign-flip test over users."""
        first, second = self.systems[one].column(metric), self.systems[other].column(metric)
        n = min(len(first), len(second))
        values = first[:n] - second[:n]
        if within is not None:
            values = np.where(within[:n], values, np.nan)
        users = self.users[:n]
        low, high = percentile_interval(bootstrap_means(values, users, seed=self.seed)) if n else (math.nan, math.nan)
        known = int((~np.isnan(values)).sum())
        return {
            "difference": float(np.nanmean(values)) if known else math.nan,
            "ci": [low, high],
            "p": sign_flip_p(values, users, seed=self.seed),
            "n": known,
        }


def results_of(parts: Sequence[tuple[Plan, Path]]) -> Results:
    """Metrics of what run folders hold so far, one folder a plan (several where a log was cut into folds).

    A case that a system did not meet has NaN in all its metrics.

    Raises:
        DataError: lines of a folder are not those of its plan's cases.
    """
    found = Results({}, np.empty(0, dtype=np.int64), [], {}, 0, 0, parts[0][0].settings.seed)
    users: dict[str, int] = {}
    numbered: list[int] = []
    slices: dict[str, list[bool]] = defaultdict(list)
    catalogue: set[str] = set()
    for plan, folder in parts:
        training = plan.training()
        popularity = {item.item_id: int(n) for item, n in zip(training.items, training.counts, strict=True)}
        index = _indexer()
        for case in _cases(plan):
            by_id = index(case.blind.candidates)
            numbered.append(users.setdefault(case.blind.user_id, len(users)))
            found.case_ids.append(case.blind.case_id)
            found.empty += not case.relevant
            catalogue.update(by_id if case.blind.met is None or not catalogue.issuperset(by_id) else ())
            for label, belongs in slices_of(case, by_id, popularity).items():
                slices[label] += [False] * (len(numbered) - 1 - len(slices[label])) + [belongs]
        _take_all(found.systems, plan, folder, popularity, max(int(training.counts.sum()), 1))
        for result in found.systems.values():
            result.pad(len(numbered))
    found.users = np.array(numbered, dtype=np.int64)
    found.candidates = len(catalogue)
    for label, values in slices.items():
        if any(values):
            found.slices[label] = np.array([*values, *[False] * (len(numbered) - len(values))], dtype=bool)
    return found


def _take_all(
    systems: dict[str, SystemResult], plan: Plan, folder: Path, popularity: Mapping[str, int], interactions: int
) -> None:
    """The lines of one folder, beside the cases that they are about."""
    lines = zip(read_lines(folder / RANKINGS), read_lines(folder / OUTCOMES), strict=True)
    index = _indexer()
    pending = next(lines, None)
    before = max((len(result) for result in systems.values()), default=0)
    while pending is not None:
        name = str(pending[0]["system"])
        result = systems.setdefault(name, SystemResult())
        result.pad(before)
        for case in _cases(plan):
            if pending is None or pending[0]["system"] != name:
                break
            line, outcome = pending
            if line["case_id"] != case.blind.case_id:
                raise DataError(f"{str(folder)!r}: expected case {case.blind.case_id!r}, found {line['case_id']!r}")
            _take(result, case, index(case.blind.candidates), line, outcome, popularity, interactions)
            pending = next(lines, None)


def _cases(plan: Plan) -> Iterator[Case]:
    return (case for case in plan.read() if isinstance(case, Case))


def _take(
    result: SystemResult,
    case: Case,
    by_id: Mapping[str, Item],
    line: Mapping[str, Any],
    outcome: Mapping[str, Any],
    popularity: Mapping[str, int],
    interactions: int,
) -> None:
    place = {item_id: number for number, item_id in enumerate(line["ranking"])}
    ranks = np.arange(1, len(place) + 1, dtype=np.float64)
    for start, length in outcome["ties"]:
        ranks[start : start + length] = start + (length + 1) / 2
    relevant = [float(ranks[place[item_id]]) if item_id in place else math.inf for item_id in case.relevant]
    top = [by_id[item_id] for item_id in line["ranking"][: lists.K]]
    values = ranking.all_of(relevant, candidates=len(by_id))
    if case.blind.met is not None:
        values["auc"] = math.nan  # of a whole catalogue only the first places are known
    values |= lists.all_of(top, history=case.blind.history, popularity=popularity, interactions=interactions)
    for metric, value in values.items():
        result.values[metric].append(value)
    shift, moves = outcome.get("shift"), outcome.get("moves")
    came = came_true(shift, case, by_id) if shift else None
    result.moves.append(math.nan if moves is None else float(moves))
    result.confidence.append(math.nan if came is None or not shift else float(shift["confidence"]))
    result.right.append(math.nan if came is None else float(came))
    result.failed += bool(outcome["failure"])
    result.warned += bool(line["warnings"])
    result.totals.update({key: outcome[key] for key in USAGE})
    result.recommended.update(item.item_id for item in top)


def came_true(shift: Mapping[str, Any], case: Case, by_id: Mapping[str, Item]) -> bool | None:
    """Whether what a system said of the interest came true: a relevant item bears one of the topics that it shifts to
    or, where no shift was named, one of the latest events'. None where nothing was said or there are no topics."""
    wanted, recent = _topics_of(case, by_id)
    if not (wanted and recent) or (shift["kind"] == "none" and not shift["confidence"]):
        return None
    return bool(wanted & (recent if shift["kind"] == "none" else set(shift["to_topics"])))


def _topics_of(case: Case, by_id: Mapping[str, Item]) -> tuple[set[str], set[str]]:
    """Topics of the relevant items, and of the latest events."""
    wanted = {topic for item_id in case.relevant if item_id in by_id for topic in by_id[item_id].topics}
    return wanted, {topic for item in case.blind.history[-RECENT:] for topic in item.topics}


def _indexer() -> Callable[[Sequence[Item]], Mapping[str, Item]]:
    """Candidates by id; a catalogue that comes again with every case is indexed once."""
    last: list[tuple[Sequence[Item], dict[str, Item]]] = []

    def index(candidates: Sequence[Item]) -> Mapping[str, Item]:
        if not last or last[0][0] is not candidates:
            last[:] = [(candidates, {item.item_id: item for item in candidates})]
        return last[0][1]

    return index


def slices_of(case: Case, by_id: Mapping[str, Item], popularity: Mapping[str, int]) -> dict[str, bool]:
    """Which slices a case belongs to. The interest shifts where no topic of a relevant item is among those of the
    latest five events; a case without topics is in neither slice."""
    blind: BlindCase = case.blind
    wanted, recent = _topics_of(case, by_id)
    told = bool(wanted and recent)
    cold = [popularity.get(item_id, 0) == 0 for item_id in case.relevant]
    named = {
        SHIFTS: told and not wanted & recent,
        STAYS: told and bool(wanted & recent),
        "cold user (< 5 events)": len(blind.history) < COLD_EVENTS,
        "cold item (in no training session)": bool(cold) and all(cold),
    }
    group = blind.context.get("group")
    return named | ({f"{GROUP}{group}": True} if group else {})


def document_of(results: Results, *, skipped: Mapping[str, str], problems: Sequence[object]) -> dict[str, Any]:
    """The results as one JSON document; NaN becomes null."""
    systems = {name: _system(results, name) for name in results.systems}
    document: dict[str, Any] = {
        "system": systems,
        "cases": {
            "n": len(results.case_ids),
            "users": len(set(results.users.tolist())),
            "without relevant items": results.empty,
            "wrong lines": [str(problem) for problem in problems],
        },
        "skipped": dict(skipped),
        "slices": {
            label: {
                "n": int(within.sum()),
                **{name: _shown(results.interval(name, PRIMARY, within)) for name in results.systems},
            }
            for label, within in results.slices.items()
        },
    }
    document["groups"] = _groups(results)
    document["shift"] = _shift(results)
    reference = next((name for name in ("whimbrel", "whimbrel-none") if name in results.systems), None)
    if reference and len(results.systems) > 1:
        slices = {label: results.slices[label] for label in (SHIFTS,) if label in results.slices}
        document["minus"] = {
            "of": reference,
            "metric": PRIMARY,
            "all cases": _minus(results, reference),
            **{label: _minus(results, reference, within) for label, within in slices.items()},
        }
    if {"whimbrel", "whimbrel-none"} <= results.systems.keys():
        document["llm lift"] = {
            metric: results.difference("whimbrel", "whimbrel-none", metric)
            for metric in ("auc", "mrr", "ndcg@5", "ndcg@10", "hr@1")
        }
    shown: dict[str, Any] = without_nan(document)
    return shown


def _minus(results: Results, one: str, within: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """How much more a system has than each other one, with p adjusted for how many there are."""
    against = {name: results.difference(one, name, PRIMARY, within) for name in results.systems if name != one}
    adjusted = holm({name: found["p"] for name, found in against.items()})
    return {name: found | {"p_holm": adjusted[name]} for name, found in against.items()}


def _groups(results: Results) -> dict[str, Any]:
    """For each group of cases (`context.group`) and system: the primary metric there less that of all other cases,
    with the 95% interval of the same draws of users for both."""
    found: dict[str, Any] = {}
    for label, within in results.slices.items():
        if not label.startswith(GROUP):
            continue
        found[label] = {}
        for name, result in results.systems.items():
            values, users = result.column(PRIMARY), results.users
            inside, outside = np.where(within, values, np.nan), np.where(within, np.nan, values)
            if np.isnan(inside).all() or np.isnan(outside).all():
                continue
            gap = float(np.nanmean(inside) - np.nanmean(outside))
            draws = [bootstrap_means(part, users, seed=results.seed) for part in (inside, outside)]
            found[label][name] = {"difference": gap, "ci": list(percentile_interval(draws[0] - draws[1]))}
    return found


def _shift(results: Results) -> dict[str, Any]:
    """Each system's probability that the interest shifts, against whether it did, and what it said against whether that
    came true; cases with topics only."""
    if SHIFTS not in results.slices or STAYS not in results.slices:
        return {}
    found = {}
    for name, result in results.systems.items():
        probability = np.array(result.moves, dtype=np.float64)
        told = ~np.isnan(probability) & (results.slices[SHIFTS] | results.slices[STAYS])
        truth = results.slices[SHIFTS][told]
        if not told.any():
            continue
        _, users = np.unique(results.users[told], return_inverse=True)
        groups = [np.flatnonzero(users == user) for user in range(int(users.max()) + 1)]
        confidence = np.array(result.confidence, dtype=np.float64)[told]
        right = np.nan_to_num(np.array(result.right, dtype=np.float64)[told]).astype(bool)
        said = ~np.isnan(confidence)
        found[name] = {
            "shifts": int(truth.sum()),
            **measure_decisions(truth, probability[told], groups, seed=results.seed),
            "said": {
                "n": int(said.sum()),
                "right": float(right[said].mean()) if said.any() else math.nan,
                "ece": expected_calibration_error(right[said], confidence[said]),
                "reliability": [list(point) for point in reliability(right[said], confidence[said])],
                "abstention": abstention(right[said], confidence[said]),
            },
        }
    return found


def _system(results: Results, name: str) -> dict[str, Any]:
    result = results.systems[name]
    found: dict[str, Any] = {"n": int((~np.isnan(result.column(PRIMARY))).sum())}
    for metric in result.values:
        if metric in WITH_INTERVAL:
            mean = results.interval(name, metric)
            found[metric], found[f"{metric}_ci"] = mean.value, [mean.low, mean.high]
        else:
            values = result.column(metric)
            found[metric] = float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
    found["coverage@10"] = len(result.recommended) / max(results.candidates, 1)
    found |= {"failed": result.failed, "with warnings": result.warned}
    found |= {key: round(float(result.totals[key]), 6) for key in USAGE}
    return found


def _shown(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "ci": [found.low, found.high], "n": found.n}


def without_nan(value: Any) -> Any:
    """The same with numbers that JSON knows: rounded to six places, null for what is none."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
