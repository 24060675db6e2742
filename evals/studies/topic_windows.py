"""Cut logs into time windows, and count the topics of each user in each window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.shift.forecast_features import TopicWindows
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.evals.data.research_logs import is_lastfm, log_of, read_lastfm
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

Ints = NDArray[np.int64]

MOST_TOPICS, MOST_USERS = 400, 5000
"""Only the most frequent topics and the first users are kept, so that the counts fit into memory."""


SHORTEST_DAYS = 0.001
"""Shortest window: more windows than this makes would not fit into memory."""


@dataclass(frozen=True)
class Windowing:
    """How a log is cut into windows.

    Attributes:
        days: Days per window, for a log with times.
        events: Events per window, for cases without times.
        least_events: Users with fewer events are left out, for a log with times.
    """

    days: float = 14
    events: int = 5
    least_events: int = 8

    def __post_init__(self) -> None:
        """Refuse windows that cut no log.

        Raises:
            ConfigError: the number of days is not finite, or shorter than a minute.
        """
        if not SHORTEST_DAYS <= self.days < np.inf:
            raise ConfigError(f"--window-days {self.days}: give a number of days from {SHORTEST_DAYS}")


@dataclass(frozen=True)
class Meetings:
    """The interactions of users with topics, from early to late. One interaction with one topic is a meeting.

    Attributes:
        windows: The number of meetings of each user with each topic in each window.
        user: The user of each meeting, as a row of `windows`.
        topic: The topic of each meeting.
        window: The window of each meeting.
        part: The quarter of the day in UTC, plus 4 at weekends (0 to 7). Without times it is 0.
    """

    windows: TopicWindows
    user: Ints
    topic: Ints
    window: Ints
    part: Ints


@dataclass(frozen=True)
class _Events:
    """Events in windows. `item` holds positions in a list of items. All other columns are as in `Meetings`."""

    user: Ints
    item: Ints
    window: Ints
    part: Ints


def read_meetings(
    source: str,
    windowing: Windowing,
    *,
    format: str | None = None,
    mapped: Sequence[tuple[str, str]] = (),
    progress: Progress | None = None,
) -> Meetings:
    """Read the meetings of a log.

    Args:
        source: A log in a format of `ingest`, a Last.fm folder, or a file of cases for `eval rank`.
        windowing: How the log is cut.
        format: Format of the log, if it cannot be recognised from the source.
        mapped: Columns and their fields, as for `ingest`.
        progress: Where progress is shown.

    Raises:
        ConfigError: the format or a column is not known, or a window has no length.
        DataError: the source cannot be read, or has no event with a topic.
    """
    if source.endswith(".jsonl") and format is None and _is_cases(Path(source)):
        return meetings_of_cases(Path(source), windowing)
    if windowing.days <= 0:
        raise ConfigError(f"a window of {windowing.days} days has no length: give more than 0")
    if is_lastfm(Path(source)):
        log = log_of(read_lastfm(Path(source)))
    else:
        log = read_log(open_source(source, format=format, mapped=mapped), progress)
    return meetings_of(log, windowing)


def _is_cases(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b'"history"' in file.readline(1 << 16)
    except OSError:
        return False


def meetings_of(log: Log, windowing: Windowing) -> Meetings:
    """Cut a log into windows, counted back from its end. The first window is left out, since it is incomplete."""
    frequent = np.flatnonzero(np.bincount(log.user) >= windowing.least_events)[:MOST_USERS]
    row_of = np.full(len(log.user_ids), -1)
    row_of[frequent] = np.arange(len(frequent))
    length = windowing.days * DAY_SECONDS
    windows_ago = ((log.time.max() - log.time) / length).astype(np.int64)
    count = int((log.time.max() - log.time.min()) / length)
    kept = (row_of[log.user] >= 0) & (windows_ago < count)
    # The first complete window gets the number 0.
    events = _Events(row_of[log.user[kept]], log.item[kept], count - 1 - windows_ago[kept], _part(log.time)[kept])
    return _meetings(log.items, events, users=len(frequent), windows=count)


def meetings_of_cases(path: Path, windowing: Windowing) -> Meetings:
    """Cut the histories of cases into windows, counted back from the end of each history.

    The oldest events of a history are left out if they do not fill a window.
    """
    size = windowing.events
    histories = [case.blind.history for case in read_cases(path) if isinstance(case, Case)]
    items = list({item.item_id: item for history in histories for item in history}.values())
    row_of = {item.item_id: row for row, item in enumerate(items)}
    count = max((len(history) // size for history in histories), default=0)
    rows = [
        (user, row_of[item.item_id], count - 1 - events_ago // size)
        for user, history in enumerate(histories)
        for events_ago, item in enumerate(reversed(history))
        if events_ago // size < len(history) // size
    ]
    user, item_row, window = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    events = _Events(user, item_row, window, np.zeros(len(user), dtype=np.int64))
    return _meetings(items, events, users=len(histories), windows=count)


def _meetings(items: Sequence[Item], events: _Events, *, users: int, windows: int) -> Meetings:
    """Turn events with items into meetings with the topics of these items."""
    interactions = np.bincount(events.item, minlength=len(items))
    frequency: dict[str, int] = {}
    for item, count in zip(items, interactions.tolist(), strict=True):
        for topic in item.topics:
            frequency[topic] = frequency.get(topic, 0) + count
    # The most frequent topics are kept. Ties are broken by name. The kept topics are then sorted by name.
    topics = sorted(sorted(frequency, key=lambda topic: (-frequency[topic], topic))[:MOST_TOPICS])
    number = {topic: column for column, topic in enumerate(topics)}
    topics_of = [[number[topic] for topic in item.topics if topic in number] for item in items]
    met = np.array([column for row in events.item for column in topics_of[row]], dtype=np.int64)
    if not windows or not len(met):
        raise DataError("no window has an event with a topic: map a column to topics, or give a shorter window")
    event = np.repeat(np.arange(len(events.item)), [len(topics_of[row]) for row in events.item])
    user, window = events.user[event], events.window[event]
    counts = TopicWindows.of(user, met, window, users=users, topics=topics, windows=windows)
    return Meetings(counts, user, met, window, events.part[event])


def _part(time: NDArray[np.float64]) -> Ints:
    """Return the quarter of the day in UTC, plus 4 at weekends."""
    return np.asarray(4 * is_weekend(time) + hour_of(time) // 6, dtype=np.int64)
