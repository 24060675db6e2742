"""Events that are appended to a log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.appended import with_events
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.records import Item

ITEMS = [Item(item_id=id_, title=id_, topics=("t",), time=20.0 if id_ == "v" else None) for id_ in "uvwxyz"]
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 30).map(float),
        st.sampled_from("abcd"),
        st.sampled_from("uvwxyz"),
        st.sampled_from([None, {"place": "home"}, {"place": "a\nb"}]),
    ),
    max_size=40,
)


def situations(log: InteractionLog) -> list[tuple[float, int, int, str]]:
    columns = (log.time, log.user, log.item, log.situation)
    return sorted((float(t), int(u), int(i), log.situations[s]) for t, u, i, s in zip(*columns, strict=True))


@settings(deadline=None, max_examples=200)
@given(EVENTS, EVENTS, EVENTS)
def test_appended_events_give_the_log_that_is_built_of_all_events(
    events: list[EventRow], first: list[EventRow], second: list[EventRow]
) -> None:
    log = with_events(with_events(InteractionLog.build(ITEMS, events), first), second)
    whole = InteractionLog.build(ITEMS, events + first + second)
    for name in set(log.__dataclass_fields__) - {"situation", "situations"}:
        assert np.array_equal(getattr(log, name), getattr(whole, name)), name
    assert situations(log) == situations(whole)


def test_an_event_of_an_unknown_item_is_an_error_and_no_event_changes_nothing() -> None:
    log = InteractionLog.build(ITEMS, [(1.0, "a", "u", None)])
    assert with_events(log, []) is log
    for unknown in ("vv", "zz"):
        with pytest.raises(KeyError, match=unknown):
            with_events(log, [(1.0, "a", unknown, None)])
