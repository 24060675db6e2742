"""The interaction log: as of a moment, the same however it was built, and the same when read again."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.records import Item

ITEMS = [
    Item(item_id=id_, title=id_, topics=tuple(topics))
    for id_, topics in zip("uvwxyz", ["ab", "a", "", "b", "cab", "c"], strict=True)
]
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 50).map(float),
        st.sampled_from("abcd"),
        st.sampled_from("uvwxyz"),
        st.sampled_from([None, {"place": "home"}, {"place": "a\nb"}]),
    ),
    max_size=40,
)


def assert_equal(log: InteractionLog, other: InteractionLog) -> None:
    for name in log.__dataclass_fields__:
        assert np.array_equal(getattr(log, name), getattr(other, name)), name


def by_name(log: InteractionLog) -> list[tuple[float, str, str, str]]:
    return sorted(
        (float(time), log.user_ids[user], log.item_ids[item], log.situations[situation])
        for time, user, item, situation in zip(log.time, log.user, log.item, log.situation, strict=True)
    )


@settings(deadline=None)
@given(EVENTS, EVENTS, st.integers(0, 50))
def test_no_reading_of_the_log_sees_what_comes_later(events: list[EventRow], more: list[EventRow], before: int) -> None:
    past = [event for event in events if event[0] < before]
    future = [(max(time, float(before)), user, item, context) for time, user, item, context in more]
    short, whole = InteractionLog.build(ITEMS, past), InteractionLog.build(ITEMS, past + future)
    users = np.arange(len(short.user_ids))  # users are numbered as they come, so the later ones stand behind
    assert np.array_equal(short.popularity(before=before), whole.popularity(before=before))
    assert np.array_equal(short.users_per_item(before=before), whole.users_per_item(before=before))
    assert np.array_equal(short.items_per_user(before=before), whole.items_per_user(before=before)[users])
    assert not whole.items_per_user(before=before)[len(users) :].any()
    for row in range(len(ITEMS)):
        met_by, expected = (log.pair_user[log.pairs_of(row, before=before)] for log in (whole, short))
        assert met_by.tolist() == expected.tolist()
    for answer, expected in zip(
        whole.items_of(users, before=before), short.items_of(users, before=before), strict=True
    ):
        assert answer.tolist() == expected.tolist()
    met = {item for _, _, item, _ in past} | ({*"uvwxyz"} - {item for _, _, item, _ in past + future})
    assert {id_ for id_, known in zip("uvwxyz", whole.known(before=before), strict=True) if known} == met


@settings(deadline=None)
@given(EVENTS, st.integers(0, 50), st.integers(0, 50))
def test_popularity_counts_the_events_of_an_interval(events: list[EventRow], since: int, before: int) -> None:
    counts = InteractionLog.build(ITEMS, events).popularity(since=since, before=max(since, before))
    inside = [item for time, _, item, _ in events if since <= time < before]
    assert counts.tolist() == [inside.count(item.item_id) for item in ITEMS]


@settings(deadline=None)
@given(EVENTS)
def test_a_user_and_an_item_are_one_pair_at_their_first_meeting(events: list[EventRow]) -> None:
    log = InteractionLog.build(ITEMS, events)
    first: dict[tuple[str, str], float] = {}
    for time, user, item, _ in sorted(events, key=lambda event: event[0]):
        first.setdefault((user, item), time)
    pairs = zip(log.pair_user, log.pair_item, log.pair_time, strict=True)
    assert {(log.user_ids[user], log.item_ids[item]): time for user, item, time in pairs} == first
    assert len(log.pair_item) == len(first)
    for row in range(len(log.user_ids)):
        start, stop = log.pair_offset[row : row + 2]
        assert set(log.pair_user[start:stop]) == {row}
        assert (np.diff(log.pair_time[start:stop]) >= 0).all()
    for row in range(len(ITEMS)):
        met = log.pairs_of(row, before=np.inf)
        assert set(log.pair_item[met]) <= {row}
        assert (np.diff(log.pair_time[met]) >= 0).all()


def test_an_item_appears_when_it_is_listed_or_first_met_and_else_was_always_there() -> None:
    items = [
        Item(item_id="a", title="a", time=5.0),
        Item(item_id="b", title="b", time=5.0),
        Item(item_id="c", title="c"),
    ]
    log = InteractionLog.build(items, [(3.0, "u", "a", None)])
    assert log.appeared.tolist() == [3.0, 5.0, -np.inf]
    assert log.known(before=5.0).tolist() == [True, False, True]


def test_topics_are_given_for_each_item_asked_for() -> None:
    log = InteractionLog.build(ITEMS, [])
    topics, position = log.topics_of(log.rows(["x", "w", "y"]))
    assert [log.topics[row] for row in topics] == ["b", "c", "a", "b"]
    assert position.tolist() == [0, 2, 2, 2]
    chosen, column = log.frequent_topics(np.array([2, 0, 2]), most=1)
    assert chosen.tolist() == [2]
    assert column.tolist() == [-1, -1, 0]


def test_an_event_of_an_unknown_item_is_an_error() -> None:
    with pytest.raises(KeyError, match="other"):
        InteractionLog.build(ITEMS, [(1.0, "u", "other", None)])


@settings(deadline=None)
@given(EVENTS)
def test_a_log_is_read_as_it_was_saved(events: list[EventRow]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, path = InteractionLog.build(ITEMS, events), Path(folder) / "log.npz"
        log.save(path)
        assert_equal(InteractionLog.load(path), log)


def test_the_arrays_of_a_saved_log_keep_their_names(tmp_path: Path) -> None:
    InteractionLog.build(ITEMS, [(1.0, "u", "u", None)]).save(tmp_path / "log.npz")
    names = (
        "item_ids user_ids topics situations time user item situation appeared topic_offset topic "
        "pair_offset pair_user pair_item pair_time met_offset met_by"
    )
    with np.load(tmp_path / "log.npz") as arrays:
        assert sorted(arrays.files) == sorted(names.split())


def test_half_a_file_is_an_error(tmp_path: Path) -> None:
    InteractionLog.build(ITEMS, [(1.0, "u", "u", None)]).save(tmp_path / "log.npz")
    whole = (tmp_path / "log.npz").read_bytes()
    (tmp_path / "log.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        InteractionLog.load(tmp_path / "log.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"item": np.array([0, 3])},
        {"user": np.array([-1, 0])},
        {"user": np.array([0.0, 0.0])},
        {"time": np.array([1.0])},
        {"time": np.array([1.0, np.nan])},
        {"situations": []},
        {"pair_offset": np.array([0, 3])},
        {"topic_offset": np.array([0, 5, 1, 2])},
        {"pairs_by_item": np.array([[0, 1]])},
    ],
)
def test_arrays_that_do_not_belong_together_are_an_error(changes: dict[str, Any]) -> None:
    log = InteractionLog.build(ITEMS[:3], [(1.0, "u", ITEMS[0].item_id, None), (2.0, "u", ITEMS[1].item_id, None)])
    log.require_consistent()
    with pytest.raises(ValueError, match="belong together"):
        replace(log, **changes).require_consistent()
