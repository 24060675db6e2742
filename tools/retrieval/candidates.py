"""Candidates from several channels, as of a moment: known by then, not met before, not refused."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Ints
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.records import liked as liked_of
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.exclusions import Refusal

HALF_LIFE = 5
"""Items after which one weighs half as much in the short-term vector."""
LATEST = 20
"""Latest distinct items that a candidate is compared with one by one."""
PER_CHANNEL, NEIGHBOURS = 200, 100
"""Candidates of each channel, and of those that search an index; more where more are asked for."""
SPARE = 4
"""How many times more neighbours are asked of the index than are wanted, and again where too many are filtered."""
MOST_ASKED = 64
"""How many times more candidates the channels are asked for where a limit leaves too few of them."""
ALIKE = 30
"""People of like taste whose latest items are candidates."""
EXPLORED = 0.05
"""Share of the candidates that are drawn from what few have met."""
RANK_CONSTANT = 60
"""Reciprocal rank fusion's constant (Cormack et al., 2009)."""
LEARNED = (
    "popular",
    "rising",
    "itemknn",
    "user_knn",
    "next_item",
    "co_occurrence",
    "embedding",
    "topics",
    "short",
    "long",
    "predicted",
)
"""Channels of which a log tells what they are worth; the others weigh 1, but a wish."""
WISH = 3.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interest:
    """Unit vectors of what a person is about: short term, long term, predicted, wished; None where unknown. `latest`
    holds those of the LATEST distinct items, the last first, shape (items, 384)."""

    short: Vectors | None = None
    long: Vectors | None = None
    predicted: Vectors | None = None
    wished: Vectors | None = None
    latest: Vectors | None = None

    def channels(self) -> dict[str, Vectors]:
        """The vectors to search near, by name."""
        found = {name: getattr(self, name) for name in ("short", "long", "predicted", "wished")}
        return {name: vector for name, vector in found.items() if vector is not None}


@dataclass(frozen=True)
class Candidate:
    """An item that may be recommended: the place it took in each channel, its vector, and what the log says of it.

    `seed_cosines` maps the user's own items to their cosine with this one; `statistics` holds the figures of
    `ItemStatistics`, empty
    where the log does not know the item.
    """

    item: Item
    vector: Vectors
    channels: Mapping[str, int] = field(default_factory=dict)
    seed_cosines: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    @property
    def popularity(self) -> int:
        """Its recent events."""
        return int(self.statistics.get("recent_popularity", 0))


def as_candidates(
    items: Sequence[Item],
    vectors: Mapping[str, Vectors],
    statistics: ItemStatistics,
    channels: Sequence[Mapping[str, int]] = (),
) -> list[Candidate]:
    """Items as candidates, with what the statistics says of those that its log knows."""
    rows = statistics.log.rows([item.item_id for item in items])
    place = {int(row): number for number, row in enumerate(dict.fromkeys(rows[rows >= 0]))}
    together = statistics.seed_cosines(np.array(list(place), dtype=np.int64)).T.tolist()
    return [
        Candidate(
            item=item,
            vector=vectors[item.item_id],
            channels=channels[number] if channels else {},
            seed_cosines=dict(zip(statistics.seeds, together[place[int(row)]], strict=True)) if row >= 0 else {},
            statistics=statistics.figures_of(int(row)) if row >= 0 else {},
        )
        for number, (item, row) in enumerate(zip(items, rows, strict=True))
    ]


def interest_of(
    history: Sequence[Item],
    vectors: Mapping[str, Vectors],
    *,
    predicted: Sequence[Vectors] = (),
    query: str = "",
    liked: Sequence[Vectors] = (),
) -> Interest:
    """The person's vectors from those of the items they met (`vectors`), of predicted topics and of a wish."""
    known = [item.item_id for item in liked_of(history) if item.item_id in vectors]
    met = [vectors[item_id] for item_id in known]
    ages = np.arange(len(met))[::-1]
    wished = [*(encode([query]) if query else []), *liked]
    latest = list(dict.fromkeys(reversed(known)))[:LATEST]
    return Interest(
        short=_mean(met, 0.5 ** (ages / HALF_LIFE)),
        long=_mean(met, np.ones(len(met))),
        predicted=_mean(list(predicted), np.ones(len(predicted))),
        wished=_mean(wished, np.ones(len(wished))),
        latest=np.stack([vectors[item_id] for item_id in latest]) if latest else None,
    )


