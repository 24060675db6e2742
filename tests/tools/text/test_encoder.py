"""The text encoder: unit vectors in the order of the texts, each text encoded once."""

import numpy as np
import pytest

from whimbrel.tools.records import Item
from whimbrel.tools.text import encoder
from whimbrel.tools.text.encoder import BATCH_SIZE, DIMENSION, encode, encoder_text


def test_vectors_are_unit_vectors_in_the_order_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[str]] = []
    real = encoder._encode_batch
    monkeypatch.setattr(encoder, "_encode_batch", lambda texts: batches.append(texts) or real(texts))
    texts = [f"thing {number % 20}" for number in range(50)]
    done: list[int] = []
    vectors = encode(texts, advance=done.append)
    assert vectors.shape == (50, DIMENSION)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vectors[:20], vectors[20:40])
    assert sorted(map(len, batches)) == [20 - BATCH_SIZE, BATCH_SIZE]
    assert sum(done) == 50


def test_texts_of_like_meaning_are_nearer_than_others() -> None:
    tea, other_tea, hose = encode(["green tea", "black tea", "garden hose"])
    assert tea @ other_tea > tea @ hose


def test_no_texts_have_no_vectors() -> None:
    assert encode([]).shape == (0, DIMENSION)


def test_the_text_of_an_item_is_title_topics_and_description() -> None:
    assert encoder_text(Item(title="T", topics=["a", "b"], text="Long.")) == "T. a, b. Long."
    assert encoder_text(Item(title="T")) == "T"
