"""Draw the moments of a log from which the topics of the next event are learned."""

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
"""Moments that are drawn at most, and those of one user, more where there are few users."""
LEAST_HISTORY, MOST_HISTORY = 5, 1500
"""Events that a moment needs before it, and the latest events that it reads."""
TITLES = 15
"""Latest titles that a language model may be shown."""
WARM_UP = 0.4
"""Share of the log before the first moment, from which the topic habits of all users are counted."""


def draw_topic_moments(catalogue: Catalogue, *, seed: int, progress: Progress) -> list[TopicMoment]:
    """Draw up to MOST_MOMENTS moments of users in random order; none where no item has a topic."""
    log = catalogue.log
    since = float(log.time[int(len(log.time) * WARM_UP)]) if len(log.time) else np.inf
    habits = TopicHabitsOverTime(log)
    users = [log.user_ids[row] for row in np.random.default_rng(seed).permutation(len(log.user_ids))]
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

    A moment is an event in [since, until) that has topics, enough events before it, and none at the same time.

    Args:
        user: Whose history it is.
        history: The user's events in order.
        habits: The topic habits of all users, as of any time; None where they are unknown.
        since: The first time of a moment.
        until: The time before which moments lie.
        per_user: How many are drawn at most.
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
    return TopicMoment(
        user=user,
        history=TopicHistory.of(history[max(row - MOST_HISTORY, 0) : row], known),
        at=event.time or 0.0,
        situation=getattr(event, "context", {}),
        habits=known,
        label=frozenset(event.topics),
        titles=tuple(short_titles(history[max(row - TITLES, 0) : row])),
    )