@dataclass(frozen=True)
class Found:
    """What the channels brought of the rows of a log: the place that each took in each channel, from 1, the best first
    by reciprocal rank fusion, and the statistics that was asked."""

    statistics: ItemStatistics
    places: Mapping[int, Mapping[str, int]]

    def ordered(self, weights: Mapping[str, float]) -> list[int]:
        """Rows, the best first by weighted reciprocal rank fusion; those of equal scores by id."""
        worth = {"wished": WISH, **weights}
        ids = self.statistics.log.item_ids
        scores = {
            row: sum(worth.get(name, 1.0) * reciprocal(place) for name, place in own.items())
            for row, own in self.places.items()
        }
        return sorted(scores, key=lambda row: (-scores[row], ids[row]))


def reciprocal(place: int) -> float:
    """What a place in a channel is worth: 1 for the first."""
    return (RANK_CONSTANT + 1) / (RANK_CONSTANT + place)


@dataclass(frozen=True)
class Query:
    """What is known of a person at a moment (`before`): their history and interest, the probabilities of topics
    `expected` next, item embeddings of the log, and ids that may not come back beside those of the history."""

    history: Sequence[Item]
    before: float
    interest: Interest
    expected: Mapping[str, float] = field(default_factory=dict)
    embeddings: ItemEmbeddings | None = None
    without: Sequence[str] = ()


