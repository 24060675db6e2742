"""Candidates compared by images, sounds and the like: what is missing is missing, and old rankers go on."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from whimbrel.agent import Interaction
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.pipeline import RANK, run
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.modalities import (
    Alike,
    Comparison,
    compare_modalities,
    cosines_with,
    most_alike,
)
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.agent.state import Request, Resources
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.interest import latest_liked
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.text.encoder import Vectors

Known = Mapping[str, Mapping[str, Sequence[float]]]
SQUARE: Known = {"image": {"east": [1, 0], "west": [-1, 0], "north": [0, 1], "seen": [0.6, 0.8]}}


def compared(known: Known, item_ids: Sequence[str], latest: Sequence[str] = ("seen",)) -> dict[str, list[float]]:
    return {name: of.figures.tolist() for name, of in compare(known, item_ids, latest).items()}


def compare(known: Known, item_ids: Sequence[str], latest: Sequence[str]) -> dict[str, Comparison]:
    def vectors_of(ids: Sequence[str]) -> dict[str, dict[str, Vectors]]:
        return {
            name: {id_: np.array(by_id[id_], dtype=np.float32) for id_ in ids if id_ in by_id}
            for name, by_id in known.items()
        }

    return compare_modalities(item_ids, latest, vectors_of)


def test_cosines_are_taken_from_the_mean_of_all_vectors() -> None:
    candidates, met = np.array([[1, 1], [1, -1]], dtype=np.float32), np.array([[4, 0]], dtype=np.float32)
    # Their mean is (2, 0), so the candidates point to (-1, 1) and (-1, -1), and the item that was met to (2, 0).
    np.testing.assert_allclose(cosines_with(candidates, met)[:, 0], [-np.sqrt(0.5)] * 2)


def test_a_candidate_without_a_vector_gets_no_figure() -> None:
    ids = ["east", "nothing", "west", "north"]
    figures = compared(SQUARE, ids)["image"]
    vectors = np.array([SQUARE["image"][id_] for id_ in ("east", "west", "north")], dtype=np.float32)
    expected = standardise(cosines_with(vectors, np.array([SQUARE["image"]["seen"]], dtype=np.float32))[:, 0])
    np.testing.assert_allclose(np.delete(figures, 1), expected, atol=1e-6)
    assert figures[1] == 0
    assert figures[2] < min(figures[0], figures[3])


def test_a_modality_that_one_side_lacks_is_left_out() -> None:
    assert compared(SQUARE, ["east", "north"], ["nothing"]) == {}
    assert compared(SQUARE, ["nothing"]) == {}
    assert compared({}, ["east"]) == {}
    both = {**SQUARE, "sound": {"seen": [1.0, 0.0]}}
    assert compared(both, ["east", "north"]).keys() == {"image"}


def test_an_item_is_alike_only_if_a_latest_item_stands_out() -> None:
    random = np.random.default_rng(0)
    vectors = {f"c{n}": random.normal(size=40) for n in range(30)} | {f"m{n}": random.normal(size=40) for n in range(6)}
    vectors["c3"] = vectors["m2"] + 0.1 * random.normal(size=40)
    known = {"image": {id_: (vector / np.linalg.norm(vector)).tolist() for id_, vector in vectors.items()}}
    ids, latest = [f"c{n}" for n in range(30)], [f"m{n}" for n in range(6)]
    alike = most_alike(ids, compare(known, ids, latest))
    assert alike["c3"] == Alike("image", "m2")
    assert len(alike) < len(ids) / 2
    assert most_alike(ids, {}) == {}


def test_what_was_disliked_is_not_compared_with() -> None:
    events = [
        Interaction(user_id="u", item_id=f"i{n}", title=f"T{n}", time=n, event="rating", rating=rating)
        for n, rating in enumerate((5, 5, 1, 5))
    ]
    assert latest_liked(events) == ["i3", "i1", "i0"]


def test_likeness_ranks_items_of_which_nothing_else_is_known() -> None:
    items = [Item(item_id=id_, title=id_) for id_ in ("aa", "bb", "cc", "dd")]
    table = np.array([[1, 0], [0, 1], [np.nan, np.nan], [0.1, 1]], dtype=np.float32)
    log = InteractionLog.build(items, [(1.0, "u", "aa", None)])
    catalogue = InMemory(items, log, timed=True, modalities={"image": table})
    weights = Ranker(weights={"modality": 1.0})
    fitted = Fitted(Fitted.default().topics, Rankers(retrieved=weights, given=weights, cold=weights))
    request = Request(user_id="u", at=2.0, candidates=[items[1], items[2], items[3]])
    state = run(request, Resources(catalogue, fitted), RANK)
    assert [entry.candidate.item.item_id for entry in state.ranking.list] == ["dd", "cc", "bb"]
    assert [entry.signals["modality"] for entry in state.ranking.list] == [1.2247, 0.0, -1.2247]


def test_a_ranker_of_before_modalities_is_read_and_ranks_as_before() -> None:
    import lightgbm

    names = [name for name in FEATURES if name != "modality"]
    random = np.random.default_rng(0)
    table, labels = random.normal(size=(400, len(names))), random.integers(0, 2, size=400)
    data = lightgbm.Dataset(table, labels, group=[20] * 20)
    booster = lightgbm.train({"objective": "lambdarank", "verbose": -1, "min_data_in_leaf": 5}, data, 3)
    old = Ranker(weights={"itemknn": 1.0}).with_trees(booster.model_to_string())
    document = json.loads(Rankers(retrieved=old, given=old, cold=old).model_dump_json()) | {"signals": names}
    ranker = Rankers.model_validate(document).retrieved
    features = np.hstack([table[:5], np.full((5, 1), 9.0)])
    contributions = ranker(features)
    assert "modality" not in contributions
    expected = table[:5, names.index("itemknn")] + booster.predict(table[:5], pred_contrib=True)[:, :-1].sum(axis=1)
    np.testing.assert_allclose(sum(contributions.values()), expected, atol=1e-9)


@pytest.mark.parametrize("names", [FEATURES[:5], FEATURES[1:], (*FEATURES, "another")])
def test_a_ranker_of_other_features_is_refused(names: tuple[str, ...]) -> None:
    document = json.loads(Rankers.default().model_dump_json()) | {"signals": list(names)}
    with pytest.raises(ValueError, match="learned from other features"):
        Rankers.model_validate(document)
