"""The pages state the figures that are kept, and a run replaces them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whimbrel.agent import DataError
from whimbrel.agent.cli.main import build_app
from whimbrel.evals.reports.kept_results import Line, differences, kept_results_file, read_results, take_from_run

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the pages and of the kept results."""
    for page in {line.page for line in read_results(kept_results_file()).lines} | {
        page for figure in read_results(kept_results_file()).figures.values() for page in figure.pages
    }:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    shutil.copy(kept_results_file(), tmp_path / "results.json")
    return tmp_path


def test_the_pages_state_the_kept_figures() -> None:
    assert list(differences(read_results(kept_results_file()), ROOT)) == []


def test_every_row_of_the_readmes_results_is_a_kept_line() -> None:
    results = read_results(kept_results_file())
    written = {results.write_line(line) for line in results.lines}
    section = (ROOT / "README.md").read_text().split("## Results")[1].split("##")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert rows
    assert set(rows) <= written


def test_a_changed_page_is_found(checkout: Path) -> None:
    readme = checkout / "README.md"
    results = read_results(checkout / "results.json")
    kept = f"{results.figures['games.whimbrel'].value:.3f}".removeprefix("0")
    readme.write_text(readme.read_text().replace(f"| {kept} [", "| .123 ["))
    (difference,) = differences(results, checkout)
    assert "README.md" in difference
    assert kept in difference
    arguments = ["eval", "results", "--pages", str(checkout), "--file", str(checkout / "results.json")]
    assert CliRunner().invoke(build_app("eval"), [*arguments, "--check"]).exit_code == 1
    assert CliRunner().invoke(build_app("eval"), arguments).exit_code == 0


def test_a_run_replaces_its_figures_in_the_file_and_the_readme(checkout: Path) -> None:
    run = checkout / "run"
    run.mkdir()
    row = {"ndcg@10": 0.7004, "ndcg@10_ci": [0.6, 0.8], "n": 1200}
    (run / "results.json").write_text(json.dumps({"system": {"whimbrel-none": row, "similarity": row}}))
    news = read_results(checkout / "results.json").figures["news.whimbrel"]
    arguments = ["eval", "results", "--pages", str(checkout), "--file", str(checkout / "results.json")]
    outcome = CliRunner().invoke(build_app("eval"), [*arguments, "--from", str(run), "--group", "games", "--json"])
    # The README's table follows. The other page is prose, so a person has to change it.
    assert outcome.exit_code == 1
    assert {words.split()[0] for words in json.loads(outcome.stdout)["differences"]} == {"docs/evaluation/ranking.md"}
    assert "| .700 [.600, .800] | .700 [.600, .800], similarity | 1,200 cases |" in (checkout / "README.md").read_text()
    assert read_results(checkout / "results.json").figures["games.whimbrel"].value == 0.7004
    assert read_results(checkout / "results.json").figures["news.whimbrel"] == news


def test_what_a_run_lacks_is_an_error_and_not_an_old_figure(tmp_path: Path) -> None:
    results, run = read_results(kept_results_file()), tmp_path / "printed.json"
    run.write_text(json.dumps({"system": {"whimbrel-none": {"ndcg@10": 0.7}}}))
    with pytest.raises(DataError, match=r"does not hold 'system/whimbrel-none/ndcg@10'"):
        take_from_run(results, "games", run)
    with pytest.raises(DataError, match="games, migration, news"):
        take_from_run(results, "planted", run)
    with pytest.raises(DataError, match="'no such'"):
        results.write_line(Line(page="README.md", text="{no such}"))
