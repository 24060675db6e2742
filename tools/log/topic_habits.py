"""What everybody does, as of a moment: which topics are met at all, at which hour, in which situation, and after
which."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import hour_of, is_weekend

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_TOPICS = 1000
"""Topics that are told apart, the most frequent."""
DIGITS = 5
LATELY = 1 / 16
"""Share of the events that are recent."""
FOLLOWED = 4
MOST_SITUATIONS = 200
"""Values of the situation that are told apart, the most frequent."""


@dataclass(frozen=True)
class TopicHabits:
    """Counts over all events before a moment; the topics of one event share 1.

    `ever` and `lately` have shape (topics,), `hours` (24, topics), `weekend` (2, topics), `follows` (topics, topics)
    with the earlier topic in the row. `situations` maps a key and value to shape (topics,)."""

    topics: tuple[str, ...]
    ever: Floats
    lately: Floats
    hours: Floats
    weekend: Floats
    situations: Mapping[tuple[str, str], Floats]
    follows: NDArray[np.float32]

    @cached_property
    def position(self) -> dict[str, int]:
        """Row of each topic."""
        return {topic: row for row, topic in enumerate(self.topics)}

    @classmethod
    def of(cls, log: InteractionLog, *, before: float) -> Self:
        """From the events of a log before a moment."""
        stop = int(np.searchsorted(log.time, before))
        since = stop - max(int(stop * LATELY), 1)
        topic, event = log.topics_of(log.item[:stop])
        kept, column = log.frequent_topics(topic, MOST_TOPICS)
        told = column[topic] >= 0
        topic, event = column[topic[told]], event[told]
        share = 1.0 / np.bincount(event, minlength=stop)[event]
        width = len(kept)

        def counted(group: Ints, groups: int) -> Floats:
            return _sums(group * width + topic, share, groups * width).reshape(groups, width)

        time = log.time[:stop]
        late = event >= since
        return cls(
            topics=tuple(log.topics[row] for row in kept),
            ever=_sums(topic, share, width),
            lately=_sums(topic[late], share[late], width),
            hours=counted(hour_of(time)[event], 24),
            weekend=counted(is_weekend(time)[event].astype(np.int64), 2),
            situations=_situations(log, topic, event, share, width),
            follows=_follows(log.user[:stop], topic, event, width),
        )


class TopicHabitsOverTime:
    """The habits of a log, counted up to moments of which many requests share one: how many events lie before each is a
    number of five binary digits and zeros behind, so it depends on nothing that comes later."""

    def __init__(self, log: InteractionLog) -> None:
        self._log = log
        self._counted: dict[int, TopicHabits] = {}

    def before(self, moment: float) -> TopicHabits:
        """As of a moment at most a sixteenth of the events before."""
        known = int(np.searchsorted(self._log.time, moment))
        step = 1 << max(known.bit_length() - DIGITS, 0)
        end = known // step * step
        if end not in self._counted:
            whole = end == len(self._log.time)
            self._counted[end] = TopicHabits.of(self._log, before=np.inf if whole else float(self._log.time[end]))
        return self._counted[end]


def _sums(places: Ints, weights: Floats, length: int) -> Floats:
    return np.asarray(np.bincount(places, weights=weights, minlength=length), dtype=np.float64)


def _situations(
    log: InteractionLog, topic: Ints, event: Ints, share: Floats, width: int
) -> dict[tuple[str, str], Floats]:
    if not any(log.situations):
        return {}
    code = log.situation[event]
    held = np.bincount(code, minlength=len(log.situations))
    given: list[dict[str, str]] = [json.loads(text) if text else {} for text in log.situations]
    often: Counter[tuple[str, str]] = Counter()
    for situation, count in zip(given, held.tolist(), strict=True):
        often.update(dict.fromkeys(situation.items(), count))
    kept = [pair for pair, count in sorted(often.items(), key=lambda one: (-one[1], one[0])) if count][:MOST_SITUATIONS]
    found: dict[tuple[str, str], Floats] = {}
    for key in {key for key, _ in kept}:
        pairs = [pair for pair in kept if pair[0] == key]
        row = {value: number for number, (_, value) in enumerate(pairs)}
        of_code = np.array([row.get(situation.get(key, ""), -1) for situation in given], dtype=np.int64)
        mine = of_code[code] >= 0
        counts = _sums(of_code[code[mine]] * width + topic[mine], share[mine], len(pairs) * width)
        found.update(zip(pairs, counts.reshape(len(pairs), width), strict=True))
    return found


def _follows(user: Ints, topic: Ints, event: Ints, width: int) -> NDArray[np.float32]:
    """Counts of a topic behind another in a user's neighbouring events, the pairs of two events sharing 1; of an
    event's topics the first FOLLOWED count."""
    first = np.searchsorted(event, np.arange(len(user)))
    told = np.minimum(np.append(first[1:], len(event)) - first, FOLLOWED)
    order = np.argsort(user, kind="stable")
    same = user[order[1:]] == user[order[:-1]]
    before, after = order[:-1][same], order[1:][same]
    pairs = told[before] * told[after]
    pair = np.repeat(np.arange(len(pairs)), pairs)
    number = np.arange(len(pair)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    one = topic[first[before[pair]] + number // np.maximum(told[after[pair]], 1)]
    other = topic[first[after[pair]] + number % np.maximum(told[after[pair]], 1)]
    counts = _sums(one * width + other, 1.0 / np.maximum(pairs[pair], 1), width * width)
    return counts.reshape(width, width).astype(np.float32)
