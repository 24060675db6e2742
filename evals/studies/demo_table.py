"""The table of a case: Whimbrel beside user-based collaborative filtering and popularity, and the book's claims."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.evals.metrics import ranking
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.studies.demo_cases import CaseLog, DemoCase, Person
from whimbrel.evals.studies.migration import measure_migration
from whimbrel.evals.systems.protocol import Scored, Settings
from whimbrel.evals.systems.registry import load_system
from whimbrel.evals.systems.whimbrel import scored
from whimbrel.tools.progress import Progress

Floats = NDArray[np.float64]

WHIMBREL, CF, POPULARITY = "Whimbrel", "user-based CF", "popularity"
METRICS = ("accuracy", "precision", "recall", "f1", "ndcg", "hit rate")
COMPARED = ("precision", "f1", "ndcg")
"""The metrics in which Whimbrel is compared with collaborative filtering."""
TOPIC_SYSTEMS = {"whimbrel": WHIMBREL, "user-cf": CF, "popularity": POPULARITY}
TOPIC_METRICS = ("accuracy", "precision", "recall", "f1")


def measure_lists(log: CaseLog, case: DemoCase, *, people: int, progress: Progress, seed: int = 0) -> dict[str, Any]:
    """Measure lists of length `case.k` for held-out people, with 95% intervals over people.

    All lists are made before any is compared. Equal scores are ordered at random, so that a system that knows nothing
    is as good as chance.

    Args:
        log: The log of the case.
        case: The case.
        people: The most people.
        progress: Shows the progress.
        seed: The seed of ties and of intervals.

    Returns:
        For each system and metric, the value and its interval; the difference of Whimbrel and collaborative filtering,
        paired; and the accuracy of a list that holds nothing.
    """
    asked = _asked(log, people)
    cases = [_blind(log, person) for person in asked]
    random = np.random.default_rng(seed)
    orders: dict[str, list[list[str]]] = {}
    scorers = {
        WHIMBREL: lambda case: scored(log.agent, case),
        CF: load_system("userknn")(log.training, Settings()),
        POPULARITY: load_system("popularity")(log.training, Settings()),
    }
    for name, score in scorers.items():
        progress.step(f"Making lists: {name}", len(cases))
        orders[name] = []
        for blind in cases:
            orders[name].append(_top(score(blind), blind, case.k, random))
            progress.advance(1)
    truth = [_new(person) for person in asked]
    sizes = [len(blind.candidates) for blind in cases]
    values = {name: _values(lists, truth, sizes, case.k) for name, lists in orders.items()}
    users = np.arange(len(cases))

    def of(column: Floats) -> dict[str, Any]:
        return _figure(interval(column, users, seed=seed))

    return {
        "k": case.k,
        "n": len(cases),
        "candidates": int(np.mean(sizes)) if sizes else 0,
        "chosen": float(np.mean([len(relevant) for relevant in truth])) if truth else 0.0,
        "system": {name: {metric: of(row[metric]) for metric in METRICS} for name, row in values.items()},
        "whimbrel minus cf": {metric: of(values[WHIMBREL][metric] - values[CF][metric]) for metric in COMPARED},
        "accuracy of an empty list": float(np.mean([1 - len(r) / n for r, n in zip(truth, sizes, strict=True)])),
    }


def _asked(log: CaseLog, most: int) -> list[Person]:
    """Return the first people who chose something new after the cut."""
    asked: list[Person] = []
    for person in log.people:
        if len(asked) == most:
            break
        if _new(person):
            asked.append(person)
    return asked


def _new(person: Person) -> set[str]:
    """Return the ids of what the person chose later and not before."""
    return {item.item_id for item in person.later} - {item.item_id for item in person.history}


def _blind(log: CaseLog, person: Person) -> BlindCase:
    whole = person.candidates is None
    return BlindCase(
        case_id=person.user_id,
        user_id=person.user_id,
        history=tuple(person.history),
        candidates=log.items if person.candidates is None else person.candidates,
        met=frozenset(item.item_id for item in person.history) if whole else None,
        at=person.at,
    )


def _top(answer: "Floats | Scored", case: BlindCase, k: int, random: np.random.Generator) -> list[str]:
    """Return the first k candidates by score that the person does not have."""
    scores = np.array(answer.scores if isinstance(answer, Scored) else answer, dtype=np.float64)
    order = np.lexsort((random.random(len(scores)), -scores))
    met = case.met or frozenset()
    ids = (case.candidates[row].item_id for row in order)
    return [item_id for item_id, _ in zip((i for i in ids if i not in met), range(k), strict=False)]


def _values(
    lists: Sequence[Sequence[str]], truth: Sequence[set[str]], sizes: Sequence[int], k: int
) -> dict[str, Floats]:
    """Return each metric of each list, shape (people,)."""
    rows: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for listed, relevant, size in zip(lists, truth, sizes, strict=True):
        position = {item_id: rank for rank, item_id in enumerate(listed, start=1)}
        ranks = [float(position.get(item_id, np.inf)) for item_id in relevant]
        rows["accuracy"].append(ranking.accuracy_at_k(ranks, k=k, candidates=size))
        rows["precision"].append(ranking.precision_at_k(ranks, k=k))
        rows["recall"].append(ranking.recall_at_k(ranks, k=k))
        rows["f1"].append(ranking.f1_at_k(ranks, k=k))
        rows["ndcg"].append(ranking.ndcg_at_k(ranks, k=k))
        rows["hit rate"].append(ranking.hit_rate_at_k(ranks, k=k))
    return {metric: np.array(values) for metric, values in rows.items()}


def _figure(value: Interval) -> dict[str, Any]:
    return {"value": value.value, "ci": [value.low, value.high]}


def measure_topics(log: CaseLog, *, progress: Progress, seed: int = 0) -> dict[str, Any]:
    """Measure which topics the next window will hold, the question that the book's claims are about.

    Returns:
        For each system and metric, the value and its interval; the ratio of F1 to collaborative filtering; and the
        accuracy of the constant answer that no topic comes.
    """
    document = measure_migration(log.meetings, seed=seed, progress=progress)
    measured: Mapping[str, Any] = document["all"]["system"]
    first = measured["whimbrel"]
    return {
        "n": first["users"],
        "pairs": first["n"],
        "system": {
            words: {m: {"value": measured[name][m], "ci": measured[name][f"{m}_ci"]} for m in TOPIC_METRICS}
            for name, words in TOPIC_SYSTEMS.items()
        },
        "f1 to cf": {"value": first["f1 to user-cf"], "ci": first["f1 to user-cf_ci"]},
        "accuracy of never": 1 - first["positive"] / first["n"],
    }
