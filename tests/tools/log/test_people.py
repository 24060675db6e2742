"""Counts of people: distinct, of the time before the moment, and without the person who reads them."""

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.people import PeopleCounts
from whimbrel.tools.records import Item

ROWS = [
    (1.0, "u", "a"),
    (2.0, "v", "a"),
    (3.0, "v", "b"),
    (3.5, "v", "b"),
    (4.0, "w", "b"),
    (5.0, "w", "a"),
    (6.0, "u", "b"),
]
LOG = InteractionLog.build([Item(item_id=name, title=name) for name in "abc"], [(*row, None) for row in ROWS])


def test_people_of_two_items_have_both_before_the_moment() -> None:
    assert PeopleCounts(LOG).of("a", "b") == 3
    assert PeopleCounts(LOG, 6.0).of("a", "b") == 2
    assert PeopleCounts(LOG, 5.0).of("a", "b") == 1
    assert PeopleCounts(LOG, 3.0).of("a", "b") == 0


def test_the_reader_does_not_count() -> None:
    counts = PeopleCounts(LOG, without="u")
    assert (counts.of("a", "b"), counts.of("a"), counts.since("b", 5.0)) == (2, 2, 0)


def test_a_person_counts_once_within_a_window() -> None:
    assert PeopleCounts(LOG).since("b", 3.0) == 3
    assert PeopleCounts(LOG).since("b", 3.2) == 3
    assert PeopleCounts(LOG, 4.0).since("b", 3.2) == 1


def test_an_unknown_item_or_person_is_no_error() -> None:
    counts = PeopleCounts(LOG, without="nobody")
    assert (counts.of("z"), counts.of("a", "z"), counts.of("c"), counts.since("z", 0.0)) == (0, 0, 0, 0)
