"""Topic habits: base rates of topics as of a moment."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Item

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
    for name in ("ever", "hours", "weekend", "follows"):
        np.testing.assert_allclose(getattr(short, name), getattr(whole, name))
    assert TopicHabitsOverTime(log_of([*past, *later])).before(before).ever.sum() <= short.ever.sum() + 1e-9
    bearing = sum(bool(topics) for _, _, topics in past)
    assert short.ever.sum() == pytest.approx(bearing)
