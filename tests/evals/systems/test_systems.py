"""Systems learn from sessions and score any candidates."""

from dataclasses import replace

import numpy as np
import pytest

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems.protocol import Settings, from_ranking
from whimbrel.evals.systems.registry import SYSTEMS, load_system
from whimbrel.tools.records import Item


def item(name: str) -> Item:
    return Item(item_id=name, title=f"thing {name}", topics=(f"topic {name}",))


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in {"whimbrel", "sasrec"}])
def test_a_system_learns_from_sessions_and_knows_unknown_items(name: str) -> None:
    events = [("u1", "a"), ("u1", "b"), ("u2", "a"), ("u2", "b"), ("u3", "a"), ("u3", "b"), ("u4", "c"), ("u4", "d")]
    sessions: dict[str, list[tuple[str, float | None]]] = {}
    for n, (user, name_) in enumerate(events):
        sessions.setdefault(user, []).append((name_, 1e9 + n))
    items = {i: item(i) for i in "abcd"}
    training = Training.of(sessions.items(), items)
    scorer = load_system(name)(training, Settings())
    pool = tuple(item(i) for i in ("d", "b", "unknown"))
    for history in ((item("a"),), (), (item("never met"),)):
        result = scorer(BlindCase("1", "x", history, pool))
        scores = getattr(result, "scores", result)
        assert scores.shape == (3,)
        assert not np.isnan(scores).any()
    after_a = scorer(BlindCase("1", "x", (item("a"),), pool))
    if name in {"itemknn", "sessionknn", "als", "item2vec", "markov"}:
        assert getattr(after_a, "scores", after_a)[1] == max(getattr(after_a, "scores", after_a))


def test_a_list_of_ids_becomes_scores() -> None:
    blind = BlindCase("1", "x", (), tuple(item(i) for i in "abc"))
    assert from_ranking(["c", "a"], blind).scores.tolist() == [-1, -3, 0]


@pytest.mark.parametrize("name", ["popularity", "bm25", "itemknn", "newest"])
def test_a_whole_catalogue_is_scored_as_its_items_are(name: str) -> None:
    catalogue = tuple(item(letter) for letter in "abcdef")
    sessions = [(f"u{n}", [(letter, float(n)) for letter in letters]) for n, letters in enumerate(["ab", "abc", "bd"])]
    items = {letter.item_id: letter for letter in catalogue}
    of_items = Training.of(sessions, items)
    of_catalogue = replace(of_items, catalogue=catalogue)
    case = BlindCase("1", "x", (item("a"),), catalogue, met=frozenset())
    expected, actual = (load_system(name)(training, Settings())(case) for training in (of_items, of_catalogue))
    assert np.asarray(actual).tolist() == np.asarray(expected).tolist()


def test_rows_of_the_catalogue_are_those_of_its_items() -> None:
    catalogue = tuple(item(letter) for letter in "xab")
    training = Training.of([("u", [("a", None), ("b", None)])], {letter: item(letter) for letter in "ab"})
    known = replace(training, catalogue=catalogue)
    assert known.rows_of(catalogue).tolist() == training.rows_of(catalogue).tolist() == [-1, 0, 1]
    assert known.is_catalogue(list(catalogue))
    assert not known.is_catalogue(catalogue[::-1])
    assert known.rows_of(catalogue[::-1]).tolist() == [1, 0, -1]
