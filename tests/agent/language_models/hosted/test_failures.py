"""No failure of a server ends a request without a word: there is a value, or a reason, or advice."""

import re
import runpy
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.hosted import retry
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

# The folders of tests are no packages, so the table is read as a file.
TABLE = runpy.run_path(str(Path(__file__).with_name("failures.py")))
FAILURES, failing_server = TABLE["FAILURES"], TABLE["failing_server"]
MAX_SECONDS = 5.0  # each takes less than one on an idle machine

ASKED: list[Message] = [
    {"role": "system", "content": 'Answer as JSON: {"colour": "..."}'},
    {"role": "user", "content": "What colour is the sky on a clear day?"},
]


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET")


def test_the_table_has_many_failures_with_names_of_their_own() -> None:
    assert len(FAILURES) >= 60
    assert max(Counter(failure.name for failure in FAILURES).values()) == 1
    assert {failure.outcome for failure in FAILURES} == {"value", "misfit", "error"}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_a_failure_gives_a_value_or_a_reason_or_advice(failure: Any) -> None:
    start = time.monotonic()
    message = ""
    with failing_server(failure, '{"colour": "blue"}') as (address, _):
        model = HostedModel("m", base_url=address, spec="openai:m")
        try:
            (reply,) = model.generate([ASKED], schema=Colour, max_tokens=40)
            outcome = "misfit" if reply.value is None else "value"
            message = reply.misfit
        except ModelError as error:
            outcome, message = "error", str(error)
    assert time.monotonic() - start < MAX_SECONDS
    assert outcome == failure.outcome, message
    assert "SECRET" not in message
    if outcome == "value":
        assert reply.value == Colour(colour="blue")
    else:
        assert re.search(failure.says, message), message
