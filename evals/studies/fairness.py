"""Measure whom lists serve and which items they show, and what it costs to show rarely chosen items.

Each person is asked about at the moment of their latest new item. The list should hold what they then chose. All counts
are as of that moment. The shipped weights rank: those of the store were learned from the end of its log, which holds
the very choices that are asked about.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.agent import Agent
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.pipeline import RANK
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.state import PipelineConfig, Request
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.ranking import ndcg_at_k
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.store.store import Store, open_store

Floats = NDArray[np.float64]

K = 10
LEAST_EVENTS = 5
"""Earlier events of a person who is asked about."""
HEAD_SHARE = 0.5
"""The most popular items with this share of all events are the head, the others the tail."""
BINS = 3
"""Numbers about people, such as the age, are split into so many groups of equal size."""
MOST_GROUPS = 6
"""Of more groups, the largest are reported."""


@dataclass(frozen=True)
class _Moment:
    """A person, the moment of their latest new item, that item's row, and the rows of the items before."""

    user: int
    at: float
    chosen: int
    before: NDArray[np.int64]


@dataclass
class _Lists:
    """What lists of one setting held, a value for each person.

    Attributes:
        gain: NDCG@10 of what was chosen.
        tail: The share of the list that is not in the head.
        lift: How much more popular the list is than the history: the ratio of mean popularities, minus 1.
        shown: How often each item was shown, shape (items,).
    """

    shown: NDArray[np.int64]
    gain: list[float] = field(default_factory=list)
    tail: list[float] = field(default_factory=list)
    lift: list[float] = field(default_factory=list)


