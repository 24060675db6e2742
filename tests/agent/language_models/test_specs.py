"""Specs that name no model say what does; other packages add models of their own."""

import json
import sys
from collections.abc import Callable
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.cli.main import build_app, run
from whimbrel.agent.language_models.specs import MODEL_GROUP, SPECS, list_specs, open_model
from whimbrel.tools.errors import ConfigError, ModelError, WhimbrelError


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("gpt", ConfigError, "not a model spec: give one of bundled"),
        ("gguf:", ConfigError, "not a model spec"),
        ("gguf:/nowhere.gguf", ModelError, "no model file at '/nowhere.gguf'"),
        ("openai:m@localhost", ConfigError, "must start with http"),
        ("openai:m", ConfigError, "set OPENAI_API_KEY"),
        ("hf:repo", ConfigError, "not a model spec"),
    ],
)
def test_a_wrong_spec_says_what_is_right(
    spec: str, error: type[WhimbrelError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(error, match=words):
        open_model(spec)
    assert open_model("none") is None


def open_echo(rest: str) -> ScriptedModel:
    """A backend of another package."""
    if rest == "absent":
        raise ModelError("model 'absent' is not there: fetch it first")
    if rest == "broken":
        raise RuntimeError("no memory")
    model = ScriptedModel()
    model.spec = f"echo:{rest}"
    return model


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points of other packages: one that works, one that is not installed whole, one of a name that is taken."""
    entries = [
        metadata.EntryPoint("echo", "echo_backend:open_model", MODEL_GROUP),
        metadata.EntryPoint("half", "no_such_package:open_model", MODEL_GROUP),
        metadata.EntryPoint("gguf", "echo_backend:open_model", MODEL_GROUP),
    ]
    installed: Callable[..., Any] = metadata.entry_points
    monkeypatch.setattr(
        metadata, "entry_points", lambda **given: entries if given.get("group") == MODEL_GROUP else installed(**given)
    )
    monkeypatch.setitem(sys.modules, "echo_backend", SimpleNamespace(open_model=open_echo))


def test_a_model_of_another_package_is_opened_by_its_prefix(plugins: None) -> None:
    model = open_model("echo:some:thing")
    assert isinstance(model, ScriptedModel)
    assert model.spec == "echo:some:thing"


def test_models_of_other_packages_are_listed_behind_our_own(
    plugins: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(list_specs()) == [*SPECS, "echo:REST", "half:REST"]
    monkeypatch.setattr("sys.argv", ["whimbrel", "models", "list", "--json"])
    with pytest.raises(SystemExit):
        run(build_app())
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [model["spec"] for model in listed] == [*SPECS, "echo:REST", "half:REST"]


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("ecko:x", ConfigError, "give one of bundled.* echo:REST, half:REST"),
        ("echo:", ConfigError, "not a model spec"),
        ("half:x", ConfigError, "no_such_package:open_model cannot be imported .*reinstall"),
        ("echo:absent", ModelError, "^model 'absent' is not there: fetch it first"),
        ("echo:broken", ModelError, r"failed \(RuntimeError: no memory\)"),
        ("gguf:/nowhere.gguf", ModelError, "no model file at '/nowhere.gguf'"),
    ],
)
def test_a_model_of_another_package_that_cannot_be_opened_says_why(
    spec: str, error: type[WhimbrelError], words: str, plugins: None
) -> None:
    with pytest.raises(error, match=words):
        open_model(spec)
