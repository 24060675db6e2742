"""Draw moments of a log. The models of the next topics are learned from them."""

from collections.abc import Sequence

import numpy as np

from whimbrel.agent.learning.topics import TopicMoment
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.tools.log.topic_habits import TopicHabitsOverTime
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.titles import short_titles

MOST_MOMENTS, PER_USER = 3000, 4
"""Most moments in all, and most moments of one user. Logs with few users allow more of one user."""
LEAST_HISTORY, MOST_HISTORY = 5, 1500
"""Fewest events before a moment, and most of these events that the moment keeps (the latest ones)."""
TITLES = 15
"""How many of the latest titles a language model may be shown."""
WARM_UP = 0.4
"""Share of the log that lies before the first moment. The topic habits of all users are first counted from it."""


def draw_topic_moments(catalogue: Catalogue, *, seed: int, progress: Progress) -> list[TopicMoment]:
    """Draw up to MOST_MOMENTS moments, of users in random order. There are none if no item has a topic."""
    log = catalogue.log
    since = float(log.time[int(len(log.time) * WARM_UP)]) if len(log.time) else np.inf
    habits = TopicHabitsOverTime(log)
    users = [log.user_ids[row] for row in np.random.default_rng(seed).permutation(len(log.user_ids))]
    # -(-a // b) rounds up, so that a few users can still give MOST_MOMENTS moments.
    per_user = max(PER_USER, -(-MOST_MOMENTS // max(len(users), 1)))
    moments: list[TopicMoment] = []
    progress.step("Reading histories", MOST_MOMENTS)
    for user in users if log.topics else ():
        history, draw = catalogue.history(user), seed + len(moments)
        drawn = moments_of(user, history, habits, since=since, per_user=per_user, seed=draw)
        progress.advance(min(len(drawn), MOST_MOMENTS - len(moments)))
        moments += drawn
        if len(moments) >= MOST_MOMENTS:
            break
    return moments


def moments_of(
    user: str,
    history: Sequence[Item],
    habits: TopicHabitsOverTime | None,
    *,
    since: float,
    until: float = np.inf,
    per_user: int = PER_USER,
    seed: int = 0,
) -> list[TopicMoment]:
    """Draw moments of one user.

    A moment is an event in [since, until) that has topics. It needs LEAST_HISTORY events before it, and the event
    directly before it must have an earlier time.

    Args:
        user: The id of the user.
        history: The user's events in order.
        habits: The topic habits of all users, as of any time; None if they are unknown.
        since: The earliest time of a moment.
        until: All moments are before this time.
        per_user: The most moments to draw.
        seed: The seed of the draw.
    """
    times = [event.time or 0.0 for event in history]
    eligible = [
        row
        for row in range(LEAST_HISTORY, len(history))
        if since <= times[row] < until and times[row] > times[row - 1] and history[row].topics
    ]
    drawn = np.random.default_rng(seed).permutation(len(eligible))[:per_user]
    return [_moment(user, history, row, habits) for row in sorted(eligible[number] for number in drawn)]


def _moment(user: str, history: Sequence[Item], row: int, habits: TopicHabitsOverTime | None) -> TopicMoment:
    event = history[row]
    known = habits.before(event.time or 0.0) if habits else None
    arrays = TopicHistory.of(history[max(row - MOST_HISTORY, 0) : row], known)
    return TopicMoment(
        user=user,
        history=arrays,
        at=arrays.local(event.time) or 0.0,
        situation=getattr(event, "context", {}),
        habits=known,
        label=frozenset(event.topics),
        titles=tuple(short_titles(history[max(row - TITLES, 0) : row])),
    )
