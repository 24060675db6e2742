"""What is learned from a store's own log, and where it is kept: `STORE/fitted`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.agent.next_topics import NextTopics, Person
from whimbrel.agent.outlook import fit_outlook
from whimbrel.agent.summarise import short_titles
from whimbrel.tools.errors import DataError
from whimbrel.tools.habits import HabitsInTime
from whimbrel.tools.ingest import Progress, Silent
from whimbrel.tools.replaced import replaced
from whimbrel.tools.store import Store

if TYPE_CHECKING:
    from whimbrel.agent.learn_topics import Moment
    from whimbrel.tools.records import Item

NEXT_TOPICS = "next_topics.json"
MOST_MOMENTS, PER_USER = 3000, 4
"""Events that are learned from at most, and those of one person, more where there are few people."""
LEAST_EVENTS, MOST_EVENTS = 5, 1500
"""Events before a moment without which nothing is learned from it, and the latest ones that it is learned from."""
TITLES = 15
"""Latest titles that a language model may be shown."""
WARM_UP = 0.4
"""Share of the log before the first moment: habits need something to be counted from."""


def learned_topics(store: Store | None) -> NextTopics:
    """What was learned from the store, else what is shipped.

    Raises:
        DataError: the file is damaged.
    """
    if store is None or not (path := store.fitted / NEXT_TOPICS).is_file():
        return NextTopics.default()
    return read_learned(path)


def read_learned(path: Path) -> NextTopics:
    """What a fit kept.

    Raises:
        DataError: the file cannot be read, is damaged, or of another version.
    """
    try:
        return NextTopics.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} is damaged or of another version: run `whimbrel fit` again") from error


@dataclass(frozen=True)
class Fitted:
    """What a fit did: moments and people that were learned from, whether the log is long enough to forecast stretches
    of time, and where the result lies."""

    moments: int
    users: int
    outlook: bool
    path: Path


def fit_store(store: Store, *, seed: int = 0, progress: Progress | None = None) -> Fitted:
    """Learn from a store's log which signals tell its people's next topics, and how sure one may be.

    Raises:
        DataError: too few events with a history before them.
    """
    from whimbrel.agent.learn_topics import learn

    progress = progress or Silent()
    log = store.log
    since = float(log.time[int(len(log.time) * WARM_UP)]) if len(log.time) else np.inf
    habits = HabitsInTime(log)
    users = [log.user_ids[row] for row in np.random.default_rng(seed).permutation(len(log.user_ids))]
    per_user = max(PER_USER, -(-MOST_MOMENTS // max(len(users), 1)))
    moments: list[Moment] = []
    progress.step("Reading histories", MOST_MOMENTS)
    for user in users:
        found = moments_of(user, store.history(user), habits, since=since, per_user=per_user, seed=seed + len(moments))
        progress.advance(min(len(found), MOST_MOMENTS - len(moments)))
        moments += found
        if len(moments) >= MOST_MOMENTS:
            break
    progress.step("Learning", None)
    learned = learn([moments], learned_from=f"{len(moments)} events of this log", seed=seed)
    store.fitted.mkdir(parents=True, exist_ok=True)
    path = store.fitted / NEXT_TOPICS
    with replaced(path) as partial:
        partial.write_text(learned.model_dump_json(indent=1), "utf-8")
    progress.step("Learning what comes in time", None)
    outlook = fit_outlook(log, store.fitted, seed=seed)
    return Fitted(len(moments), len({moment.user for moment in moments}), outlook, path)


def moments_of(
    user: str,
    history: "Sequence[Item]",
    habits: HabitsInTime | None,
    *,
    since: float,
    until: float = np.inf,
    per_user: int = PER_USER,
    seed: int = 0,
) -> "list[Moment]":
    """Some events of a person as moments: of those in [since, until) that bear topics, have enough events before them
    and none at the same time."""
    from whimbrel.agent.learn_topics import Moment

    times = [event.time or 0.0 for event in history]
    open_ = [
        place
        for place in range(LEAST_EVENTS, len(history))
        if since <= times[place] < until and times[place] > times[place - 1] and history[place].topics
    ]
    drawn = np.random.default_rng(seed).permutation(len(open_))[:per_user]
    moments = []
    for place in sorted(open_[n] for n in drawn):
        known = habits.before(times[place]) if habits else None
        moments.append(
            Moment(
                user=user,
                person=Person.of(history[max(place - MOST_EVENTS, 0) : place], known),
                at=times[place],
                situation=getattr(history[place], "context", {}),
                habits=known,
                came=frozenset(history[place].topics),
                titles=tuple(short_titles(history[max(place - TITLES, 0) : place])),
            )
        )
    return moments
