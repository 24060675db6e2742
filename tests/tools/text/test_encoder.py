"""The text encoders: unit vectors in the order of the texts, each text encoded once."""

import numpy as np
import pytest

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item
from whimbrel.tools.text import minilm
from whimbrel.tools.text.distilled import encode_distilled
from whimbrel.tools.text.encoder import DIMENSION, TextEncoder, encoder_text
from whimbrel.tools.text.encoders import ENCODERS, encoder_for, encoder_named
from whimbrel.tools.text.minilm import ENGLISH, MOST_TEXTS
from whimbrel.tools.text.multilingual import MULTILINGUAL


def test_vectors_are_unit_vectors_in_the_order_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[list[int]]] = []
    real = minilm._encode_batch
    monkeypatch.setattr(minilm, "_encode_batch", lambda tokens: batches.append(tokens) or real(tokens))
    texts = [f"thing {number % 20}" for number in range(50)]
    done: list[int] = []
    vectors = ENGLISH.encode(texts, advance=done.append)
    assert vectors.shape == (50, DIMENSION)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vectors[:20], vectors[20:40])
    # Equal texts are encoded once, and the texts of a batch have equally many tokens.
    assert sum(map(len, batches)) == 20
    assert all(len(batch) <= MOST_TEXTS and len(set(map(len, batch))) == 1 for batch in batches)
    assert sum(done) == 50


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.title)
def test_texts_of_like_meaning_are_nearer_than_others(encoder: TextEncoder) -> None:
    tea, other_tea, hose = encoder.encode(["green tea", "black tea", "garden hose"])
    assert tea @ other_tea > tea @ hose


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.title)
def test_any_text_has_a_unit_vector_that_does_not_depend_on_its_company(encoder: TextEncoder) -> None:
    texts = ["", "\0", "tea\0pot", "\ud800", "😀" * 3000, "绿茶", "tea", "tea"]
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    done: list[int] = []
    vectors = encoder.encode(texts, advance=done.append)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vectors[-1], vectors[-2])
    assert np.allclose(encoder.encode(["绿茶"])[0], vectors[5], atol=1e-3)
    assert sum(done) == len(texts)
    assert encoder.encode([]).shape == (0, DIMENSION)


def test_the_multilingual_encoder_draws_translations_together() -> None:
    words = {"绿茶": "green tea", "跑鞋": "running shoes", "恐怖电影": "horror film", "Gartenschlauch": "garden hose"}
    cosines = MULTILINGUAL.encode(list(words)) @ MULTILINGUAL.encode(list(words.values())).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2, 3]
    # Unrelated texts have low cosines, as with the English encoder.
    assert np.median(cosines[~np.eye(4, dtype=bool)]) < 0.45


def test_the_script_of_the_titles_chooses_the_encoder() -> None:
    assert encoder_for([Item(title="Amélie (Le fabuleux destin d'Amélie Poulain)")]) is ENGLISH
    assert encoder_for([Item(title="华为 Mate 60 手机")]) is MULTILINGUAL
    assert encoder_for([Item(title="Чай чёрный")]) is MULTILINGUAL
    assert encoder_for([Item(title="Green tea", text="A tea of Japan")] * 20 + [Item(title="抹茶")]) is ENGLISH
    assert encoder_for([]) is ENGLISH


def test_an_encoder_is_known_by_its_name_and_its_title() -> None:
    assert encoder_named("multilingual") is encoder_named(MULTILINGUAL.name) is MULTILINGUAL
    with pytest.raises(ConfigError, match="choose english or multilingual"):
        encoder_named("klingon")


def test_the_text_of_an_item_is_title_topics_and_description() -> None:
    assert encoder_text(Item(title="T", topics=["a", "b"], text="Long.")) == "T. a, b. Long."
    assert encoder_text(Item(title="T")) == "T"


def test_the_distilled_encoder_is_near_the_exact_one() -> None:
    texts = ["Green tea of Japan", "Black tea", "Garden hose, 20 m", "Wool socks for winter", "The history of Rome", ""]
    exact, distilled = ENGLISH.encode(texts), encode_distilled(texts)
    assert distilled.shape == exact.shape
    assert np.linalg.norm(distilled, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (exact[:5] * distilled[:5]).sum(axis=1).mean() > 0.7
    assert np.argmax(exact[:5] @ distilled[:5].T, axis=1).tolist() == [0, 1, 2, 3, 4]
    assert encode_distilled([]).shape == (0, DIMENSION)
