"""Caches of a store: each record is read once, in the order asked for."""

import pytest

from whimbrel.tools.store import caches
from whimbrel.tools.store.caches import ReadCache


def test_only_absent_records_are_read_and_the_order_is_that_of_the_ids() -> None:
    cache, reads = ReadCache[int](), list[list[str]]()

    def read(ids: list[str]) -> dict[str, int]:
        reads.append(ids)
        return {id_: int(id_) for id_ in ids if id_ != "9"}

    assert list(cache.get(["2", "1", "2"], read).items()) == [("2", 2), ("1", 1)]
    assert list(cache.get(["3", "1", "9"], read).items()) == [("3", 3), ("1", 1)]
    assert reads == [["2", "1"], ["3", "9"]]


def test_a_full_cache_is_emptied_and_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST_RECORDS", 2)
    cache = ReadCache[str]()
    for ids in (["a", "b"], ["b", "c"], ["a", "b", "c"]):
        assert cache.get(ids, lambda absent: {id_: id_ for id_ in absent}) == {id_: id_ for id_ in ids}
