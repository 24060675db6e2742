"""Systems are found by name, in this package, in other packages, and in a user's own modules."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems import registry
from whimbrel.evals.systems.protocol import NotApplicableError, Scorer, Settings
from whimbrel.evals.systems.registry import SYSTEM_GROUP, SYSTEMS, load_system
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item

CASE = BlindCase("1", "x", (), tuple(Item(item_id=item_id, title=item_id) for item_id in "abc"))
TRAINING = Training.of([("u", [("a", None), ("b", None)])], {})


def shortest(training: Training, settings: Settings) -> Scorer:
    """A system of another package: the seed times the number of items known."""
    if not len(training):
        raise NotApplicableError("the log is empty")

    def score(case: BlindCase) -> NDArray[np.float64]:
        return np.full(len(case.candidates), float(settings.seed * len(training.items)))

    return score


@pytest.fixture(autouse=True)
def _other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("other_package")
    module.shortest = shortest  # type: ignore[attr-defined]
    module.number = 5  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_package", module)
    plugins = [
        EntryPoint("shortest", "other_package:shortest", SYSTEM_GROUP),
        EntryPoint("absent", "no_such_package:system", SYSTEM_GROUP),
        EntryPoint("broken", "broken_package:system", SYSTEM_GROUP),
        EntryPoint("number", "other_package:number", SYSTEM_GROUP),
        EntryPoint("popularity", "no_such_package:system", SYSTEM_GROUP),
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda *, group: [plugin for plugin in plugins if plugin.group == group]
    )


def test_a_system_of_another_package_learns_and_scores() -> None:
    scores = load_system("shortest")(TRAINING, Settings(seed=3))(CASE)
    assert np.asarray(scores).tolist() == [6.0, 6.0, 6.0]


def test_an_unknown_system_is_told_every_name() -> None:
    with pytest.raises(ConfigError) as refused:
        load_system("shortes")
    for name in (*SYSTEMS, "shortest"):
        assert name in str(refused.value)


@pytest.mark.parametrize(("name", "words"), [("absent", "cannot be imported"), ("number", "is not a function")])
def test_an_entry_point_that_is_no_system_is_named(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{words}"):
        load_system(name)


@pytest.mark.parametrize("error", ["raise RuntimeError('half installed')", "1 +", "raise ValueError"])
@pytest.mark.parametrize("name", ["broken", "broken_package:rank"])
def test_a_package_that_fails_at_import_is_named(
    error: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text(error)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"{name}.*cannot be imported"):
        load_system(name)


def test_another_package_cannot_replace_a_system_of_ours() -> None:
    scores = load_system("popularity")(TRAINING, Settings())(CASE)
    assert np.asarray(scores).tolist() == [1, 1, 0]
