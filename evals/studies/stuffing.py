"""Let the maker of a candidate write orders into its texts, or title it like what the person met.

Each case of a file is ranked as it is, and again with the texts of one candidate changed. The gain is the difference
between its places. What any longer text does is measured by the kind "control", which orders nothing.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from whimbrel.agent.agent import Agent
from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.ranking.rank import Ranking
from whimbrel.evals.metrics.intervals import interval, wilson
from whimbrel.evals.metrics.ranking import mean_ranks
from whimbrel.evals.studies.self_boost import ATTACKS, Target
from whimbrel.tools.errors import DataError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import LONGEST_TITLE, Item

PLACES = ("title", "topics", "text")
"""Where an order is written."""
FEW_PLACES = 2
"""A gain of more places than this is counted."""
CONTROL = "control"
ROOM = 400
"""Characters of a title or a text that are kept before an order."""


GROUPS = ("all orders", "all stuffed titles", "all controls")


@dataclass(frozen=True)
class _Gain:
    """The places of a candidate with its own texts and with changed texts, counted from 1.

    Attributes:
        case: The number of the case.
        before, after: The places in the list.
        signals: The places by each signal alone. Candidates of equal value share the middle of their places.
    """

    case: int
    before: int
    after: int
    signals: Mapping[str, tuple[float, float]]

    @classmethod
    def between(cls, case: int, plain: Ranking, changed: Ranking, item_id: str) -> "_Gain":
        """Return the gain of a candidate that both rankings hold."""
        before, after = _place(plain, item_id), _place(changed, item_id)
        by_signal = _places_by_signal(plain, item_id), _places_by_signal(changed, item_id)
        alike = (len(plain.candidates) + 1) / 2  # a signal that is left out is the same for all candidates
        names = dict.fromkeys([*by_signal[0], *by_signal[1]])
        places = {name: (by_signal[0].get(name, alike), by_signal[1].get(name, alike)) for name in names}
        return cls(case, before, after, places)


def _place(ranking: Ranking, item_id: str) -> int:
    return [entry.candidate.item.item_id for entry in ranking.ranked].index(item_id) + 1


def _places_by_signal(ranking: Ranking, item_id: str) -> dict[str, float]:
    row = [item.item_id for item in ranking.candidates.items].index(item_id)
    return {name: float(mean_ranks(values)[row]) for name, values in ranking.signals.items()}


@dataclass(frozen=True)
class _Change:
    """What a maker does to an item: the kind, where it is written, and the item for a case."""

    kind: str
    place: str
    apply: Callable[[Item, Case], Item]


def orders() -> dict[str, list[str]]:
    """Return the orders of `orders.toml` by kind, 30 of each."""
    kinds = tomllib.loads(resources.files(__package__).joinpath("orders.toml").read_text("utf-8"))
    return {
        kind: [opening + demand for opening, demand in product(parts["openings"], parts["demands"])]
        for kind, parts in kinds.items()
    }


def measure_stuffing(
    agent: Agent, cases: Path, *, each: int, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure what a candidate gains from each kind of order, in each place, and from titles like the person's.

    Args:
        agent: The agent that ranks, without a store.
        cases: A file of cases.
        each: How many orders of each kind are tried in each place, at most 30, and how many stuffed titles.
        seed: Which candidate and which case each text goes to.
        progress: Shows the progress.

    Returns:
        For each kind and place: `n`, the median `gain` in places, the share of gains of more than two places and of
        first places, with their 95% intervals, and how often the same candidates came first before. `signals` of all
        orders, of all stuffed titles and of the control holds the mean gain by each signal alone (see `_by_signal`).

    Raises:
        DataError: the file has no case with a history and two candidates.
    """
    progress = progress or NoProgress()
    random = Random(seed)  # noqa: S311  # not for secrets
    usable = [case for case in read_cases(cases) if isinstance(case, Case) and _is_usable(case)]
    if not usable:
        raise DataError(f"{str(cases)!r} has no case with a history and two candidates")
    changes = _changes(each)
    progress.step("Ranking", len(changes))
    plain: dict[str, Ranking] = {}
    rows: dict[tuple[str, str], list[_Gain]] = {}
    for number, change in enumerate(changes):
        case = usable[number % len(usable)]
        blind = case.blind
        if blind.case_id not in plain:
            plain[blind.case_id] = agent.ranking(blind.history, blind.candidates, blind.context)
        chosen = random.randrange(len(blind.candidates))
        changed = list(blind.candidates)
        changed[chosen] = change.apply(changed[chosen], case)
        ranking = agent.ranking(blind.history, changed, blind.context)
        gain = _Gain.between(number % len(usable), plain[blind.case_id], ranking, changed[chosen].item_id)
        rows.setdefault((change.kind, change.place), []).append(gain)
        progress.advance(1)
    groups: dict[str, list[_Gain]] = {name: [] for name in GROUPS}
    for (kind, place), gains in rows.items():
        groups[GROUPS[2 if kind == CONTROL else 0 if place in PLACES else 1]] += gains
    return {
        "cases": len(usable),
        "rows": [{"kind": kind, "place": place, **_summary(gains)} for (kind, place), gains in rows.items()],
        **{name: {**_summary(gains), "signals": _by_signal(gains)} for name, gains in groups.items()},
    }


