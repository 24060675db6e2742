"""Calibration: what an ingestion learns of the signals, and when it is used."""

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from whimbrel.agent.cli.main import build_app
from whimbrel.agent.fitted import CALIBRATED, FUSION, Fitted, save_calibrated
from whimbrel.agent.learning.fit import calibrate_store
from whimbrel.agent.learning.learn import LEAST_USERS
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.tools.errors import DataError
from whimbrel.tools.store.store import open_store

SIZE = 80


def write_walks(path: Path, people: int) -> Path:
    """Write a log of people who go round a ring of things, each from somewhere."""
    random, clock = np.random.default_rng(0), 0
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "title", "time"])
        for person in range(people):
            place = int(random.integers(SIZE))
            for _ in range(8):
                place, clock = (place + 1) % SIZE, clock + 3600
                rows.writerow([f"u{person}", f"Thing {place}", 1_600_000_000 + clock])
    return path


def ingest(log: Path, store: Path, *options: str) -> None:
    result = CliRunner().invoke(build_app("ingest"), ["ingest", str(log), "--store", str(store), "--json", *options])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    ingest(write_walks(folder / "log.csv", LEAST_USERS + 40), folder / "store")
    return folder / "store"


def test_an_ingestion_learns_which_signals_count(calibrated: Path) -> None:
    weights = Fitted.load(calibrated / "fitted").fusion
    assert "end of this log" in weights.learned_from
    # In a ring, nothing but the next thing counts.
    assert weights.retrieved.weights["next_item"] == max(weights.retrieved.weights.values())
    assert weights.channels["next_item"] > 1 > weights.channels["popular"]
    assert weights.given == Rankers.default().given


def test_a_fit_counts_more_and_stays(calibrated: Path, tmp_path: Path) -> None:
    of_fit = Rankers.default().model_copy(update={"learned_from": "a fit"})
    with open_store(calibrated) as store:
        kept = (store.fitted / CALIBRATED).read_bytes()
        (store.fitted / FUSION).write_text(of_fit.model_dump_json())
        (store.fitted / CALIBRATED).unlink()
        calibrate_store(store)
        assert not (store.fitted / CALIBRATED).exists()
        (store.fitted / CALIBRATED).write_bytes(kept)
        assert Fitted.load(store.fitted).fusion.learned_from == "a fit"
        (store.fitted / FUSION).unlink()


def test_a_damaged_calibration_is_an_error_and_not_another_list(tmp_path: Path) -> None:
    save_calibrated(Rankers.default().model_copy(update={"learned_from": "here"}), tmp_path)
    assert Fitted.load(tmp_path).fusion.learned_from == "here"
    (tmp_path / CALIBRATED).write_text("{")
    with pytest.raises(DataError, match="damaged: run `whimbrel fit` again"):
        Fitted.load(tmp_path)


def test_short_logs_and_no_calibrate_keep_the_shipped_weights(tmp_path: Path) -> None:
    ingest(write_walks(tmp_path / "short.csv", 20), tmp_path / "short")
    ingest(write_walks(tmp_path / "long.csv", LEAST_USERS), tmp_path / "long", "--no-calibrate")
    for store in ("short", "long"):
        assert not (tmp_path / store / "fitted" / CALIBRATED).exists()
