"""Users that items share: plain counts, as of a moment, and the same when they were kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log import shared_users
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.log.shared_users import SharedUsers
from whimbrel.tools.records import Item

ITEMS = [Item(item_id=id_, title=id_) for id_ in "uvwxyz"]
EVENTS = st.lists(
    st.tuples(st.integers(0, 20).map(float), st.sampled_from("abcd"), st.sampled_from("uvwxyz"), st.none()),
    min_size=1,
    max_size=40,
)


def counted(log: InteractionLog, rows: list[int], before: float) -> list[list[int]]:
    pairs = [log.pairs_of(row, before=before) for row in rows]
    shared: list[list[int]] = (
        SharedUsers.of_log(log).of(np.array(rows, dtype=np.int64), pairs, before=before).toarray().tolist()
    )
    return shared


def plainly(log: InteractionLog, events: list[EventRow], rows: list[int], before: float) -> list[list[int]]:
    users = [{user for time, user, item, _ in events if item == id_ and time < before} for id_ in log.item_ids]
    return [
        [len(users[row] & users[other]) if row != other else 0 for other in range(len(log.item_ids))] for row in rows
    ]


@given(
    events=EVENTS,
    rows=st.lists(st.lists(st.integers(0, 5), unique=True), max_size=4),
    before=st.sampled_from([5.0, 20.0, 21.0, np.inf]),
)
@settings(max_examples=60, deadline=None)
def test_shared_users_are_counted(events: list[EventRow], rows: list[list[int]], before: float) -> None:
    log = InteractionLog.build(ITEMS, events)
    for asked in rows:  # later ones find some counts kept
        assert counted(log, asked, before) == plainly(log, events, asked, before)


def test_what_is_kept_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_users, "MOST_KEPT", 3)
    events: list[EventRow] = [(float(n), user, item, None) for n, user in enumerate("abc") for item in "uvwxyz"]
    log = InteractionLog.build(ITEMS, events)
    for row in [*range(6), *range(6)]:
        assert counted(log, [row], np.inf) == plainly(log, events, [row], np.inf)
        assert len(SharedUsers.of_log(log)._kept) <= 1
