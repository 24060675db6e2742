"""Opening the bundled model."""

from pathlib import Path

import pytest

from whimbrel.agent.language_models.local.openers import build_of
from whimbrel.agent.language_models.specs import open_model


def test_a_damaged_copy_of_the_bundled_model_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build = build_of("bundled")
    assert build is not None
    (saved,) = tmp_path.rglob("*.small.*.json")
    damaged = saved.with_name("damaged.gguf")  # never the build's own file: it may be the installed model
    damaged.write_bytes(build.file.read_bytes()[:1_000_000])
    saved.write_text(build.model_copy(update={"file": damaged}).model_dump_json())
    assert open_model("bundled") is not None
    assert not damaged.exists()
    assert (again := build_of("bundled")) is not None
    assert again.file.stat().st_size > 90_000_000
