"""The text encoder: unit vectors in the order of the texts, each text encoded once."""

import numpy as np
import pytest

from whimbrel.tools.records import Item
from whimbrel.tools.text import encoder
from whimbrel.tools.text.distilled import encode_distilled
from whimbrel.tools.text.encoder import DIMENSION, MOST_TEXTS, encode, encoder_text


def test_vectors_are_unit_vectors_in_the_order_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[list[int]]] = []
    real = encoder._encode_batch
    monkeypatch.setattr(encoder, "_encode_batch", lambda tokens: batches.append(tokens) or real(tokens))
    texts = [f"thing {number % 20}" for number in range(50)]
    done: list[int] = []
    vectors = encode(texts, advance=done.append)
    assert vectors.shape == (50, DIMENSION)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vectors[:20], vectors[20:40])
    # Equal texts are encoded once, and the texts of a batch have equally many tokens.
    assert sum(map(len, batches)) == 20
    assert all(len(batch) <= MOST_TEXTS and len(set(map(len, batch))) == 1 for batch in batches)
    assert sum(done) == 50


def test_texts_of_like_meaning_are_nearer_than_others() -> None:
    tea, other_tea, hose = encode(["green tea", "black tea", "garden hose"])
    assert tea @ other_tea > tea @ hose


def test_no_texts_have_no_vectors() -> None:
    assert encode([]).shape == (0, DIMENSION)


def test_the_text_of_an_item_is_title_topics_and_description() -> None:
    assert encoder_text(Item(title="T", topics=["a", "b"], text="Long.")) == "T. a, b. Long."
    assert encoder_text(Item(title="T")) == "T"


def test_the_distilled_encoder_is_near_the_exact_one() -> None:
    texts = ["Green tea of Japan", "Black tea", "Garden hose, 20 m", "Wool socks for winter", "The history of Rome", ""]
    exact, distilled = encode(texts), encode_distilled(texts)
    assert distilled.shape == exact.shape
    assert np.linalg.norm(distilled, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (exact[:5] * distilled[:5]).sum(axis=1).mean() > 0.7
    assert np.argmax(exact[:5] @ distilled[:5].T, axis=1).tolist() == [0, 1, 2, 3, 4]
    assert encode_distilled([]).shape == (0, DIMENSION)
