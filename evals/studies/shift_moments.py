"""Draw moments at which the next topics and the shift are predicted, both to learn from and to test.

A moment is an event of one person. What happened before the event is known. The topics of the event are the label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.learning.topic_moments import LEAST_HISTORY, PER_USER, TITLES, moments_of
from whimbrel.agent.learning.topics import TopicMoment
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.evals.data.research_logs import is_frappe, is_lastfm, log_of, read_frappe, read_lastfm
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.text.titles import short_titles

WARM_UP, SPLIT = 0.3, 0.65
"""Shares of a log. Moments to learn from lie between WARM_UP and SPLIT. Tested moments lie after SPLIT."""
TIMELESS_PER_USER, LONGEST_TIMELESS = 5, 300
"""In a log without times, a person has at most TIMELESS_PER_USER moments and LONGEST_TIMELESS events."""


@dataclass(frozen=True)
class Split:
    """Moments to learn from, moments of other people to test, and the invalid lines of the source."""

    learned_from: list[TopicMoment]
    tested: list[TopicMoment]
    problems: Sequence[object] = ()


def read_moments(
    source: str,
    *,
    format: str | None = None,
    mapped: Sequence[tuple[str, str]] = (),
    moments: int = 2500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Split:
    """Read moments. Half of the people are learned from, and the other half are tested.

    In a log with times, the tested moments are also later. If the source is a file of cases, every case is tested.

    Args:
        source: A log in a format of `ingest`, a Last.fm or Frappe folder, or a file of cases (.jsonl).
        format: Format of the log, if it cannot be recognised from the source.
        mapped: Columns and their fields, as for `ingest`.
        moments: The largest number of moments, over both halves.
        seed: Seed of the split and of the draws.
        progress: Where progress is shown.

    Raises:
        ConfigError: the format or a column is not known.
        DataError: the source cannot be read.
    """
    path = Path(source)
    if source.endswith(".jsonl") and format is None and path.is_file():
        return _split_of_cases(path)
    if is_frappe(path):
        return _split_without_times(read_frappe(path), seed)
    if is_lastfm(path):
        log = log_of(read_lastfm(path))
    else:
        log = read_log(open_source(source, format=format, mapped=mapped), progress)
    return _split_by_time(_Histories.of_log(log), moments, seed)


def _split_of_cases(path: Path) -> Split:
    lines = list(read_cases(path))
    problems = [line for line in lines if not isinstance(line, Case)]
    if len(problems) == len(lines):
        raise DataError(f"{str(path)!r} holds no case{f': {problems[0]}' if problems else ''}")
    return Split([], [_moment_of_case(line) for line in lines if isinstance(line, Case)], problems)


def _moment_of_case(case: Case) -> TopicMoment:
    items = {item.item_id: item for item in case.blind.candidates}
    label = frozenset(topic for item_id in case.relevant if item_id in items for topic in items[item_id].topics)
    # The context may also hold a wish ("query") and a group, which are not part of the situation.
    situation = {key: str(value) for key, value in case.blind.context.items() if key not in ("query", "group")}
    times = [item.time for item in case.blind.history]
    at = None
    if times and None not in times:
        at = times[-1] if case.blind.at is None else case.blind.at
    titles = tuple(short_titles(case.blind.history[-TITLES:]))
    return TopicMoment(case.blind.user_id, TopicHistory.of(case.blind.history), at, situation, None, label, titles)


@dataclass(frozen=True)
class _Histories:
    """Users, a function that builds the history of a user, and the log of all users."""

    users: list[str]
    of: Callable[[str], Sequence[Item]]
    log: InteractionLog

    @classmethod
    def of_log(cls, log: Log) -> "_Histories":
        order = np.argsort(log.user, kind="stable")
        bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
        number = {user: row for row, user in enumerate(log.user_ids)}

        def history(user: str) -> list[Item]:
            rows = order[bounds[number[user]] : bounds[number[user] + 1]]
            return [log.items[log.item[row]].model_copy(update={"time": float(log.time[row])}) for row in rows]

        events = (
            (float(time), log.user_ids[user], log.items[item].item_id, None)
            for time, user, item in zip(log.time, log.user, log.item, strict=True)
        )
        return cls(sorted(log.user_ids), history, InteractionLog.build(log.items, events))


def _split_by_time(histories: _Histories, most: int, seed: int) -> Split:
    """Draw users alternately to learn from and to test, until both halves have `most` / 2 moments."""
    habits, times = TopicHabitsOverTime(histories.log), histories.log.time
    first, split = (float(times[int(len(times) * share)]) for share in (WARM_UP, SPLIT))
    # A log with few users needs more moments of each user.
    per_user = max(PER_USER, -(-most // max(len(histories.users), 1)))
    halves: tuple[list[TopicMoment], list[TopicMoment]] = ([], [])
    for number, row in enumerate(np.random.default_rng(seed).permutation(len(histories.users))):
        half, user = halves[number % 2], histories.users[row]
        if len(half) < most // 2:
            # Users with an even number are learned from, before the split. Odd ones are tested, after the split.
            since, until = ((first, split), (split, np.inf))[number % 2]
            half += moments_of(
                user, histories.of(user), habits, since=since, until=until, per_user=per_user, seed=seed + number
            )
        elif all(len(other) >= most // 2 for other in halves):
            break
    learned_from, tested = (sorted(half, key=lambda moment: moment.at or 0.0) for half in halves)
    return Split(learned_from, tested)


def _split_without_times(events: Sequence[Interaction], seed: int) -> Split:
    """Split events without times. The history of a moment is the person's other events, in random order.

    The people are split into thirds. The first third has no moments and only supplies topic habits. Moments of the
    second third are learned from, with the habits of the first third. Moments of the last third are tested, with the
    habits of the first two thirds.
    """
    random = np.random.default_rng(seed)
    histories: dict[str, list[Interaction]] = {}
    for row in random.permutation(len(events)):
        histories.setdefault(events[row].user_id, []).append(events[row])
    users = [sorted(histories)[row] for row in random.permutation(len(histories))]
    third = len(users) // 3

    def moments(chosen: Sequence[str], known: Sequence[str]) -> list[TopicMoment]:
        log = _log_of([event for user in known for event in histories[user]])
        habits = TopicHabits.of(log, before=np.inf)
        return [moment for user in chosen for moment in _timeless_moments(user, histories[user], habits)]

    return Split(moments(users[third : 2 * third], users[:third]), moments(users[2 * third :], users[: 2 * third]))


def _timeless_moments(user: str, events: Sequence[Interaction], habits: TopicHabits) -> list[TopicMoment]:
    """Return moments of a person. Each moment is one event, and all other events are its history."""
    history = [event.model_copy(update={"time": None}) for event in events[:LONGEST_TIMELESS]]
    titles = tuple(short_titles(history[-TITLES:]))
    moments = []
    for row in range(min(TIMELESS_PER_USER, len(history) - LEAST_HISTORY)):
        others, event = TopicHistory.of([*history[:row], *history[row + 1 :]], habits), history[row]
        moments.append(TopicMoment(user, others, None, event.context, habits, frozenset(event.topics), titles))
    return moments


def _log_of(events: Sequence[Interaction]) -> InteractionLog:
    items = {event.item_id: Item(item_id=event.item_id, title=event.title, topics=event.topics) for event in events}
    rows = [(event.time, event.user_id, event.item_id, event.context) for event in events]
    return InteractionLog.build(items.values(), rows)
