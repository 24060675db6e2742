"""Collect the verified facts that a reason may state: what an item shares with the person's events, and with whom."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property
from statistics import median

import numpy as np

from whimbrel.agent.explanation.asked import Asked
from whimbrel.agent.explanation.cite import by_cause
from whimbrel.agent.explanation.likeness import LEAST_COSINE, reads_as_name, same_variant, shared_topics, shared_words
from whimbrel.agent.ranking.modalities import Alike
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import Shift
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.log.people import PeopleCounts
from whimbrel.tools.records import Interaction, Item, liked
from whimbrel.tools.text.encoder import DIMENSION, Vectors
from whimbrel.tools.timestamps import DAY_SECONDS

LEAST_PEOPLE = 3
"""A reason mentions other people only if they are at least this many. One or two are chance, and could be
recognised."""
WINDOWS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}
"""The windows in which an item's people are counted, in days."""
HABIT_EVENTS, LEAST_HABIT = 10, 3
"""A topic is a habit if at least LEAST_HABIT of the last HABIT_EVENTS events have it."""
SINCE_DAYS = (2, 60)
"""People are counted since the person's latest event if it is from 2 to 60 days ago. A shorter time says nothing."""
USUAL_PRICE, LEAST_PRICES = 1.25, 3
"""A price is as usual within this factor of the median price of at least LEAST_PRICES events."""
LEAST_SAME_KIND = 5
"""A person with this many events, all of one kind, shows that this is the kind of event that the log records."""
NEAR_BEST = 0.75
"""Of the events that support a fact nearly as well as the best, one is taken that the list has not cited yet."""
LEAST_TOPIC_PEOPLE = 3
"""A reason names a topic if an item with it was chosen by this many people, or by as many as the usual item."""
SAME_TOPIC = 1.5
"""An event with a topic of the item counts this many times, because a reason about other people then also says why."""
SHARED_EVENTS = 2
"""Most events that one fact about likeness cites."""
MOST_TOPICS = 3
"""Most shared topics that a reason names, the rarest ones."""


