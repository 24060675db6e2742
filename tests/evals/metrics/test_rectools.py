"""SASRec and agreement with RecTools, where `make sasrec` has installed it."""

import random
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.data.folds import Protocol, write_folds
from whimbrel.evals.data.logs import read_log
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.run import run
from whimbrel.evals.studies.agreement import TOLERANCE, agreement_lines, measure_agreement
from whimbrel.evals.systems.protocol import Settings
from whimbrel.evals.systems.registry import load_system
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source

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


def test_our_figures_are_those_of_rectools(tmp_path: Path) -> None:
    draw, lines = random.Random(0), ["user_id,title,time"]
    for user in range(40):
        for n, thing in enumerate(draw.sample(range(30), 12)):
            lines.append(f"u{user},Thing {thing},{10**9 + n * 1000 + user}")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    for fold in write_folds(read_log(open_source(str(tmp_path / "a.csv"))), Protocol(refits=2), tmp_path / "out"):
        plan = Plan(fold.cases, ("itemknn", "als", "popularity"), sessions=fold.sessions, items=fold.items)
        run(plan, fold.cases.parent)
    document = measure_agreement(tmp_path / "out")
    assert document["system"].keys() == {"itemknn", "als", "popularity"}
    assert document["largest difference as listed"] < TOLERANCE
    assert "largest difference as listed" in agreement_lines(document)[-1]
