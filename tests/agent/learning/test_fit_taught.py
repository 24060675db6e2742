"""`whimbrel fit --tune-encoder`: what is kept, what is said, and what is asked for first."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.cli.main import main
from whimbrel.agent.fitted import TAUGHT, Fitted
from whimbrel.agent.learning.fit import Extras, fit_sessions
from whimbrel.agent.learning.fitted_log import read_fitted_log
from whimbrel.agent.learning.taught_encoder import TeachConfig

CONFIG = TeachConfig(epochs=2, epoch_steps=10_000, dimensions=32)
WORDS = ["copper", "violet", "harbor", "thunder", "meadow", "lantern", "saddle", "mirror", "canvas", "pepper"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sessions among things of two words, so often of one that nobody chose before that only the words tell it."""
    folder, random = tmp_path_factory.mktemp("words"), np.random.default_rng(0)
    items = [{"item_id": f"{word} {n:03}", "title": f"{word} {n}"} for word in WORDS for n in range(100)]
    sessions = []
    for number in range(450):
        first = int(random.integers(len(WORDS)))
        pair = WORDS[first], WORDS[(first + len(WORDS) // 2) % len(WORDS)]
        newest = 10 + number // 5
        numbers = random.integers(newest - 10, newest, 7)
        sessions.append([f"{pair[int(random.integers(2))]} {n:03}" for n in numbers])
    paths = folder / "sessions.jsonl", folder / "items.jsonl"
    for path, lines in zip(paths, (sessions, items), strict=True):
        path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return paths


def test_a_tuned_encoder_is_kept_with_the_fit_if_held_out_people_gain_and_the_fit_says_so(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    done = fit_sessions(*files, tmp_path / "fitted", Extras(teach=CONFIG))
    assert done.taught is not None
    assert done.taught.n > 100
    assert done.taught.words() in done.words()
    assert done.document()["taught"]["kept"] == done.taught.is_kept
    assert done.taught.is_kept
    assert (tmp_path / "fitted" / TAUGHT).is_file()
    catalogue, fitted = read_fitted_log(tmp_path / "fitted")
    taught = fitted.items.taught
    assert taught is not None
    assert taught.vectors.any(axis=1).all()
    assert fitted.items.as_of(float(catalogue.log.time[-1])).taught is None
    assert fitted.fusion.retrieved.weights.get("taught", 0) + fitted.fusion.retrieved.weights.get("nearest_taught", 0)


def test_without_the_option_nothing_is_tuned(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = fit_sessions(*files, tmp_path / "fitted")
    assert done.taught is None
    assert "encoder" not in done.words()
    assert not (tmp_path / "fitted" / TAUGHT).exists()
    assert Fitted.load(tmp_path / "fitted").items.taught is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--store", "none"], "--tune-encoder needs PyTorch: pip install 'whimbrel[tune]'"),
        (["--cases", "cases.jsonl", "--out", "fitted"], "--tune-encoder needs a log"),
    ],
)
def test_what_is_missing_is_one_line(
    options: list[str], error: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["whimbrel", "fit", *options, "--tune-encoder"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line
