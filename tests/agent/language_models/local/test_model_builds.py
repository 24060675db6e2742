"""The build that is fastest: measured once, in a process that may die."""

import subprocess
from pathlib import Path

import pytest

from whimbrel.agent import ModelError
from whimbrel.agent.language_models.local import model_builds
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.local.model_builds import ModelBuild, fastest_build


def test_a_build_is_measured_once_and_again_when_asked(
    bundled: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_builds, "cache_folder", lambda: tmp_path)
    messages: list[str] = []
    build = fastest_build(bundled.build.file, small=False, tell=messages.append)
    assert build.reads > build.writes > 0
    assert fastest_build(bundled.build.file, small=False, tell=messages.append) == build
    assert len(messages) == 1
    (saved,) = (tmp_path / "models").glob("*.json")
    saved.write_text("{")
    fastest_build(bundled.build.file, small=False, tell=messages.append)
    assert len(messages) == 2
    with pytest.raises(ModelError, match="not a whole GGUF"):
        damaged = tmp_path / "damaged.gguf"
        damaged.write_bytes(b"GGUF" + bytes(100))
        fastest_build(damaged, small=False)


def test_a_build_that_kills_llama_cpp_is_left_out(bundled: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in a process of its own: where repacked weights kill it, they are tried as they lie."""
    tried: list[bool] = []
    talk = model_builds._exchange

    def dying(process: "subprocess.Popen[str]", line: str) -> str:
        build = ModelBuild.model_validate_json(line)
        tried.append(build.repacked)
        if build.repacked:
            process.kill()
        return talk(process, line)

    monkeypatch.setattr(model_builds, "_exchange", dying)
    with model_builds._Measuring() as measuring:
        measured = measuring.measure(ModelBuild(file=bundled.build.file))
    assert (measured.repacked, tried) == (False, [True, False])
    assert measured.reads > 0


@pytest.mark.slow
def test_a_saved_build_never_leads_to_another_file(
    bundled: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_builds, "cache_folder", lambda: tmp_path / "cache")
    first, second = tmp_path / "one.gguf", tmp_path / "two.gguf"
    first.write_bytes(bundled.build.file.read_bytes())
    assert fastest_build(first, small=False).file == first
    first.rename(second)
    assert fastest_build(second, small=False).file == second
    monkeypatch.chdir(tmp_path)
    assert fastest_build(Path("two.gguf"), small=False).file == second
    for saved in (tmp_path / "cache" / "models").glob("*.json"):
        saved.write_text(saved.read_text().replace('"source"', f'"{first}"'))
    first.write_bytes(b"another")
    assert fastest_build(second, small=False).file == second
