"""Fixtures of learning: the command line, run in this process."""

import sys
from collections.abc import Callable

import pytest

from whimbrel.agent.cli.main import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `whimbrel` with arguments. Return its status, its output and its errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["whimbrel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run
