"""Every failure of a server leaves a request with its list, and with one warning that says what happened."""

import re
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.language_models.hosted import retry
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.state import PipelineConfig
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import Store, open_store

# The folders of tests are no packages, so the table is read as a file.
TABLE = runpy.run_path(str(Path(__file__).with_name("failures.py")))
FAILURES = [failure for failure in TABLE["FAILURES"] if failure.outcome != "value"]
BEGIN, DAY = 1_600_000_000, 86_400
MAX_SECONDS = 20.0  # each takes less than two on an idle machine


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of eight people and thirty teas, breads and cups."""
    folder = tmp_path_factory.mktemp("kitchen")
    lines = ["user_id,title,topics,time,event"]
    for user in range(8):
        for day in range(12):
            kind = ("Tea", "Bread", "Cup")[day % 3]
            lines.append(f"u{user},{kind} {(user + day) % 10},{kind},{BEGIN + day * DAY + user},purchase")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    ingest(open_source(str(folder / "log.csv")), folder / "store")
    with open_store(folder / "store") as opened:
        yield opened


def test_at_least_sixty_failures_are_injected() -> None:
    assert len(FAILURES) >= 60


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_a_failure_leaves_a_list_and_one_warning(failure: Any, store: Store) -> None:
    start = time.monotonic()
    with TABLE["failing_server"](failure, "{}") as (address, requests):
        model = HostedModel("m", base_url=address, spec="openai:m")
        answer = Agent(store, model, PipelineConfig(tier="reads")).recommend("u0", BEGIN + 20 * DAY, k=5)
    assert time.monotonic() - start < MAX_SECONDS
    assert requests
    assert len(answer.recommendations) == 5
    assert all(entry.explanation for entry in answer.recommendations)
    (warning,) = answer.warnings
    assert warning.startswith("without the language model: ")
    assert re.search(failure.says, warning), warning
    assert "SECRET" not in warning