def measure_fairness(
    location: str,
    *,
    users: int,
    exposures: Sequence[float] = (0.0,),
    people: Mapping[str, Mapping[str, str]] | None = None,
    maker: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure lists for people of a store, for each setting of `RankConfig.exposure`.

    Args:
        location: A store, which is only read.
        users: How many people are asked about.
        exposures: The settings. The first one is what the others are compared with.
        people: What is known of each person, such as gender and age, keyed by user id.
        maker: The field that names who made or sells an item; "topics" for the first topic; "" if there is none.
        seed: Seed of the draw of people.
        progress: Shows the progress.

    Returns:
        `settings`: for each exposure, `ndcg@10`, `cost` (its difference from the first setting), the `tail` share, the
        popularity `lift`, each with its 95% interval over people, and the `gini` index and `coverage` of all lists.
        `groups`: NDCG@10 by group of people. `makers`: shares of what was shown and of what was chosen.

    Raises:
        DataError: nobody has enough events.
    """
    progress = progress or NoProgress()
    with open_store(location) as store:
        log, fitted = store.log, Fitted.default()
        moments = _moments(log, users, seed)
        progress.step("Recommending", len(moments) * len(exposures))
        lists = {}
        for exposure in exposures:
            config = PipelineConfig(rank=RankConfig(exposure=exposure))
            lists[exposure] = _ask(Agent(store, None, config, fitted=fitted), moments, log, progress)
        makers = _makers(store, maker, log, moments, lists) if maker else {}
    row = np.arange(len(moments))
    first = lists[exposures[0]]
    settings = {}
    for exposure, of in lists.items():
        cost = np.array(of.gain) - np.array(first.gain)
        settings[f"{exposure:g}"] = {
            "ndcg@10": _document(interval(np.array(of.gain), row, seed=seed)),
            "cost": _document(interval(cost, row, seed=seed)),
            "tail": _document(interval(np.array(of.tail), row, seed=seed)),
            "lift": _document(interval(np.array(of.lift), row, seed=seed)),
            "gini": gini(of.shown),
            "coverage": float((of.shown > 0).mean()),
        }
    groups = [
        {
            "of": name,
            "group": group,
            **{
                f"{exposure:g}": _document(interval(np.array(of.gain)[members], np.arange(len(members)), seed=seed))
                for exposure, of in lists.items()
            },
        }
        for name, group, members in _groups(log, moments, people or {})
    ]
    return {"users": len(moments), "settings": settings, "groups": groups, "makers": makers}


def _moments(log: InteractionLog, users: int, seed: int) -> list[_Moment]:
    moments = []
    draw = list(range(len(log.user_ids)))
    Random(seed).shuffle(draw)  # noqa: S311  # not for secrets
    for user in draw:
        pairs = slice(log.pair_offset[user], log.pair_offset[user + 1])
        items, times = log.pair_item[pairs], log.pair_time[pairs]
        if not len(times) or (before := items[times < times[-1]]).size < LEAST_EVENTS:
            continue
        moments.append(_Moment(user, float(times[-1]), int(items[-1]), before))
        if len(moments) == users:
            break
    if not moments:
        raise DataError(f"nobody in the store has {LEAST_EVENTS} items before their latest one")
    return moments


def _ask(agent: Agent, moments: Sequence[_Moment], log: InteractionLog, progress: Progress) -> _Lists:
    lists = _Lists(np.zeros(len(log.item_ids), dtype=np.int64))
    for moment in moments:
        request = Request(user_id=log.user_ids[moment.user], at=moment.at, k=K)
        shown = log.rows([entry.candidate.item.item_id for entry in agent.run(request, RANK).ranking.list])
        ranks = np.flatnonzero(shown == moment.chosen) + 1
        popularity = log.popularity(before=moment.at)
        lists.shown[shown] += 1
        lists.gain.append(ndcg_at_k(ranks.tolist() or [K + 1], k=K))
        lists.tail.append(float((~_is_head(popularity)[shown]).mean()) if len(shown) else np.nan)
        usual = float(popularity[moment.before].mean())
        lists.lift.append(float(popularity[shown].mean()) / usual - 1 if len(shown) and usual else np.nan)
        progress.advance(1)
    return lists


def _is_head(popularity: NDArray[np.int64]) -> NDArray[np.bool_]:
    order = np.argsort(-popularity, kind="stable")
    count = int(np.searchsorted(np.cumsum(popularity[order]), HEAD_SHARE * popularity.sum())) + 1
    is_head = np.zeros(len(popularity), dtype=bool)
    is_head[order[:count]] = True
    return is_head


def gini(counts: NDArray[np.int64]) -> float:
    """Return the Gini index of how often items were shown: 0 if all were equally often, near 1 if one always was.

    Example:
        >>> gini(np.array([1, 1])), gini(np.array([0, 2]))
        (0.0, 0.5)
    """
    ascending = np.sort(counts)
    weights = 2 * np.arange(1, len(counts) + 1) - len(counts) - 1
    return float(weights @ ascending / (len(counts) * max(int(counts.sum()), 1)))


def _groups(
    log: InteractionLog, moments: Sequence[_Moment], people: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Yield what groups are of, the name of each group, and its members as positions in `moments`."""
    activity = [str(len(moment.before)) for moment in moments]
    yield from _split("earlier items", activity)
    known = [people.get(log.user_ids[moment.user], {}) for moment in moments]
    for name in dict.fromkeys(name for facts in known for name in facts):
        yield from _split(name, [facts.get(name, "") for facts in known])


def _split(name: str, values: Sequence[str]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    given = np.array([value != "" for value in values])
    try:
        numbers = np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) and len(np.unique(numbers[given])) > MOST_GROUPS:
        edges = np.quantile(numbers[given], np.linspace(0, 1, BINS + 1), method="nearest")
        for low, high in pairwise(edges):
            is_last = high == edges[-1]
            within = given & (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
            if within.any():
                yield name, f"{low:g} to {high:g}" if is_last else f"{low:g} to under {high:g}", np.flatnonzero(within)
        return
    sizes = {value: values.count(value) for value in values if value}
    for value in sorted(sizes, key=lambda value: -sizes[value])[:MOST_GROUPS]:
        yield name, value, np.flatnonzero(np.array(values) == value)


def _makers(
    store: Store, maker: str, log: InteractionLog, moments: Sequence[_Moment], lists: Mapping[float, _Lists]
) -> dict[str, Any]:
    items = store.items(log.item_ids)
    of = np.array([_maker_of(items[id_], maker) if id_ in items else "" for id_ in log.item_ids])
    chosen = np.bincount([moment.chosen for moment in moments], minlength=len(of))
    names = sorted(set(of) - {""}, key=lambda name: -int(chosen[of == name].sum()))
    shares = {
        "chosen": _shares(chosen, of, names),
        **{f"{e:g}": _shares(lists_.shown, of, names) for e, lists_ in lists.items()},
    }
    rows = [
        {"maker": name, **{key: share[number] for key, share in shares.items()}} for number, name in enumerate(names)
    ]
    apart = {key: float(np.abs(share - shares["chosen"]).sum() / 2) for key, share in shares.items() if key != "chosen"}
    return {"field": maker, "makers": len(names), "rows": rows[:MOST_GROUPS], "apart": apart}


def _maker_of(item: Item, maker: str) -> str:
    return next(iter(item.topics), "") if maker == "topics" else str(item.fields.get(maker, ""))


def _shares(counts: NDArray[np.int64], of: NDArray[np.str_], names: Sequence[str]) -> Floats:
    totals = np.array([counts[of == name].sum() for name in names], dtype=np.float64)
    return np.asarray(totals / max(totals.sum(), 1.0))


def _document(of: Interval) -> dict[str, Any]:
    return {"value": of.value, "ci": [of.low, of.high], "n": of.n}


def fairness_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_fairness` as Markdown tables."""
    lines = [
        f"{document['users']} people",
        "",
        "| exposure | NDCG@10 | cost | tail | popularity lift | Gini | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for exposure, row in document["settings"].items():
        values = " | ".join(_words(row[name]) for name in ("ndcg@10", "cost", "tail", "lift"))
        lines.append(f"| {exposure} | {values} | {row['gini']:.3f} | {row['coverage']:.1%} |")
    settings = list(document["settings"])
    heads = " | ".join(f"NDCG@10 at {exposure}" for exposure in settings)
    lines += ["", f"| people by | group | n | {heads} |", "|---" * (3 + len(settings)) + "|"]
    for row in document["groups"]:
        values = " | ".join(_words(row[exposure]) for exposure in settings)
        lines.append(f"| {row['of']} | {row['group']} | {row[settings[0]]['n']} | {values} |")
    if makers := document["makers"]:
        heads = " | ".join(f"shown at {exposure}" for exposure in settings)
        lines += ["", f"| {makers['field']} | chosen | {heads} |", "|---" * (2 + len(settings)) + "|"]
        for row in makers["rows"]:
            shares = " | ".join(f"{row[name]:.1%}" for name in ("chosen", *settings))
            lines.append(f"| {row['maker']} | {shares} |")
        apart = " | ".join(f"{makers['apart'][name]:.1%}" for name in settings)
        lines.append(f"| all {makers['makers']}: share that would have to move | | {apart} |")
    return "\n".join(lines)


def _words(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.3f} [{value['ci'][0]:.3f}, {value['ci'][1]:.3f}]"
