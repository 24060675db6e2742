"""The commands of other packages, and of packages that fail."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whimbrel.agent.cli.main import COMMAND_GROUP, build_app


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of an installed package whose `register` adds commands."""
    folder = tmp_path / "more_commands-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: more-commands\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{COMMAND_GROUP}]\nmore = more_commands:register\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "more_commands", raising=False)
    return tmp_path / "more_commands.py"


def test_a_package_adds_a_command(package: Path) -> None:
    package.write_text("def register(app):\n    app.command('hello')(lambda: print('hello'))\n")
    assert CliRunner().invoke(build_app(""), ["hello"]).output == "hello\n"


@pytest.mark.parametrize(
    "module", ["raise RuntimeError('half\\ninstalled')", "1 +", "", "register = 5", "def register(app): 1 / 0"]
)
def test_a_package_that_fails_costs_its_own_commands_alone(
    module: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package.write_text(module)
    app = build_app("")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("whimbrel: the commands of 'more_commands:register' are left out (")
    assert "recommend" in CliRunner().invoke(app, ["--help"]).output
