"""What a log tells of its items at a moment: kept for requests about now, never for another moment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.appended import with_events
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.log.moment_counts import MomentCounts, counts_before
from whimbrel.tools.records import Item

ITEMS = [Item(item_id=id_, title=id_, topics=(id_.upper(),)) for id_ in "uvwxy"]
LATE = Item(item_id="z", title="z", topics=("Z",), time=30.0)
"""An item that enters the catalogue after the last event."""
EVENTS = st.lists(
    st.tuples(st.integers(0, 20).map(float), st.sampled_from("abcd"), st.sampled_from("uvwxy"), st.none()), max_size=40
)
NAMES = (
    "known",
    "users",
    "popularity",
    "recent_popularity",
    "interest",
    "rare",
    "rise",
    "age",
    "topic_items",
    "people",
)


@given(events=EVENTS, moments=st.lists(st.sampled_from([0.0, 7.0, 20.0, 20.5, 30.0, 30.5, 99.0, np.inf]), max_size=6))
@settings(max_examples=60, deadline=None)
def test_kept_counts_are_those_of_the_moment(events: list[EventRow], moments: list[float]) -> None:
    log = InteractionLog.build([*ITEMS, LATE], events)
    for moment in moments:
        kept, fresh = counts_before(log, moment), MomentCounts(log, moment)
        for name in NAMES:
            np.testing.assert_equal(getattr(kept, name), getattr(fresh, name), err_msg=name)


def test_requests_about_now_share_the_counts() -> None:
    log = InteractionLog.build([*ITEMS, LATE], [(1.0, "a", "u", None)])
    assert counts_before(log, 31.0) is counts_before(log, 99.0)
    assert counts_before(log, 29.0) is not counts_before(log, 31.0)
    with pytest.raises(ValueError, match="read-only"):
        counts_before(log, 99.0).rise[0] = 1.0


def test_a_new_event_is_counted() -> None:
    log = InteractionLog.build(ITEMS, [(1.0, "a", "u", None)])
    assert counts_before(log, 9.0).popularity.tolist() == [1, 0, 0, 0, 0]
    assert counts_before(with_events(log, [(2.0, "b", "v", None)]), 9.0).popularity.tolist() == [1, 1, 0, 0, 0]


def test_an_item_that_too_few_people_met_is_not_shown_and_one_that_nobody_met_is() -> None:
    log = InteractionLog.build([*ITEMS, LATE], [(1.0, "a", "u", None), (2.0, "a", "v", None), (3.0, "b", "v", None)])
    assert counts_before(log, 9.0).shown(2).tolist() == [False, True, True, True, True, False]
    assert counts_before(log, 9.0).shown(1).tolist() == [True, True, True, True, True, False]
