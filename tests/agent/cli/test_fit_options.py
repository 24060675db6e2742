"""An option of `fit` that would do nothing is refused, with the option that it needs."""

from pathlib import Path

import pytest

from whimbrel.agent.cli.main import main


@pytest.mark.parametrize("option", [["--tune-minutes", "1"], ["--tune-steps", "3"]])
def test_how_long_to_tune_needs_something_to_tune(
    option: list[str], shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["whimbrel", "fit", "--store", str(shop), *option])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "--tune-model: add it" in capsys.readouterr().err
    assert not (shop / "fitted").exists()
