"""Topic habits: base rates of topics as of a moment."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import DAY_SECONDS

events = st.lists(
    st.tuples(st.integers(0, 50).map(float), st.sampled_from("uvw"), st.lists(st.sampled_from("abcdef"), max_size=3)),
    max_size=30,
)


def log_of(rows: Sequence[tuple[float, str, list[str]]]) -> InteractionLog:
    kinds = {"".join(sorted(set(topics))) for _, _, topics in rows} | {"abcdef"}
    items = [Item.model_construct(**dict(Item(title="x")) | {"item_id": k or "-", "topics": tuple(k)}) for k in kinds]
    return InteractionLog.build(
        items, [(time, user, "".join(sorted(set(t))) or "-", {"place": user}) for time, user, t in rows]
    )


@settings(deadline=None)
@given(events, events, st.integers(1, 50).map(float))
def test_habits_see_nothing_at_or_after_the_moment(
    rows: list[tuple[float, str, list[str]]], more: list[tuple[float, str, list[str]]], before: float
) -> None:
    past = [row for row in rows if row[0] < before]
    later = [(max(time, before), user, topics) for time, user, topics in more]
    short, whole = TopicHabits.of(log_of(past), before=before), TopicHabits.of(log_of([*past, *later]), before=before)
    assert short.topics == whole.topics
    assert short.situations.keys() == whole.situations.keys()
    for name in ("totals", "recent", "hours", "weekend", "next_topic"):
        np.testing.assert_allclose(getattr(short, name), getattr(whole, name))
    for pair, counts in short.situations.items():
        np.testing.assert_allclose(counts, whole.situations[pair])
    bearing = sum(bool(topics) for _, _, topics in past)
    assert short.totals.sum() == pytest.approx(bearing)


def test_the_topics_of_one_event_share_a_count_of_1() -> None:
    saturday, monday = 2 * DAY_SECONDS + 9 * 3600.0, 4 * DAY_SECONDS + 20 * 3600.0
    habits = TopicHabits.of(log_of([(saturday, "u", ["a", "b"]), (monday, "u", ["b"])]), before=np.inf)
    assert habits.topics == ("a", "b")
    assert habits.totals.tolist() == [1 / 2, 1 / 2 + 1]
    assert habits.recent.tolist() == [0, 1]  # at least one event is recent
    assert habits.hours[[9, 20]].tolist() == [[1 / 2, 1 / 2], [0, 1]]
    assert habits.hours.sum() == 2
    assert habits.weekend.tolist() == [[0, 1], [1 / 2, 1 / 2]]
    assert habits.situations["place", "u"].tolist() == habits.totals.tolist()
    assert habits.next_topic.tolist() == [[0, 1 / 2], [0, 1 / 2]]


def test_a_topic_follows_only_topics_of_the_same_user() -> None:
    rows = [(1.0, "u", ["a"]), (2.0, "v", ["b"]), (3.0, "u", ["c"]), (4.0, "v", ["c"])]
    habits = TopicHabits.of(log_of(rows), before=np.inf)
    assert habits.next_topic.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 100))
def test_habits_over_time_leave_out_a_sixteenth_at_most_and_ignore_what_is_added_later(past: int, later: int) -> None:
    rows = [(float(time), "u", ["a"]) for time in range(past + later)]
    whole, short = TopicHabitsOverTime(log_of(rows)).before(past), TopicHabitsOverTime(log_of(rows[:past])).before(past)
    assert whole.totals.sum() == short.totals.sum()
    assert past * 15 / 16 <= short.totals.sum() <= past


def test_moments_with_the_same_leading_digits_share_one_count() -> None:
    habits = TopicHabitsOverTime(log_of([(float(time), "u", ["a"]) for time in range(200)]))
    assert habits.before(128) is habits.before(135)
    assert habits.before(136) is not habits.before(135)
