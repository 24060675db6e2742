"""Measure lists where little is known: new people, new items, and people who are known in another store.

New people begin after the point in time that all systems learn until. They are asked about after 0, 1, 3 and 5 events,
and the list should hold what they choose next. New items are asked about at their very first event, among other items
that nobody has met by then. For the history elsewhere, the catalogue is split into two shops by topics.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.agent import Agent
from whimbrel.agent.elsewhere import Elsewhere
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.learn import MOST_CHOICES, Draw, learn_from
from whimbrel.agent.learning.sessions import SessionEvent, Training, catalogue_of
from whimbrel.agent.pipeline import RANK, run
from whimbrel.agent.state import Request, Resources
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.ranking import ndcg_at_k
from whimbrel.evals.systems.factors import lightfm
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store, open_store

Floats = NDArray[np.float64]
K = 10
EVENTS = (0, 1, 3, 5)
"""How many events of a new person are known."""
NEXT = 10
"""How many of the following new items the list should hold."""
LEARNED_UNTIL = 0.8
NEGATIVES = 19
LEAST_SHARED = 5
"""A person of both shops has at least so many items in each."""
OTHERS = ("popularity", "text similarity", "lightfm")
OURS = ("whimbrel", "whimbrel, shipped")
"""Whimbrel with what it learned from the log, and with what is shipped."""


@dataclass(frozen=True)
class _Systems:
    """What is compared, each learned from the log before a point in time."""

    store: Store
    items: Sequence[Item]
    ours: Mapping[str, Fitted]
    of_lightfm: Callable[[BlindCase], Any]

    def scores(self, name: str, history: Sequence[Item], candidates: Sequence[Item], at: float) -> Floats:
        """Score candidates by one of OTHERS."""
        if name == "popularity":
            log = self.store.log
            return log.popularity(before=at)[log.rows([item.item_id for item in candidates])].astype(np.float64)
        if name == "text similarity":
            vectors = self.store.item_vectors([item.item_id for item in [*history, *candidates]])
            stacked = np.stack([vectors[item.item_id] for item in candidates])
            mean = np.mean([vectors[item.item_id] for item in history], axis=0) if history else np.zeros(384)
            return np.asarray(stacked @ mean, dtype=np.float64)
        return np.asarray(self.of_lightfm(BlindCase("case", "nobody known", tuple(history), candidates)))


def measure_cold_start(
    location: str,
    *,
    users: int,
    seed: int = 0,
    split: Sequence[str] = (),
    choices: int = MOST_CHOICES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure cold starts on the log of a store.

    Args:
        location: The store, which is only read.
        users: The most people, and the most new items, that are asked about.
        seed: The seed of all draws.
        choices: The most choices that Whimbrel's weights are learned from.
        split: Topics. Items that have one of them are the other shop of the people; none if it is not measured.
        progress: Shows the progress.

    Returns:
        `people`: NDCG@10 of each system after 0, 1, 3 and 5 events. `items`: NDCG@10 of a new item among 20.
        `elsewhere`: NDCG@10 with and without the history in the other shop, for people who are new here and who are
        not. Each figure has its interval over people.

    Raises:
        DataError: the log has no new people.
    """
    progress = progress or NoProgress()
    with open_store(location) as store:
        until = float(store.log.time[int(len(store.log.time) * LEARNED_UNTIL)])
        shops = _split(store, set(split)) if split else None
        systems = _learn(store, until, Draw(most=choices, seed=seed, progress=progress))
        document = {
            "people": _people(systems, until, users, seed, progress),
            "items": _items(systems, until, users, seed, progress),
        }
        if shops:
            document["elsewhere"] = _elsewhere(shops, until, users, seed, progress)
    return document


def _learn(store: Store, until: float, draw: Draw) -> _Systems:
    log = store.log
    items = list(store.items(log.item_ids).values())
    rows = np.flatnonzero(log.time < until)
    by_user: dict[str, list[SessionEvent]] = {}
    for row in rows:
        event = SessionEvent(log.item_ids[log.item[row]], float(log.time[row]))
        by_user.setdefault(log.user_ids[log.user[row]], []).append(event)
    training = Training.of(by_user.items(), {item.item_id: item for item in items})
    learned = learn_from(catalogue_of(training), draw=draw).fitted
    ours = dict(zip(OURS, (learned.for_catalogue(store), Fitted.default()), strict=True))
    draw.progress.step("Learning LightFM", None)
    return _Systems(store, items, ours, lightfm(training, Settings(seed=draw.seed)))