def search(catalogue: Catalogue, query: Query, *, n: int = 200) -> Found:
    """What each channel brings, of each more where more are asked for (`n`).

    Channels: nearest to the interest (`short`, `long`, `predicted`, `wished`); `itemknn`, `people`, `follows`, `near`,
    `embeddings` (see `ItemStatistics`); `taste` (the latest items of people of like taste), `topics` (what is
    popular among the
    topics `expected`, with their probabilities), `popular`, `rising`, and `explore` (what few have met, drawn). Nothing
    that happened at or after `before` has any part in it, and no item of the history or of `without` comes back.
    """
    log = catalogue.log
    statistics = ItemStatistics.of(log, query.history, before=query.before, embeddings=query.embeddings)
    allowed = log.known(before=query.before)
    gone = log.rows([*(item.item_id for item in query.history), *query.without])
    allowed[gone[gone >= 0]] = False
    scores: dict[str, Ints | Floats] = {
        "popular": statistics.recent_popularity,
        "rising": _rising(statistics),
        "itemknn": statistics.itemknn,
        "user_knn": statistics.user_knn,
        "next_item": statistics.next_item,
        "co_occurrence": statistics.co_occurrence,
        "embedding": statistics.embedding + statistics.nearest_embedding,
        "taste": _of_like_taste(catalogue, query.interest, query.before),
        "topics": _of_topics(statistics, query.expected),
    }
    ranked = {name: _top(values, allowed, max(PER_CHANNEL, n // 2)) for name, values in scores.items()}
    ranked |= _nearest(catalogue, query.interest.channels(), allowed, n=max(NEIGHBOURS, n // 2))
    ranked["explore"] = _drawn(statistics, allowed, n=int(n * EXPLORED))
    places: dict[int, dict[str, int]] = {}
    for name, rows in ranked.items():
        for place, row in enumerate(rows, start=1):
            places.setdefault(row, {})[name] = place
    return Found(statistics, places)


def retrieve(
    catalogue: Catalogue,
    query: Query,
    *,
    weights: Mapping[str, float] | None = None,
    avoid: Sequence[str] = (),
    max_price: float | None = None,
    n: int = 200,
    by_title: bool = True,
) -> list[Candidate]:
    """Up to `n` candidates, the best of what the channels bring (see `search`), each with its place in every channel.

    `weights` tell what each channel is worth. None comes back that is refused (`avoid`) or costs more than `max_price`;
    where these leave too few, the channels are asked for more. `by_title` takes items of equal titles for one: each
    title once, and none that is in the history.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    refusal = Refusal.of(avoid, catalogue.topic_vectors(before=query.before) if avoid else {})
    met = {item.title.casefold() for item in query.history} if by_title else set()

    def admits(item: Item) -> bool:
        dear = max_price is not None and item.price is not None and item.price > max_price
        return not dear and not refusal.covers(item) and not (by_title and item.title.casefold() in met)

    asked, most = n, min(MOST_ASKED * n, len(catalogue.log.item_ids)) if avoid or max_price is not None else n
    while True:
        found = search(catalogue, query, n=asked)
        chosen = _first(catalogue, found.ordered(weights or {}), admits, n=n, by_title=by_title)
        if len(chosen) == n or asked >= most:
            break
        asked = min(SPARE * asked, most)
    vectors = catalogue.item_vectors([item.item_id for item in chosen.values()])
    return as_candidates(list(chosen.values()), vectors, found.statistics, [found.places[row] for row in chosen])


def _first(
    catalogue: Catalogue, rows: Sequence[int], admits: Callable[[Item], bool], *, n: int, by_title: bool
) -> dict[int, Item]:
    """The first `n` items of rows that are admitted, each title once where it counts."""
    ids, items = catalogue.log.item_ids, dict[str, Item]()
    kept, names = dict[int, Item](), set[str]()
    for place, row in enumerate(rows):
        if place % n == 0:  # most of what the channels bring is never looked at
            items |= catalogue.items([ids[row] for row in rows[place : place + n]])
        item = items[ids[row]]
        name = item.title.casefold() if by_title else item.item_id
        if name not in names and admits(item):
            names.add(name)
            kept[row] = item
        if len(kept) == n:
            break
    return kept


def _rising(statistics: ItemStatistics) -> Floats:
    """How many times as often an item comes lately as it did ever, of those that come lately more than once."""
    lately, ever = (
        statistics.recent_popularity / max(statistics.recent_popularity.sum(), 1),
        statistics.popularity / max(statistics.popularity.sum(), 1),
    )
    return np.where(
        statistics.recent_popularity > 1, lately / np.maximum(ever, 1e-12) * np.sqrt(statistics.recent_popularity), 0.0
    )


def _of_like_taste(catalogue: Catalogue, interest: Interest, before: float) -> Floats:
    """How many of the people of like taste met an item among their latest. Tastes know the whole log, so that of an
    earlier moment nobody is asked."""
    log = catalogue.log
    found = np.zeros(len(log.item_ids))
    if interest.long is None or (log.end is not None and before <= log.end):
        return found
    people = catalogue.people_near(interest.long, n=ALIKE)
    for user in (log.user_rows[user_id] for user_id in people if user_id in log.user_rows):
        np.add.at(found, log.pair_item[log.pair_offset[user] : log.pair_offset[user + 1]][-LATEST:], 1.0)
    return found


def _of_topics(statistics: ItemStatistics, expected: Mapping[str, float]) -> Floats:
    """The probability of an item's topics, the mean one, times the logarithm of how often it came."""
    log = statistics.log
    if not expected or not len(log.topic):
        return np.zeros(len(log.item_ids))
    share = np.array([expected.get(topic, 0.0) for topic in log.topics])
    counts = np.diff(log.topic_offset)
    total = np.bincount(np.repeat(np.arange(len(counts)), counts), weights=share[log.topic], minlength=len(counts))
    return np.asarray(total / np.maximum(counts, 1) * np.log1p(statistics.popularity + statistics.recent_popularity))


def _drawn(statistics: ItemStatistics, allowed: NDArray[np.bool_], *, n: int) -> list[int]:
    """Items that few have met, drawn alike for the same history."""
    rows = np.flatnonzero(allowed)
    if not len(rows) or not n:
        return []
    rare = rows[statistics.popularity[rows] <= np.median(statistics.popularity[rows])]
    seed = zlib.crc32(" ".join(statistics.seeds).encode())
    return [int(row) for row in np.random.default_rng(seed).permutation(rare)[:n]]


def _nearest(
    catalogue: Catalogue, vectors: Mapping[str, Vectors], allowed: NDArray[np.bool_], *, n: int
) -> dict[str, list[int]]:
    """By channel the rows of the `n` nearest items that are allowed, the nearest first. The index knows no time and
    nobody's history, so it is asked for more until enough of them are, or it holds no more."""
    asked, total, found = n * SPARE, catalogue.item_count(), dict[str, list[int]]()
    while left := [name for name in vectors if name not in found]:
        for name, near in zip(
            left, catalogue.nearest(np.stack([vectors[name] for name in left]), n=asked), strict=True
        ):
            rows = catalogue.log.rows([item_id for item_id, _ in near])
            rows = rows[rows >= 0]
            kept = rows[allowed[rows]][:n].tolist()
            if len(kept) == n or asked >= total:
                found[name] = kept
        asked *= SPARE
    return found


def _top(scores: Ints | Floats, allowed: NDArray[np.bool_], n: int) -> list[int]:
    """Rows of the highest positive scores, equal ones in order."""
    rows = np.flatnonzero(allowed & (scores > 0))
    if len(rows) > n:
        rows = rows[scores[rows] >= np.partition(scores[rows], -n)[-n]]
    return [int(row) for row in rows[np.argsort(-scores[rows], kind="stable")][:n]]


def _mean(vectors: Sequence[Vectors], weights: Floats) -> Vectors | None:
    if not vectors:
        return None
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
