"""Text vectors of items: right for every sequence, and encoded once."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from whimbrel.tools.records import Item
from whimbrel.tools.text import item_vectors as module
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.item_vectors import CATALOGUE_SIZE, item_vectors, title_vectors
from whimbrel.tools.text.minilm import ENGLISH, MiniLM

TEA, HOSE = Item(title="Green tea"), Item(title="Garden hose", topics=("Garden",))


def test_a_list_that_changed_in_place_has_the_vectors_of_what_it_holds_now() -> None:
    items = [TEA] * CATALOGUE_SIZE
    assert item_vectors(items).shape == (CATALOGUE_SIZE, 384)
    items.append(HOSE)
    assert item_vectors(items).shape == (CATALOGUE_SIZE + 1, 384)
    items[0] = HOSE
    (expected,) = item_vectors([HOSE])
    assert np.array_equal(item_vectors(items)[0], expected)


def test_a_catalogue_that_comes_again_is_neither_encoded_nor_stacked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    class Counting(MiniLM):
        name = "counting"

        def encode(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
            encoded.extend(texts)
            return super().encode(texts, advance=advance)

    monkeypatch.setattr(module, "_caches", {})
    counting = Counting()
    items = [TEA, HOSE] * (CATALOGUE_SIZE // 2)
    first = item_vectors(items, counting)
    assert item_vectors(tuple(items), counting) is first
    assert not first.flags.writeable
    item_vectors([HOSE, TEA], counting)
    assert encoded == ["Green tea", "Garden hose. Garden"]


def test_the_least_recently_used_texts_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = module._VectorCache(ENGLISH)
    monkeypatch.setattr(module, "MOST_TEXTS", 2)
    for title in ("Tea", "Bread", "Tea", "Rake"):
        cache.vectors([Item(title=title)])
    assert list(cache._by_text) == ["Tea", "Rake"]


def test_title_vectors_leave_out_topics_and_text() -> None:
    assert np.array_equal(title_vectors([HOSE]), item_vectors([Item(title="Garden hose")]))
    assert not np.array_equal(title_vectors([HOSE]), item_vectors([HOSE]))


def test_no_items_have_no_vectors() -> None:
    assert item_vectors([]).shape == (0, 384)
