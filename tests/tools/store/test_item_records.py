"""Records of items forget the times of a person's events, and keep the facts that others know."""

import numpy as np
import pytest

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.store.item_records import FROM_CATALOGUE, ItemRecord, Version, without_times_of

ITEM = Item(item_id="a", title="Third", topics=("T",))
VERSIONS = tuple(
    Version(since, title, ("T",), None) for since, title in ((1.0, "First"), (3.0, "Second"), (5.0, "Third"))
)


@pytest.mark.parametrize(
    ("forgotten", "remaining", "since", "titles", "until"),
    [
        ({1.0}, [2.0, 3.0, 5.0], 2.0, ["First", "Second", "Third"], 5.0),
        ({3.0}, [1.0, 5.0], 1.0, ["First", "Third"], 5.0),
        ({5.0}, [1.0, 3.0, 4.0], 1.0, ["First", "Second"], 4.0),
        ({1.0, 3.0}, [5.0], 5.0, ["Third"], 5.0),
        ({9.0}, [1.0, 3.0, 5.0], 1.0, ["First", "Second", "Third"], 5.0),
        ({1.0, 3.0, 5.0}, [], FROM_CATALOGUE, ["Third"], FROM_CATALOGUE),
    ],
)
def test_the_next_event_takes_the_place_of_a_forgotten_one(
    forgotten: set[float], remaining: list[float], since: float, titles: list[str], until: float
) -> None:
    record = ItemRecord(ITEM, 1.0, VERSIONS, 5.0).without_times(forgotten, remaining)
    assert (record.known_since, record.told_until) == (since, until)
    assert record.item.title == record.as_of(np.inf).title == titles[-1]
    assert [version.title for version in record.versions] == (titles if len(titles) > 1 else [])
    times = {record.known_since, record.told_until, *(version.since for version in record.versions)}
    assert not times & forgotten
    assert ItemRecord.from_metadata(record.metadata()).as_of(4.5).title == record.as_of(4.5).title


def test_only_the_records_that_change_are_returned() -> None:
    other = Item(item_id="b", title="Other")
    log = InteractionLog.build([ITEM, other], [(1.0, "u", "a", {}), (2.0, "v", "a", {}), (1.5, "v", "b", {})])
    records = [ItemRecord(ITEM, 1.0, (), 2.0), ItemRecord(other, 1.5, (), 1.5)]
    assert [(r.item.item_id, r.known_since) for r in without_times_of("u", records, log)] == [("a", 2.0)]
