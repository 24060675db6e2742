"""The moments that predictions of the next topics and of the shift are tested at, and those that they learn from.

A moment is an event of one person: what happened before it is known, its topics are the label.
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
"""Shares of a log. No moment lies in the first; moments to learn from lie before the second, tested ones after it."""
TIMELESS_PER_USER, LONGEST_TIMELESS = 5, 300
"""Moments of one person in a log without times, and events of their history."""


@dataclass(frozen=True)
class Split:
    """Moments to learn from, moments of other people to test, and lines of the source that are wrong."""

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
    """Read moments, half of the people to learn from and half to test.

    In a log with times the tested moments are also later. Cases are all tested.

    Args:
        source: A log in a format of `ingest`, a folder of Last.fm or Frappe, or a file of cases (.jsonl).
        format: Format of the log, if it cannot be told from the source.
        mapped: Columns and their fields, as for `ingest`.
        moments: Most moments, over both halves.
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
    # A wish and a group are not part of the situation.
    situation = {key: str(value) for key, value in case.blind.context.items() if key not in ("query", "group")}
    times = [item.time for item in case.blind.history]
    at = None
    if times and None not in times:
        at = times[-1] if case.blind.at is None else case.blind.at
    titles = tuple(short_titles(case.blind.history[-TITLES:]))
    return TopicMoment(case.blind.user_id, TopicHistory.of(case.blind.history), at, situation, None, label, titles)


@dataclass(frozen=True)
class _Histories:
    """Users, their histories, each built when it is asked for, and the log of all."""

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
    """Draw users in turn to learn from and to test, until both halves have `most` / 2 moments."""
    habits, times = TopicHabitsOverTime(histories.log), histories.log.time
    first, split = (float(times[int(len(times) * share)]) for share in (WARM_UP, SPLIT))
    # A log of few users needs more moments of each.
    per_user = max(PER_USER, -(-most // max(len(histories.users), 1)))
    halves: tuple[list[TopicMoment], list[TopicMoment]] = ([], [])
    for number, row in enumerate(np.random.default_rng(seed).permutation(len(histories.users))):
        half, user = halves[number % 2], histories.users[row]
        if len(half) < most // 2:
            # Users with an even number are learned from, before the split; the others are tested, after it.
            since, until = ((first, split), (split, np.inf))[number % 2]
            half += moments_of(
                user, histories.of(user), habits, since=since, until=until, per_user=per_user, seed=seed + number
            )
        elif all(len(other) >= most // 2 for other in halves):
            break
    learned_from, tested = (sorted(half, key=lambda moment: moment.at or 0.0) for half in halves)
    return Split(learned_from, tested)


def _split_without_times(events: Sequence[Interaction], seed: int) -> Split:
    """Split events without times: the history of a moment are other events of the person, in random order.

    A third of the people only give the topic habits of all users. They are used for moments of the second third, which
    are learned from; the habits of both thirds are used for moments of the last third, which are tested.
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
    """Return moments of a person, each of them one event with all others as its history."""
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