def _people(systems: _Systems, until: float, users: int, seed: int, progress: Progress) -> dict[str, Any]:
    store, log = systems.store, systems.store.log
    first = np.full(len(log.user_ids), np.inf)
    np.minimum.at(first, log.user, log.time)
    new = np.random.default_rng(seed).permutation(np.flatnonzero(first >= until))
    known = [history for user in new if len(history := store.history(log.user_ids[user])) > max(EVENTS)][:users]
    if not known:
        raise DataError("nobody in this log is new in its last part")
    progress.step("Asking for new people", len(known))
    values: dict[int, dict[str, list[float]]] = {n: {name: [] for name in (*OURS, *OTHERS)} for n in EVENTS}
    for history in known:
        for n in EVENTS:
            before, at = history[:n], history[n].time
            met = {item.item_id for item in before}
            relevant = list(dict.fromkeys(e.item_id for e in history[n:] if e.item_id not in met))[:NEXT]
            lists: dict[str, list[str]] = {}
            for name, fitted in systems.ours.items():
                state = run(Request(history=before, at=at, k=K), Resources(store, fitted), RANK)
                lists[name] = [entry.candidate.item.item_id for entry in state.ranking.list]
            # All have the same candidates: the items that the log knew at the moment.
            free = log.known(before=at)
            pool = [item for item in systems.items if free[log.rows([item.item_id])[0]] and item.item_id not in met]
            for name in OTHERS:
                scores = systems.scores(name, before, pool, at)
                lists[name] = [pool[row].item_id for row in np.argsort(-scores, kind="stable")[:K]]
            for name, ids in lists.items():
                values[n][name].append(_ndcg(ids, relevant))
        progress.advance(1)
    return {str(n): _figures(of, seed) for n, of in values.items()}


def _items(systems: _Systems, until: float, most: int, seed: int, progress: Progress) -> dict[str, Any]:
    store, log = systems.store, systems.store.log
    random = np.random.default_rng(seed)
    by_row = {int(log.rows([item.item_id])[0]): item for item in systems.items}
    first = np.full(len(log.item_ids), np.inf)
    np.minimum.at(first, log.item, log.time)
    drawn = random.permutation(np.flatnonzero((log.time >= until) & (log.time == first[log.item])))
    values: dict[str, list[float]] = {name: [] for name in (*OURS, *OTHERS)}
    agents = {name: Agent(store, None, fitted=fitted) for name, fitted in systems.ours.items()}
    progress.step("Asking for new items", min(most, len(drawn)))
    for row in drawn:
        at, chosen = float(log.time[row]), int(log.item[row])
        history = store.history(log.user_ids[log.user[row]], before=at)
        others = random.permutation(np.flatnonzero(first > at))[:NEGATIVES]
        if not history or len(others) < NEGATIVES:
            continue
        pool = [by_row[int(number)] for number in random.permutation([chosen, *others])]
        target = [item.item_id for item in pool].index(log.item_ids[chosen])
        scores = {name: systems.scores(name, history, pool, at) for name in OTHERS}
        for name, agent in agents.items():
            order = agent.rank(history, pool, at=at)
            scores[name] = -np.array([order.index(item.item_id) for item in pool], dtype=np.float64)
        for name, of in scores.items():
            rank = 1 + (of > of[target]).sum() + ((of == of[target]).sum() - 1) / 2
            values[name].append(ndcg_at_k([float(rank)], k=K))
        progress.advance(1)
        if len(values["whimbrel"]) == most:
            break
    return _figures(values, seed)


def _split(store: Store, topics: set[str]) -> list[InMemory]:
    """Return the shop here, and that of the items with one of the topics."""
    items = list(store.items(store.log.item_ids).values())
    there = [item for item in items if topics.intersection(item.topics)]
    here = [item for item in items if not topics.intersection(item.topics)]
    if not there or not here:
        raise DataError(f"no item, or every item, has one of the topics {sorted(topics)}")
    return [_shop(store, of) for of in (here, there)]