@dataclass(frozen=True)
class Background:
    """What reasons may rest on.

    Attributes:
        history: The person's events, the latest last. May be empty.
        vectors: Unit text vectors of the items in the history, keyed by item id.
        shift: The predicted shift of interest.
        log: The interactions of all people.
        before: The moment of the request. Only earlier events of the log count. It is infinite if it is unknown.
        elsewhere: What the person chose in another store. It is named as such, and never cited.
        alike: By which modality, such as the image, an item is much like an item of the history, keyed by id.
        zone: The zone in which the people live.
        asked: What was asked for.
    """

    history: Sequence[Interaction]
    vectors: Mapping[str, Vectors]
    shift: Shift
    log: InteractionLog = field(default_factory=lambda: InteractionLog.build([], []))
    before: float = np.inf
    elsewhere: Sequence[Item] = ()
    alike: Mapping[str, Alike] = field(default_factory=dict)
    zone: tzinfo = UTC
    asked: Asked = field(default_factory=Asked)

    @cached_property
    def latest(self) -> dict[str, Interaction]:
        """The latest event of each item that may be cited, keyed by item id, in order of time."""
        latest: dict[str, Interaction] = {}
        for event in self.liked:
            latest.pop(event.item_id, None)  # a later event moves its item to the end
            latest[event.item_id] = event
        return latest

    @cached_property
    def liked(self) -> list[Interaction]:
        """The events that may be cited, in order of time.

        Ranking follows what is rated a little below the person's mean. A reason that cites it sounds wrong.
        """
        return [event for event in liked(self.history, deviations=0) if isinstance(event, Interaction)]

    @cached_property
    def vectors_elsewhere(self) -> tuple[list[Item], Vectors]:
        """The items elsewhere that have a text vector, and these vectors."""
        items = [item for item in self.elsewhere if item.item_id in self.vectors]
        vectors = [self.vectors[item.item_id] for item in items]
        return items, np.stack(vectors) if vectors else np.empty((0, DIMENSION), dtype=np.float32)

    @cached_property
    def people(self) -> PeopleCounts:
        """Counts of the other people."""
        return PeopleCounts(self.log, self.before, self.history[0].user_id if self.history else "")

    @cached_property
    def kind(self) -> str:
        """The kind of event that the log records, or "" if the person's events do not show it."""
        kinds = {event.event for event in self.history}
        return kinds.pop() if len(kinds) == 1 and len(self.history) >= LEAST_SAME_KIND else ""

    @cached_property
    def end(self) -> float:
        """The moment, or the time of the log's last event if the moment is unknown."""
        return self.before if np.isfinite(self.before) else (self.log.end or 0.0)

    @cached_property
    def catalogue_size(self) -> int:
        """The number of the log's items that had appeared by the moment."""
        return int(counts_before(self.log, self.before).known.sum())

    @cached_property
    def topic_items(self) -> Mapping[str, int]:
        """The number of these items with each topic."""
        return counts_before(self.log, self.before).topic_items

    @cached_property
    def people_count(self) -> int:
        """The number of people with events before the moment."""
        return counts_before(self.log, self.before).people

    @cached_property
    def usual_price(self) -> float | None:
        """The median price of the person's events, or None if too few have one."""
        prices = [event.price for event in self.history if event.price]
        return median(prices) if len(prices) >= LEAST_PRICES else None

    @cached_property
    def top_rating(self) -> float | None:
        """The person's highest rating, if they also gave lower ones."""
        ratings = {event.rating for event in self.history if event.rating is not None}
        return max(ratings) if len(ratings) > 1 else None

    def shared_topics(self, item: Item, other: Item) -> list[str]:
        """Return the topics that two items share, of those that reasons may name."""
        return [topic for topic in shared_topics(item, other) if self.may_name(topic)]

    def may_name(self, topic: str) -> bool:
        """Return whether reasons may name a topic.

        The maker of an item can write an order as its topic. So a topic must read as a name, and several people must
        have chosen an item with it. Where no item has several people, this is not asked.
        """
        counts = counts_before(self.log, self.before)
        return reads_as_name(topic) and counts.topic_users.get(topic, 0) >= min(LEAST_TOPIC_PEOPLE, self._usual_people)

    @cached_property
    def _usual_people(self) -> float:
        """The median number of people of an item that somebody met; 0 without a log."""
        users = counts_before(self.log, self.before).users
        return float(np.median(users[users > 0])) if users.any() else 0.0

    def share(self, item_id: str) -> float:
        """Return the share of all people who chose an item."""
        return self.people.of(item_id) / max(self.people_count, 1)

    def weight(self, topic: str) -> float:
        """Return how much a shared topic tells: the logarithm of how rare it is, in bits."""
        return self._weights.get(topic) or float(np.log2(1 + self.catalogue_size))

    @cached_property
    def _weights(self) -> Mapping[str, float]:
        items = np.maximum(np.array(list(self.topic_items.values()), dtype=np.float64), 1)
        return dict(zip(self.topic_items, np.log2(1 + self.catalogue_size / items).tolist(), strict=True))

    @cached_property
    def latest_vectors(self) -> tuple[list[Interaction], Vectors]:
        """The events of `latest` whose items have a text vector, and these vectors."""
        events = [event for item_id, event in self.latest.items() if item_id in self.vectors]
        vectors = [self.vectors[event.item_id] for event in events]
        return events, np.stack(vectors) if vectors else np.empty((0, DIMENSION), dtype=np.float32)

    def rarest(self, topics: Sequence[str]) -> list[str]:
        """Return the MOST_TOPICS rarest of these topics, the rarest first."""
        return sorted(topics, key=lambda topic: -self.weight(topic))[:MOST_TOPICS]


@dataclass(frozen=True)
class Together:
    """How many other people chose the item and these events' items.

    Attributes:
        count: The number of those people.
        of: The number of other people who chose the events' items.
        lift: By how much the share `count / of` exceeds the item's share of all people.
    """

    events: tuple[Interaction, ...]
    count: int
    of: int
    lift: float = 0.0


@dataclass(frozen=True)
class Likeness:
    """What the item shares with events: `topics`, else `words` of the titles, else only the meaning of the texts."""

    events: tuple[Interaction, ...]
    topics: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlikeIn:
    """The modality, such as the image, that carried the item, and the event whose item is much like it there."""

    modality: str
    event: Interaction


@dataclass(frozen=True)
class Popular:
    """How many other people chose the item within a window: a key of WINDOWS, or "ever"."""

    count: int
    window: str


@dataclass(frozen=True)
class Habit:
    """How many of the person's last `of` events have a topic of the item, and the latest event with it."""

    topic: str
    count: int
    of: int
    event: Interaction


