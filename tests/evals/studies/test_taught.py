"""`whimbrel eval taught`: each system with and without the tuned encoder, on the same choices."""

import json
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.learning.taught_encoder import TeachConfig
from whimbrel.evals.studies.taught import PAIRS, Measured, document_of, markdown, measure_taught

WORDS = ["copper", "violet", "harbor", "thunder", "meadow", "lantern", "saddle", "mirror"]


def test_gains_are_paired_and_told_for_all_rare_and_cold_items() -> None:
    without, with_it = np.array([0.0, 0.5, 1.0, 0.0]), np.array([0.5, 0.5, 1.0, 0.0])
    reached = dict.fromkeys(PAIRS, without) | dict.fromkeys(PAIRS.values(), with_it) | {"EASE": without}
    document = document_of(Measured(np.arange(4), np.array([0, 1, 2, 3]), reached), seed=0)
    assert document["gains"]["all"]["whole ranking"]["value"] == 0.125
    assert document["gains"]["tail third"]["whole ranking"]["n"] == 2
    assert document["gains"]["cold"]["whole ranking"]["value"] == 0.5
    assert document["systems"]["all"]["EASE"]["value"] == 0.375


def test_a_log_whose_words_tell_what_goes_together_gains(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    random, sessions = np.random.default_rng(0), []
    for _ in range(500):
        first = int(random.integers(len(WORDS)))
        pair = WORDS[first], WORDS[(first + 4) % len(WORDS)]
        sessions.append([f"{pair[int(random.integers(2))]} {n:03}" for n in random.choice(150, 6, replace=False)])
    items = [{"item_id": f"{word} {n:03}", "title": f"{word} {n}"} for word in WORDS for n in range(150)]
    for name, lines in (("sessions", sessions), ("items", items)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    source = f"{tmp_path / 'sessions.jsonl'},{tmp_path / 'items.jsonl'}"
    config = TeachConfig(epochs=2, epoch_steps=10_000, dimensions=16)
    document = measure_taught(source, moments=120, warm_up=0.8, config=config)
    assert document["systems"]["all"]["EASE"]["n"] == document["gains"]["all"]["whole ranking"]["n"] >= 100
    assert document["cpu_seconds"] > 0
    assert "| whole ranking |" in markdown(document)
