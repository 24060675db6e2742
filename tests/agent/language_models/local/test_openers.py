"""Opening the bundled model."""

from pathlib import Path

import pytest

from whimbrel.agent.language_models.local.openers import build_of
from whimbrel.agent.language_models.specs import open_model


def test_a_damaged_copy_of_the_bundled_model_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build = build_of("bundled")
    assert build is not None
    made = build.file
    made.write_bytes(made.read_bytes()[:1_000_000])
    assert open_model("bundled") is not None
    assert (again := build_of("bundled")) is not None
    assert again.file.stat().st_size > 90_000_000
