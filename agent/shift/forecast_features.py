"""Features of a topic forecast, computed from the past windows of a user and of all users.

A window is a period of time. If no times are known, it is a number of events. A "meeting" is an event of a user with a
topic. For each user and topic the features describe:

- how often and how recently the user had the topic
- how active the user is
- how common the topic is, and whether it becomes more common
- what similar users had
- which topics usually follow the user's latest ones
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]

HALF_LIVES = (1.5, 4.0, 10.0)
"""Half-lives in windows: a meeting this number of windows ago counts half. Each half-life makes its own features."""
RECENT_WINDOWS = 4
"""Number of latest windows that count as recent. A topic is new to a user if none of them has it."""
NEIGHBOURS, EMBEDDING_SIZE = 100, 16
"""Number of similar users whose rates are averaged, and dimensions of the space onto which tastes are projected."""
MOST_SVD_USERS = 4000
"""With more users than this, the projection is computed from every n-th user, which leaves at most twice as many. It
bounds the time of the singular value decomposition."""
FOLLOWED_WINDOWS = 8
"""Number of latest pairs of neighbouring windows in which it is counted which topic follows which."""
SMOOTHING = 20.0
"""Number of meetings at the mean rate that are added to the counts of which topic follows which."""

FORECAST_FEATURES = (
    *(f"met, half-life {h:g}" for h in HALF_LIVES),
    *(f"counted, half-life {h:g}" for h in HALF_LIVES),
    "share of windows",
    "in the last window",
    "windows since",
    "topics in the last window",
    "topics lately",
    "topics a window",
    "active lately",
    "rate in the last window",
    "rate lately",
    "rising",
    "returning",
    "people alike, lately",
    "people alike, ever",
    "people alike against all",
    "near in taste",
    "follows the last window",
)
"""Features of a user and a topic, in the order of the columns that the trees are fitted to."""


@dataclass(frozen=True)
class TopicWindows:
    """How many events each user had with each topic in each window.

    Attributes:
        topics: The names of the topics.
        counts: Shape (windows, users, topics), the latest window last.
    """

    topics: tuple[str, ...]
    counts: Float32s

    @classmethod
    def of(
        cls,
        user: Sequence[int] | Ints,
        topic: Sequence[int] | Ints,
        window: Sequence[int] | Ints,
        *,
        users: int,
        topics: Sequence[str],
        windows: int,
    ) -> Self:
        """Count meetings from three arrays with one entry for each meeting.

        Args:
            user: The user's row.
            topic: The topic's column.
            window: The number of the window, from 0.
            users: How many users there are.
            topics: The names of the topics.
            windows: How many windows there are.
        """
        counts = np.zeros((windows, users, len(topics)), dtype=np.float32)
        np.add.at(counts, (np.asarray(window), np.asarray(user), np.asarray(topic)), 1.0)
        return cls(tuple(topics), counts)

    def until(self, end: int) -> "TopicWindows":
        """Return the windows before window `end`."""
        return TopicWindows(self.topics, self.counts[:end])

    def of_users(self, rows: Ints) -> "TopicWindows":
        """Return the windows of the users in these rows."""
        return TopicWindows(self.topics, self.counts[:, rows])

    @cached_property
    def met(self) -> Float32s:
        """1 if a user had an event with a topic in a window, else 0."""
        return (self.counts > 0).astype(np.float32)

    @cached_property
    def recent(self) -> NDArray[np.bool_]:
        """Whether a user had a topic in one of the RECENT_WINDOWS latest windows, shape (users, topics)."""
        return np.asarray(self.met[-RECENT_WINDOWS:].any(axis=0))


@dataclass(frozen=True)
class Population:
    """What all users did in their windows up to a moment.

    Attributes:
        latest: Share of users who had each topic in the last window, shape (topics,).
        lately: The mean of that share over the recent windows, shape (topics,).
        returning: Of the users who had a topic in the last window but one, the share who had it again in the last
            window, shape (topics,).
        rarity: Inverse document frequency of each topic, shape (topics,).
        tastes: Unit vectors of each user's topics, shape (users, topics).
        rates: Share of all windows in which a user had a topic, shape (users, topics).
        recent_rates: Share of the recent windows in which a user had a topic, shape (users, topics).
        axes: Principal axes of the tastes, shape (EMBEDDING_SIZE or fewer, topics).
        follows: How much likelier a topic becomes if another one was in the window before, shape (topics before,
            topics after).
    """

    latest: Float32s
    lately: Float32s
    returning: Float32s
    rarity: Float32s
    tastes: Float32s
    rates: Float32s
    recent_rates: Float32s
    axes: Float32s
    follows: Float32s

    @classmethod
    def of(cls, windows: TopicWindows) -> Self:
        """Summarise the windows of all users."""
        met = windows.met
        users, topics = met.shape[1:]
        returning = (met[-1] * met[-2]).sum(axis=0) / (met[-2].sum(axis=0) + 1) if len(met) > 1 else np.zeros(topics)
        total = np.log1p(windows.counts.sum(axis=0))
        # A topic that all users had keeps a small weight. Without it, a taste of such topics alone would be a zero
        # vector.
        rarity = np.log(users / (1 + (total > 0).sum(axis=0))).clip(0.05)
        tastes = _unit_rows(total * rarity)
        sample = tastes if users <= MOST_SVD_USERS else tastes[:: users // MOST_SVD_USERS]
        _, _, axes = np.linalg.svd(sample, full_matrices=False)
        return cls(
            latest=met[-1].mean(axis=0),
            lately=met[-RECENT_WINDOWS:].mean(axis=(0, 1)),
            returning=np.asarray(returning, dtype=np.float32),
            rarity=rarity.astype(np.float32),
            tastes=tastes,
            rates=met.mean(axis=0),
            recent_rates=met[-RECENT_WINDOWS:].mean(axis=0),
            axes=axes[:EMBEDDING_SIZE].astype(np.float32),
            follows=_follows(met[-FOLLOWED_WINDOWS - 1 :]),
        )

    def rates_of_similar(self, tastes: Float32s, *, themselves: Ints | None) -> tuple[Float32s, Float32s]:
        """Average the rates of topics over the users nearest to each taste.

        Args:
            tastes: Unit vectors, shape (users, topics).
            themselves: The rows of these users in the population, so that nobody is their own neighbour. None if they
                do not belong to the population.

        Returns:
            The rates in the recent windows and in all windows, each of shape (users, topics).
        """
        similarity = tastes @ self.tastes.T
        if themselves is not None:
            similarity[np.arange(len(tastes)), themselves] = 0.0
        count = min(NEIGHBOURS, similarity.shape[1])
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        weight = np.take_along_axis(similarity, nearest, axis=1)
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        # One user at a time, because all users at once would need an array of shape (users, NEIGHBOURS, topics).
        lately = np.stack([w @ self.recent_rates[rows] for w, rows in zip(weight, nearest, strict=True)])
        ever = np.stack([w @ self.rates[rows] for w, rows in zip(weight, nearest, strict=True)])
        return lately, ever


def forecast_features(windows: TopicWindows, population: Population, *, themselves: Ints | None) -> Float32s:
    """Compute the FORECAST_FEATURES of every user and topic.

    Args:
        windows: The past windows of the users to predict.
        population: What all users did in the same windows.
        themselves: The rows of these users in the population. None if they do not belong to the population.

    Returns:
        Shape (users, topics, features).
    """
    met, counted = windows.met, np.log1p(windows.counts)
    length, users, topics = met.shape
    age = np.arange(length)[::-1].astype(np.float32)
    columns: list[NDArray[np.floating[Any]]] = []
    for values in (met, counted):
        for half_life in HALF_LIVES:
            weight = 0.5 ** (age / half_life)
            columns.append(np.tensordot(weight / weight.sum(), values, 1))
    ever = met.mean(axis=0)
    # A topic that a user never had counts as farther back than any window.
    since = np.where(met.any(axis=0), _windows_since(met), np.float32(2 * length))
    breadth = met.sum(axis=2)
    tastes = _unit_rows(np.log1p(windows.counts.sum(axis=0)) * population.rarity)
    similar_lately, similar_ever = population.rates_of_similar(tastes, themselves=themselves)
    recent = breadth[-RECENT_WINDOWS:]
    rising = population.latest / (population.lately + 1e-4)
    columns += [ever, met[-1], since]
    columns += [
        _for_each_topic(values, topics)
        for values in (breadth[-1], recent.mean(axis=0), breadth.mean(axis=0), (recent > 0).mean(axis=0))
    ]
    columns += [
        _for_each_user(values, users) for values in (population.latest, population.lately, rising, population.returning)
    ]
    columns += [similar_lately, similar_ever, similar_lately / (population.lately + 1e-3)]
    columns += [(tastes @ population.axes.T) @ population.axes, met[-1] @ population.follows]
    return np.stack(columns, axis=2).astype(np.float32)


def _follows(met: Float32s) -> Float32s:
    """Return how much likelier a topic becomes after another topic, shape (topics before, topics after)."""
    topics = met.shape[2]
    if len(met) < 2:
        return np.zeros((topics, topics), dtype=np.float32)
    before, after = met[:-1].reshape(-1, topics), met[1:].reshape(-1, topics)
    count = before.sum(axis=0)[:, None]
    lift = (before.T @ after) / (count + SMOOTHING) - after.mean(axis=0)[None] * count / (count + SMOOTHING)
    np.fill_diagonal(lift, 0.0)  # other features already show whether a topic follows itself
    return np.asarray(lift, dtype=np.float32)


def _windows_since(met: Float32s) -> Float32s:
    """Return how many windows ago each user last had each topic. It is 0 for the last window."""
    return np.asarray(met[::-1].argmax(axis=0), dtype=np.float32)


def _unit_rows(values: NDArray[Any]) -> Float32s:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _for_each_topic(by_user: NDArray[Any], topics: int) -> Float32s:
    return np.asarray(np.repeat(by_user[:, None], topics, axis=1), dtype=np.float32)


def _for_each_user(by_topic: NDArray[Any], users: int) -> Float32s:
    return np.asarray(np.repeat(by_topic[None], users, axis=0), dtype=np.float32)