@dataclass(frozen=True)
class Facts:
    """What is known of one item, as of the moment. A fact that does not hold is None or empty.

    Attributes:
        item: The item.
        latest: The person's latest event; None without a history.
        before: The person's events with the item itself, the latest last.
        others: Other people who chose the item and one event, the strongest first. They chose the item more often than
            people do in general; otherwise the event says nothing about it.
        both: Other people who chose the item and each of two events.
        likeness: By topics, by words and by meaning, in this order, as far as they hold.
        popular: Other people who chose the item lately.
        since: Other people who chose the item since the person's latest event; 0 if too few.
        expected: The likeliest topic of the item that is predicted to come next.
        expected_after: The person's latest event with that topic.
        habit: A topic of the item that the person chose often lately.
        usual_price: What the person usually pays, if the item costs about as much.
        elsewhere: The item of another store that is most like this one, if one is.
        alike: What the item is much like beside its text, if nothing ranked it higher than this.
        fits: Whether the item shows that it is what was asked for.
    """

    item: Item
    latest: Interaction | None = None
    before: tuple[Interaction, ...] = ()
    others: tuple[Together, ...] = ()
    both: Together | None = None
    likeness: tuple[Likeness, ...] = ()
    popular: Popular | None = None
    since: int = 0
    expected: str = ""
    expected_after: Interaction | None = None
    habit: Habit | None = None
    usual_price: float | None = None
    elsewhere: Item | None = None
    alike: AlikeIn | None = None
    fits: bool = False


def facts_of(entry: Ranked, known: Background, cited: Mapping[str, int] | None = None) -> Facts:
    """Collect the facts about a ranked item.

    Args:
        entry: The item.
        known: What facts may rest on.
        cited: How often the list has cited the event of each item so far. Events that were not cited are preferred.
    """
    item, uses = entry.candidate.item, Counter(cited or {})
    popular = _popular(item, known)
    if not known.liked:
        return Facts(item, popular=popular, elsewhere=_elsewhere(entry, known), fits=known.asked.shown_by(item))
    latest = known.liked[-1]
    others = _others(entry, known, uses)
    days = (known.end - latest.time) / DAY_SECONDS
    since = known.people.since(item.item_id, latest.time) if SINCE_DAYS[0] <= days <= SINCE_DAYS[1] else 0
    expected = next((topic for topic in known.shift.to_topics if topic in item.topics and known.may_name(topic)), "")
    after = [event for event in known.latest.values() if expected in event.topics]
    usual, price = known.usual_price, item.price
    return Facts(
        item=item,
        latest=latest,
        before=tuple(event for event in known.liked if event.item_id == item.item_id),
        others=others,
        both=_both(item, others, known),
        likeness=tuple(
            filter(None, (_by_topics(item, known, uses), _by_words(item, known, uses), _close(entry, known)))
        ),
        popular=popular,
        since=since if since >= LEAST_PEOPLE else 0,
        expected=expected,
        expected_after=after[-1] if after else None,
        habit=_habit(item, known),
        usual_price=usual if usual and price and 1 / USUAL_PRICE <= price / usual <= USUAL_PRICE else None,
        elsewhere=_elsewhere(entry, known),
        alike=_alike(entry, known),
        fits=known.asked.shown_by(item),
    )


def _others(entry: Ranked, known: Background, uses: Counter[str]) -> tuple[Together, ...]:
    item, item_id = entry.candidate.item, entry.candidate.item.item_id
    cosines = {
        event_id: cosine * (SAME_TOPIC if shared_topics(item, known.latest[event_id]) else 1)
        for event_id, cosine in entry.candidate.seed_cosines.items()
        if cosine > 0 and event_id in known.latest and event_id != item_id
    }
    together = []
    for event_id in _nearly_best(cosines, uses)[:SHARED_EVENTS]:
        count, of = known.people.of(event_id, item_id), known.people.of(event_id)
        if count >= LEAST_PEOPLE and count / of > known.share(item_id):
            together.append(Together((known.latest[event_id],), count, of, count / of - known.share(item_id)))
    return tuple(together)


def _both(item: Item, others: Sequence[Together], known: Background) -> Together | None:
    events = tuple(event for together in others for event in together.events)
    if len(_by_title(events)) < SHARED_EVENTS:
        return None
    ids = [event.item_id for event in events]
    count = known.people.of(*ids, item.item_id)
    if count < LEAST_PEOPLE:
        return None
    of = known.people.of(*ids)
    return Together(events, count, of, count / of - known.share(item.item_id))


