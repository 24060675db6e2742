"""SASRec. The tests that train need RecTools, which `make sasrec` installs."""

import random
import warnings
from itertools import pairwise

import numpy as np
import pytest

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems import sasrec
from whimbrel.evals.systems.protocol import NotApplicableError, Settings
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.records import Item


def items(*ids: str) -> tuple[Item, ...]:
    return tuple(Item(item_id=item_id, title=item_id) for item_id in ids)


def log(sessions: int, *, length: int = 8) -> Training:
    """Sessions that walk through 30 items in a circle, each from a random start."""
    draw = random.Random(0)
    starts = [draw.randrange(30) for _ in range(sessions)]
    return Training.of((("", [(f"i{(start + n) % 30}", None) for n in range(length)]) for start in starts), {})


@pytest.fixture
def rectools() -> None:
    pytest.importorskip("rectools", reason="RecTools is not installed: make sasrec")
    pytest.importorskip("torch", reason="torch is not installed: make sasrec")


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 11, 16])
def test_windows_predict_each_interaction_but_the_first_once(length: int) -> None:
    offsets = np.array([3, 3 + length])
    windows = list(sasrec._windows(offsets, 5))
    predicted = sorted(row for start, stop in windows for row in range(start + 1, stop))
    assert predicted == list(range(4, 3 + length))
    assert all(stop - start <= 6 for start, stop in windows)
    assert not windows or windows[0] == (max(3, 3 + length - 6), 3 + length)


def test_items_at_the_end_of_sessions_are_held_out_by_the_seed() -> None:
    training = log(100)
    windows = np.array(list(sasrec._windows(training.offsets, 4)))
    drawn = sasrec._held_out(training, windows, 0)
    assert len(set(drawn.tolist())) == 10
    assert all(windows[row][1] in training.offsets for row in drawn)
    assert drawn.tolist() == sasrec._held_out(training, windows, 0).tolist()
    assert drawn.tolist() != sasrec._held_out(training, windows, 1).tolist()


def test_sessions_of_two_items_are_too_short() -> None:
    with pytest.raises(NotApplicableError, match="three items"):
        sasrec.sasrec(log(20, length=2), Settings())


@pytest.mark.slow
def test_sasrec_learns_what_follows_what(rectools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sasrec, "MOST_CHECKS", 3)
    training = log(300)
    scorer = load_system("sasrec")(training, Settings())
    case = BlindCase("1", "x", items("i3", "i4", "i5"), items("i20", "i6", "unknown"))
    scores = np.asarray(scorer(case))
    assert np.argmax(scores) == 1
    assert scores[2] == -np.inf
    assert np.asarray(load_system("sasrec")(training, Settings())(case)).tolist() == scores.tolist()
    assert np.isneginf(np.asarray(scorer(BlindCase("1", "x", items("unknown"), items("i6"))))).all()


@pytest.mark.slow
def test_scores_are_those_of_rectools(rectools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sasrec, "WHOLE_SOFTMAX", 0)  # learn from sampled items
    monkeypatch.setattr(sasrec, "NEGATIVES", 20)
    monkeypatch.setattr(sasrec, "MOST_CHECKS", 1)
    training = log(100)
    model = sasrec.fit_model(training, 0)
    candidates = [f"i{n}" for n in range(30)]
    # The second history is longer than the input of the model.
    for history in (["i3", "i4", "i5"], [f"i{n}" for n in range(20)]):
        case = BlindCase("1", "x", items(*history), items(*candidates))
        scores = np.asarray(sasrec._scorer(training, model)(case))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas as pd
            from rectools.dataset import Dataset

            rows = [training.position[item_id] for item_id in history]
            times = pd.to_datetime(np.arange(len(rows)), unit="s")
            table = pd.DataFrame({"user_id": 0, "item_id": rows, "weight": 1.0, "datetime": times})
            expected = model.recommend([0], Dataset.construct(table), k=30, filter_viewed=False)
        by_row = dict(zip(expected["item_id"], expected["score"], strict=True))
        assert scores == pytest.approx([by_row[training.position[item_id]] for item_id in candidates], abs=1e-5)
        assert all(first >= second for first, second in pairwise(expected["score"]))
