"""What was fitted: kept in a folder, read again, and refused where it is damaged or of another version."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.fitted import FILES, Fitted
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import DIMENSIONS, ItemEmbeddings
from whimbrel.tools.records import Item


def embeddings_of(item_ids: list[str]) -> ItemEmbeddings:
    vectors = np.eye(len(item_ids), DIMENSIONS, dtype=np.float32)
    return ItemEmbeddings(item_ids, vectors, until=10.0)


def test_what_was_fitted_is_read_as_it_was_saved(tmp_path: Path) -> None:
    fitted = Fitted(
        topics=NextTopics.default().model_copy(update={"learned_from": "here"}),
        fusion=Rankers.default().model_copy(update={"learned_from": "here"}),
        embeddings=embeddings_of(["a", "b"]),
        click_rates=ClickRates(shown={"a": 3}, chosen={"a": 1}),
    )
    fitted.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    again = Fitted.load(tmp_path)
    assert (again.topics, again.fusion, again.click_rates) == (fitted.topics, fitted.fusion, fitted.click_rates)
    assert again.embeddings is not None
    assert again.embeddings.vectors.tolist() == embeddings_of(["a", "b"]).vectors.tolist()


def test_what_is_shipped_stands_in_for_absent_files(tmp_path: Path) -> None:
    assert Fitted.load(tmp_path) == Fitted.default()


def test_embeddings_of_an_earlier_fit_do_not_stay_beside_a_fit_without(tmp_path: Path) -> None:
    fitted = replace(Fitted.default(), embeddings=embeddings_of(["a"]))
    fitted.save(tmp_path)
    replace(fitted, embeddings=None).save(tmp_path)
    assert Fitted.load(tmp_path).embeddings is None


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    replace(Fitted.default(), embeddings=embeddings_of(["a", "b"])).save(tmp_path)
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


def test_embeddings_follow_the_order_of_a_log_that_has_grown() -> None:
    log = InteractionLog.build([Item(item_id=id_, title=id_) for id_ in ("b", "a", "new")], [])
    fitted = replace(Fitted.default(), embeddings=embeddings_of(["b", "a", "gone"])).for_log(log)
    assert fitted.embeddings is not None
    assert fitted.embeddings.item_ids == ["a", "b", "new"]
    assert fitted.embeddings.vectors[:, :2].tolist() == [[0, 1], [1, 0], [0, 0]]
    assert Fitted.default().for_log(log).embeddings is None
