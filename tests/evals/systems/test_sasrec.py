"""SASRec, if `make sasrec` has installed RecTools."""

import random

import numpy as np
import pytest

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems.protocol import Settings
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.records import Item

pytest.importorskip("rectools", reason="RecTools is not installed: make sasrec")
pytest.importorskip("torch", reason="torch is not installed: make sasrec")


@pytest.mark.slow
def test_sasrec_learns_what_follows_what() -> None:
    draw = random.Random(0)
    starts = [draw.randrange(30) for _ in range(300)]
    training = Training.of((("", [(f"i{(start + n) % 30}", None) for n in range(8)]) for start in starts), {})
    scorer = load_system("sasrec")(training, Settings())

    def items(*ids: str) -> tuple[Item, ...]:
        return tuple(Item(item_id=item_id, title=item_id) for item_id in ids)

    scores = scorer(BlindCase("1", "x", items("i3", "i4", "i5"), items("i20", "i6", "unknown")))
    assert np.argmax(np.asarray(scores)) == 1
    assert np.asarray(scores)[2] == -np.inf