def _by_topics(item: Item, known: Background, uses: Counter[str]) -> Likeness | None:
    shared = {event.item_id: known.shared_topics(item, event) for event in known.latest.values()}
    weights = {
        event_id: sum(map(known.weight, topics))
        for event_id, topics in shared.items()
        if topics and event_id != item.item_id
    }
    if not weights:
        return None
    best = _nearly_best(weights, uses)
    topics = shared[best[0]]
    events = [known.latest[event_id] for event_id in best if set(topics) <= set(shared[event_id])]
    return Likeness(tuple(_by_title(events)[:SHARED_EVENTS]), topics=tuple(known.rarest(topics)))


def _by_words(item: Item, known: Background, uses: Counter[str]) -> Likeness | None:
    shared = {event.item_id: shared_words(item.title, event.title) for event in known.latest.values()}
    lengths = {
        event_id: float(sum(map(len, words)))
        for event_id, words in shared.items()
        if words and event_id != item.item_id
    }
    if not lengths:
        return None
    best = _nearly_best(lengths, uses)[0]
    return Likeness((known.latest[best],), words=tuple(shared[best]))


def _close(entry: Ranked, known: Background) -> Likeness | None:
    item = entry.candidate.item
    events, vectors = known.latest_vectors
    others = [row for row, event in enumerate(events) if event.item_id != item.item_id]
    if not others:
        return None
    cosines = (vectors @ entry.candidate.vector)[others]
    best = events[others[int(np.argmax(cosines))]]
    return Likeness((best,)) if cosines.max() >= LEAST_COSINE and not same_variant(item.title, best.title) else None


def _elsewhere(entry: Ranked, known: Background) -> Item | None:
    items, vectors = known.vectors_elsewhere
    if not items:
        return None
    cosines, item = vectors @ entry.candidate.vector, entry.candidate.item
    like = [n for n, other in enumerate(items) if cosines[n] >= LEAST_COSINE or shared_topics(item, other)]
    return items[max(like, key=lambda n: float(cosines[n]))] if like else None


def _alike(entry: Ranked, known: Background) -> AlikeIn | None:
    alike, causes = known.alike.get(entry.candidate.item.item_id), by_cause(entry.signals)
    event = known.latest.get(alike.item_id) if alike else None
    carried = causes.get("modality", 0.0) > 0 and causes["modality"] == max(causes.values())
    return AlikeIn(alike.modality, event) if alike and event and carried else None


def _popular(item: Item, known: Background) -> Popular | None:
    for window, days in WINDOWS.items():
        count = known.people.since(item.item_id, known.end - days * DAY_SECONDS)
        if count >= LEAST_PEOPLE:
            return Popular(count, window)
    count = known.people.of(item.item_id)
    return Popular(count, "ever") if count >= LEAST_PEOPLE else None


def _habit(item: Item, known: Background) -> Habit | None:
    recent = known.history[-HABIT_EVENTS:]
    counts = Counter(topic for event in recent for topic in event.topics if topic in item.topics)
    often = [topic for topic in item.topics if counts[topic] >= LEAST_HABIT and known.may_name(topic)]
    if not often:
        return None
    topic = max(often, key=lambda topic: counts[topic] * known.weight(topic))
    # The recent events with the topic may all be dislikes, which are never cited.
    event = next(
        (event for event in reversed(recent) if topic in event.topics and known.latest.get(event.item_id) is event),
        None,
    )
    return Habit(topic, counts[topic], len(recent), event) if event else None


def _nearly_best(strength: Mapping[str, float], uses: Counter[str]) -> list[str]:
    """Return the keys, those nearly as strong as the strongest first, and among these the least used first."""
    least = NEAR_BEST * max(strength.values(), default=0.0)
    # Later events come later in the mapping. They are more telling, so they are preferred.
    late = {key: -place for place, key in enumerate(strength)}
    return sorted(strength, key=lambda key: (strength[key] < least, uses[key], -strength[key], late[key]))


def _by_title(events: Sequence[Interaction]) -> list[Interaction]:
    """Return the events whose titles differ. Two with the same title would read like one that is mentioned twice."""
    return list({event.title.casefold(): event for event in reversed(events)}.values())[::-1]