def _elsewhere(shops: Sequence[InMemory], until: float, users: int, seed: int, progress: Progress) -> dict[str, Any]:
    log, elsewhere = shops[0].log, Elsewhere(shops[1], "the other shop")
    moments = list(_moments(shops, until, seed))[:users]
    values: dict[str, dict[str, list[float]]] = {who: {"without": [], "with": []} for who in ("new here", "known here")}
    progress.step("Asking people of both shops", len(moments))
    without = Resources(shops[0], Fitted.default())
    for user_id, at, relevant in moments:
        for who, of in values.items():
            for how, resources in (("without", without), ("with", replace(without, elsewhere=elsewhere))):
                request = Request(user_id=user_id, at=at, k=K, history=() if who == "new here" else None)
                shown = run(request, resources, RANK).ranking.list
                of[how].append(_ndcg([entry.candidate.item.item_id for entry in shown], relevant))
        progress.advance(1)
    sizes = {"items here": len(log.item_ids), "items there": len(shops[1].log.item_ids), "people": len(log.user_ids)}
    return {who: _figures(of, seed, first="with") for who, of in values.items()} | {"sizes": sizes}


def _shop(store: Store, items: Sequence[Item]) -> InMemory:
    log, ids = store.log, {item.item_id for item in items}
    events = [
        (float(time), log.user_ids[user], log.item_ids[item], None)
        for time, user, item in zip(log.time, log.user, log.item, strict=True)
        if log.item_ids[item] in ids
    ]
    return InMemory(items, InteractionLog.build(items, events), timed=True)


def _moments(shops: Sequence[InMemory], until: float, seed: int) -> Iterator[tuple[str, float, list[str]]]:
    """Yield people with items in both shops, a moment in the last part, and what they chose here from then on."""
    here, there = (shop.log for shop in shops)
    for user in np.random.default_rng(seed).permutation(len(here.user_ids)):
        pairs = slice(here.pair_offset[user], here.pair_offset[user + 1])
        times, items = here.pair_time[pairs], here.pair_item[pairs]
        later = np.flatnonzero(times >= until)
        if not len(later) or (other := there.user_rows.get(here.user_ids[user])) is None:
            continue
        at = float(times[later[len(later) // 2]])
        of_other = there.pair_time[there.pair_offset[other] : there.pair_offset[other + 1]]
        if (times < at).sum() >= LEAST_SHARED and (of_other < at).sum() >= LEAST_SHARED:
            yield here.user_ids[user], at, [here.item_ids[row] for row in items[times >= at][:NEXT]]


def _ndcg(ids: Sequence[str], relevant: Sequence[str]) -> float:
    return ndcg_at_k([ids.index(item_id) + 1 if item_id in ids else K + 1 for item_id in relevant], k=K)


def _figures(values: Mapping[str, Sequence[float]], seed: int, *, first: str = "whimbrel") -> dict[str, Any]:
    """Return the mean of each system, and of the first system minus it, with intervals."""
    rows = np.arange(len(values[first]))
    figures: dict[str, Any] = {}
    for name, of in values.items():
        figures[name] = {"ndcg@10": _as_json(interval(np.array(of), rows, seed=seed))}
        if name != first:
            figures[name]["behind"] = _as_json(interval(np.array(values[first]) - np.array(of), rows, seed=seed))
    return figures


def _as_json(of: Interval) -> dict[str, Any]:
    return {"value": of.value, "ci": [of.low, of.high], "n": of.n}


def cold_start_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_cold_start` as a Markdown table."""
    lines = ["| asked about | n | system | NDCG@10 | Whimbrel, or `with`, minus this |", "|---|---|---|---|---|"]
    parts = {f"new people, {n} events": of for n, of in document["people"].items()}
    parts["new items, among 20"] = document["items"]
    elsewhere = document.get("elsewhere", {})
    parts |= {f"people of two shops, {who}": of for who, of in elsewhere.items() if who != "sizes"}
    for part, systems in parts.items():
        for name, row in systems.items():
            behind = _words(row["behind"], "+") if "behind" in row else ""
            lines.append(f"| {part} | {row['ndcg@10']['n']} | {name} | {_words(row['ndcg@10'])} | {behind} |")
    if elsewhere:
        sizes = elsewhere["sizes"]
        lines += ["", f"Shops: {sizes['items here']:,} items here, {sizes['items there']:,} elsewhere."]
    return "\n".join(lines)


def _words(of: Mapping[str, Any], sign: str = "") -> str:
    low, high = of["ci"]
    return Interval(of["value"], low, high, of["n"]).words(sign)
