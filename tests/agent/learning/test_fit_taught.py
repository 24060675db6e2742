"""`whimbrel fit --tune-encoder`: what is kept, what is said, and what is asked for first."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.cli.main import main
from whimbrel.agent.fitted import TAUGHT, Fitted
from whimbrel.agent.learning.fit import Fit
from whimbrel.agent.learning.learn import Draw, learn_from
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.learning.sessions import catalogue_of, read_training
from whimbrel.agent.learning.taught_encoder import TeachConfig
from whimbrel.agent.learning.taught_worth import TaughtWorth
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker

CONFIG = TeachConfig(epochs=1, epoch_steps=4000, dimensions=16)
WORDS = ["copper", "violet", "harbor", "thunder", "meadow", "lantern", "saddle", "mirror", "canvas", "pepper"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sessions among things of two words, of which new ones appear all the time."""
    folder, random = tmp_path_factory.mktemp("words"), np.random.default_rng(0)
    items = [{"item_id": f"{word} {n:03}", "title": f"{word} {n}"} for word in WORDS for n in range(100)]
    sessions = []
    for number in range(800):
        first = int(random.integers(len(WORDS)))
        pair = WORDS[first], WORDS[(first + len(WORDS) // 2) % len(WORDS)]
        newest = 10 + number // 10
        numbers = random.integers(newest - 10, newest, 7)
        sessions.append([f"{pair[int(random.integers(2))]} {n:03}" for n in numbers])
    paths = folder / "sessions.jsonl", folder / "items.jsonl"
    for path, lines in zip(paths, (sessions, items), strict=True):
        path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return paths


@pytest.mark.parametrize("gain", [0.01, -0.01])
def test_a_tuned_encoder_is_kept_with_the_fit_only_if_held_out_people_gain(
    gain: float, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    worth = TaughtWorth(gain=gain, low=gain, high=gain, n=9)
    seen = []

    def of(choices: list[ChoiceSet], start: Ranker, *, seed: int) -> TaughtWorth:
        seen.append(np.concatenate([choice.features[:, FEATURES.index("taught")] for choice in choices]))
        return worth

    monkeypatch.setattr(TaughtWorth, "of", of)
    catalogue = catalogue_of(read_training(*files))
    learned = learn_from(catalogue, kinds=("retrieved",), draw=Draw(most=30, teach=CONFIG))
    assert learned.taught == worth
    assert seen[0].any()  # the features were there to be measured
    taught, choices = learned.fitted.items.taught, learned.choices["retrieved"]
    assert any(choice.features[:, FEATURES.index("taught")].any() for choice in choices) == (gain > 0)
    learned.fitted.save(tmp_path)
    assert (tmp_path / TAUGHT).is_file() == (taught is not None) == (gain > 0)
    if taught is not None:
        assert taught.vectors.any(axis=1).all()
        assert learned.fitted.items.as_of(float(catalogue.log.time[-1])).taught is None
        again = Fitted.load(tmp_path).for_catalogue(catalogue).items.taught
        assert again is not None
        assert np.array_equal(again.vectors, taught.vectors)


def test_the_fit_says_what_tuning_gave() -> None:
    worth = TaughtWorth(without=0.2, gain=0.03, low=0.01, high=0.05, n=400)
    fit = Fit(moments=9, users=3, choices={}, cases=0, outlook=False, path=Path("fitted"), taught=worth)
    assert "from 0.200 by +0.030 [+0.010, +0.050] (400 choices), so it is used" in fit.words()
    assert fit.document()["taught"]["kept"]
    assert "was not tuned" in replace(fit, taught=TaughtWorth()).words()
    assert "encoder" not in replace(fit, taught=None).words()
    assert replace(fit, taught=None).document()["taught"] is None


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