def _is_usable(case: Case) -> bool:
    return bool(case.blind.history) and len(case.blind.candidates) > 1


def _changes(each: int) -> list[_Change]:
    changes = [
        _Change(kind, place, _written(place, text))
        for kind, texts in orders().items()
        for place in PLACES
        for text in texts[:: max(len(texts) // each, 1)][:each]
    ]
    return [*changes, *(_Change(kind, "whole title", _titled(kind)) for kind in ATTACKS for _ in range(each))]


def _written(place: str, text: str) -> Callable[[Item, Case], Item]:
    def apply(item: Item, case: Case) -> Item:
        value = (*item.topics, text) if place == "topics" else f"{getattr(item, place)[:ROOM]} {text}".strip()
        return _written_as(item, **{place: value})

    return apply


def _titled(kind: str) -> Callable[[Item, Case], Item]:
    def apply(item: Item, case: Case) -> Item:
        history = case.blind.history
        titles = [event.title for event in reversed(history)]
        topics = list(dict.fromkeys(topic for event in reversed(history) for topic in event.topics)) or ["things"]
        target = Target("", "", titles, topics, [case.blind.candidates[0].title])
        title = ATTACKS[kind](target)[:LONGEST_TITLE]
        return _written_as(item, title=title, topics=topics if item.topics else ())

    return apply


def _written_as(item: Item, **texts: Any) -> Item:
    """Return the item with other texts, cleaned as those of a file are."""
    clean = Item.model_validate({"item_id": "any", "title": item.title} | texts)
    return item.model_copy(update={name: getattr(clean, name) for name in texts})


def _summary(gains: Sequence[_Gain]) -> dict[str, Any]:
    before, after = np.array([(gain.before, gain.after) for gain in gains]).T
    more = wilson(int((before - after > FEW_PLACES).sum()), len(gains))
    first = wilson(int((after == 1).sum()), len(gains))
    return {
        "n": len(gains),
        "gain": float(np.median(before - after)),
        "more": more.value,
        "more_ci": [more.low, more.high],
        "first": first.value,
        "first_ci": [first.low, first.high],
        "first_before": float((before == 1).mean()),
    }


def _by_signal(gains: Sequence[_Gain]) -> dict[str, dict[str, Any]]:
    """Return `n`, the mean gain in places by each signal alone, and its 95% interval over cases, keyed by signal.

    A signal that moves nobody is left out.
    """
    by_signal = {}
    for name in dict.fromkeys(name for gain in gains for name in gain.signals):
        with_signal = [gain for gain in gains if name in gain.signals]
        values = np.array([np.subtract(*gain.signals[name]) for gain in with_signal])
        if values.any():
            _, cases = np.unique([gain.case for gain in with_signal], return_inverse=True)
            mean = interval(values, cases, seed=0)
            by_signal[name] = {"n": len(values), "gain": mean.value, "gain_ci": [mean.low, mean.high]}
    return by_signal


def stuffing_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_stuffing` as a Markdown table."""
    lines = [
        "| what | where | n | median gain | more than two places | first | first before |",
        "|---|---|---|---|---|---|---|",
    ]
    named = [(row["kind"], row["place"], row) for row in document["rows"]]
    for kind, place, row in [*named, *((name, "", document[name]) for name in GROUPS)]:
        lines.append(
            f"| {kind} | {place} | {row['n']} | {row['gain']:.0f} | {_share(row, 'more')} | {_share(row, 'first')} "
            f"| {row['first_before']:.1%} |"
        )
    names = dict.fromkeys(name for group in GROUPS for name in document[group]["signals"])
    lines += [
        "",
        "Mean gain in places by each signal alone:",
        "",
        f"| signal | {' | '.join(GROUPS)} |",
        "|---" * 4 + "|",
    ]
    for name in names:
        values = (document[group]["signals"].get(name) for group in GROUPS)
        lines.append(f"| {name} | {' | '.join(_gain_words(value) for value in values)} |")
    return "\n".join(lines)


def _gain_words(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "0"
    low, high = row["gain_ci"]
    return f"{row['gain']:+.2f} [{low:+.2f}, {high:+.2f}]"


def _share(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_ci"]
    return f"{row[name]:.1%} [{low:.1%}, {high:.1%}]"
