"""What was fitted: kept in a folder, read again, and refused where it is damaged or of another version."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from whimbrel.agent.fitted import FILES, Fitted
from whimbrel.agent.language_models.adapter import ADAPTER_FILES
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.whole_files import whole_files
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.ease import Ease
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import DIMENSIONS, ItemEmbeddings
from whimbrel.tools.log.learned_items import NO_LEARNED_ITEMS, LearnedItems
from whimbrel.tools.log.taught_items import TaughtItems
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.text.encoder import DIMENSION
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.taught_head import TaughtHead

HEAD = TaughtHead(np.eye(DIMENSION, 4, dtype=np.float32), np.array([7]), np.ones((1, 4), dtype=np.float32))

ALWAYS = [name for name in FILES if name not in ADAPTER_FILES]
"""The files of a fit without a tuned model, whose own files `learning/tuning/test_tuning.py` damages."""


def items_of(item_ids: list[str]) -> LearnedItems:
    """Each item has a vector of its own, and a weight of 1, 2, ... on the item after it."""
    size = len(item_ids)
    vectors = np.eye(size, DIMENSIONS, dtype=np.float32)
    weights = csr_matrix(np.diag(np.arange(1, size, dtype=np.float32), k=1))
    taught = TaughtItems(item_ids, vectors[:, :4], 10.0, HEAD, ENGLISH.name)
    return LearnedItems(ItemEmbeddings(item_ids, vectors, until=10.0), Ease(item_ids, weights, until=10.0), taught)


def test_what_was_fitted_is_read_as_it_was_saved(tmp_path: Path) -> None:
    fitted = Fitted(
        topics=NextTopics.default().model_copy(update={"learned_from": "here"}),
        fusion=Rankers.default().model_copy(update={"learned_from": "here"}),
        items=items_of(["a", "b"]),
        click_rates=ClickRates(shown={"a": 3}, chosen={"a": 1}),
    )
    fitted.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ALWAYS)
    again = Fitted.load(tmp_path)
    assert (again.topics, again.fusion, again.click_rates) == (fitted.topics, fitted.fusion, fitted.click_rates)
    assert again.items.embeddings is not None
    assert again.items.ease is not None
    assert again.items.embeddings.vectors[:, :2].tolist() == [[1, 0], [0, 1]]
    assert again.items.taught is not None
    assert again.items.taught.vectors.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert again.items.ease.weights.toarray().tolist() == [[0, 1], [0, 0]]


def test_what_is_shipped_stands_in_for_absent_files(tmp_path: Path) -> None:
    assert Fitted.load(tmp_path) == Fitted.default()


def test_items_of_an_earlier_fit_do_not_stay_beside_a_fit_without(tmp_path: Path) -> None:
    fitted = replace(Fitted.default(), items=items_of(["a"]))
    for fit in (fitted, replace(fitted, items=NO_LEARNED_ITEMS)):
        with whole_files(tmp_path, FILES) as new:
            fit.save(new)
    assert Fitted.load(tmp_path).items == NO_LEARNED_ITEMS


@pytest.mark.parametrize("name", ALWAYS)
def test_a_damaged_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    replace(Fitted.default(), items=items_of(["a", "b"])).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for damaged in (
        b"",
        b"[]",
        b'{"version": 2}',
        whole[:-10],
        whole.replace(b'"', b"'", 1) if name.endswith("json") else b"PK",
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name}' is damaged or of another version: run `whimbrel fit` again"):
            Fitted.load(tmp_path)


def test_a_fit_of_version_1_which_named_the_features_otherwise_is_an_error_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    version_2 = json.loads(Rankers.default().model_dump_json())
    old_names = {"user_knn": "people", "next_item": "follows", "co_occurrence": "near", "popularity": "ever"}
    signals = [old_names.get(name, name) for name in version_2["signals"]]
    for old in (version_2 | {"version": 1}, version_2 | {"version": 1, "signals": signals}):
        (tmp_path / "fusion.json").write_text(json.dumps(old))
        with pytest.raises(DataError, match="of another version: run `whimbrel fit` again"):
            Fitted.load(tmp_path)
    (tmp_path / "fusion.json").write_text(json.dumps(version_2))
    assert Fitted.load(tmp_path).fusion == Rankers.default()


def test_weights_of_a_version_that_knew_fewer_features_are_read_and_the_new_ones_have_none(tmp_path: Path) -> None:
    document = json.loads(Rankers.default().model_dump_json())
    assert document["signals"][20:22] == ["taught", "nearest_taught"]
    (tmp_path / "fusion.json").write_text(json.dumps(document | {"signals": document["signals"][:20]}))
    assert Fitted.load(tmp_path).fusion == Rankers.default()
    (tmp_path / "fusion.json").write_text(json.dumps(document | {"signals": document["signals"][:19]}))
    with pytest.raises(DataError, match="of another version"):
        Fitted.load(tmp_path)


def test_an_item_that_is_new_since_the_fit_gets_a_taught_vector_unless_the_encoder_is_another() -> None:
    items = [Item(item_id=id_, title=f"Green tea {id_}") for id_ in ("a", "b", "new")]
    catalogue = InMemory(items, InteractionLog.build(items, []), timed=True)
    fitted = replace(Fitted.default(), items=items_of(["a", "b"]))
    taught = fitted.for_catalogue(catalogue).items.taught
    assert taught is not None
    assert taught.item_ids == ["a", "b", "new"]
    assert taught.vectors[:2].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    expected = catalogue.item_vectors(["new"])["new"][:4]  # none of its words has a vector
    assert taught.vectors[2] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert fitted.items.taught is not None
    other = replace(fitted, items=replace(fitted.items, taught=replace(fitted.items.taught, encoder="other")))
    unknown = other.for_catalogue(catalogue).items.taught
    assert unknown is not None
    assert unknown.not_encoded == [2]


def test_items_follow_the_order_of_a_log_that_has_grown() -> None:
    log = InteractionLog.build([Item(item_id=id_, title=id_) for id_ in ("b", "a", "new")], [])
    learned = replace(Fitted.default(), items=items_of(["b", "a", "gone"])).for_log(log).items
    assert learned.embeddings is not None
    assert learned.ease is not None
    assert learned.embeddings.item_ids == learned.ease.item_ids == ["a", "b", "new"]
    assert learned.embeddings.vectors[:, :2].tolist() == [[0, 1], [1, 0], [0, 0]]
    assert learned.ease.weights.toarray().tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert Fitted.default().for_log(log).items == NO_LEARNED_ITEMS
