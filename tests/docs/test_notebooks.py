"""The notebooks run from their logs to their plots, and are kept without outputs."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("WHIMBREL_DATA", ROOT / "../shared/data")).resolve()
NEEDS = {"shop": None, "news": "mind/valid.jsonl", "social": "movietweetings/ratings.dat"}
"""What each notebook needs of WHIMBREL_DATA. The shop's log comes with a package."""
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_these_are_all_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} == NEEDS.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # warnings of the kernel's libraries are not ours
@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_notebook_goes_from_its_log_to_an_evaluation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = NEEDS[name]
    if needed is not None and not (DATA / needed).exists():
        pytest.skip(f"no real log at {DATA / needed}: set WHIMBREL_DATA")
    monkeypatch.setenv("WHIMBREL_DATA", str(DATA))
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", 4)
    # The kernel listens on files instead of the network.
    sockets = Config({"KernelManager": {"transport": "ipc"}})
    NotebookClient(notebook, timeout=600, kernel_name="python3", config=sockets).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "stream" and output.name == "stderr"]
    pages = [output.data["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert any("your events" in page for page in pages)  # a list with the events that its reasons cite
    assert any("paired bootstrap" in page and "whimbrel-none" in page for page in pages)
    assert kinds_of(shown) >= {"image/svg+xml", "image/png"}  # the stream of topics, and the plot of the evaluation


def kinds_of(shown: list[Any]) -> set[str]:
    return {kind for output in shown for kind in output.get("data", {})}
