"""Private models: what a hosted model is sent, what it is not, and what an error repeats."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import phonenumbers
import pytest
from pydantic import BaseModel

from whimbrel.agent import Agent, Item, ScriptedModel
from whimbrel.agent.language_models.private_model import PrivateModel, without_echo
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.state import PipelineConfig
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.store.in_memory import InMemory

PLANTED = 200


class Words(BaseModel):
    words: str


def planted(count: int) -> list[tuple[str, str]]:
    """Return sentences with personal data, each with the data."""
    random = np.random.default_rng(5)
    firsts, lasts = ["Anna", "Peter", "Maria", "Thomas", "Julia"], ["Schmidt", "Okafor", "Novak", "Lindqvist", "Moreau"]
    regions = ("US", "DE", "GB", "FR")
    sentences = []
    for number in range(count):
        digits = "".join(map(str, random.integers(0, 10, 10)))
        name = f"{firsts[number % 5]} {lasts[number // 5 % 5]}"
        account = f"37040044{digits}"
        check = 98 - int(f"{account}131400") % 97
        card = next(
            f"4{digits}{tail:05d}"
            for tail in range(100_000)
            if sum(
                int(c) if place % 2 else sum(divmod(2 * int(c), 10)) for place, c in enumerate(f"4{digits}{tail:05d}")
            )
            % 10
            == 0
        )
        region = regions[number // 6 % 4]
        example = phonenumbers.example_number(region)
        assert example is not None
        phone = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        house = f"{int(random.integers(1, 900))} {('Baker', 'Maple', 'Church')[number % 3]} {('Street', 'Road', 'Avenue')[number % 3]}"
        sentences.append(
            [
                (f"a mug with {name}{number}@example.org on it", f"{name}{number}@example.org".split()[-1]),
                (f"a gift for {name}", name),
                (f"pay from DE{check:02d}{account}", f"DE{check:02d}{account}"),
                (f"card {card}", card),
                (f"ring {phone} first", phone),
                (f"deliver to {house}", house),
            ][number % 6]
        )
    return sentences


def agent_on(address: str, titles: list[str]) -> Agent:
    """An agent on a log in which each title has one person, with a hosted model that reads."""
    items = [Item(item_id=f"i{n}", title=title, topics=("Gifts",), text=title) for n, title in enumerate(titles)]
    rows = [(1e9 + n, "me" if n % 2 else f"u{n}", item.item_id, None) for n, item in enumerate(items)]
    catalogue = InMemory(items, InteractionLog.build(items, rows), timed=True)
    return Agent(catalogue, open_model(f"openai:m@{address}", remember=False), PipelineConfig(tier="reads"))


def test_no_request_holds_what_was_planted(scripted_server: Any) -> None:
    address, got, replies = scripted_server
    replies.append((200, {"choices": [{"message": {"role": "assistant", "content": "{}"}}]}))
    sentences = planted(PLANTED)
    agent = agent_on(address, [sentence for sentence, _ in sentences[: PLANTED // 2]])
    for sentence, _ in sentences[PLANTED // 2 :]:
        agent.recommend("me", context={"query": sentence, "place": sentence}, at=1e9 + 1000, k=3)
    sent = json.dumps(got, ensure_ascii=False)
    assert len(got) > PLANTED // 2
    assert sum("PERSON_1" in json.dumps(request) for request in got) > 10
    leaked = [data for _, data in sentences if data in sent]
    assert leaked == []


def test_a_reply_gets_the_data_back() -> None:
    model = ScriptedModel({"Words": lambda messages: {"words": f"For {messages[-1]['content'].split()[-1]}"}})
    private = PrivateModel(model)
    (reply,) = private.generate(
        [[{"role": "system", "content": "Answer."}, {"role": "user", "content": "a gift for Anna Schmidt"}]],
        schema=Words,
        max_tokens=9,
    )
    assert reply.value == Words(words="For Anna Schmidt")
    assert "Schmidt" not in json.dumps(model.conversations)
    assert "PERSON_1" in model.conversations[0][0]["content"]


def test_a_film_that_many_saw_keeps_its_name(scripted_server: Any) -> None:
    address, got, replies = scripted_server
    replies.append((200, {"choices": [{"message": {"role": "assistant", "content": "{}"}}]}))
    items = [Item(item_id="f", title="Being John Malkovich"), Item(item_id="g", title="Gift for John Novak")]
    rows = [(1e9 + n, f"u{n}", "f", None) for n in range(4)] + [(1e9 + 9, "u0", "g", None)]
    catalogue = InMemory(items, InteractionLog.build(items, rows), timed=True)
    agent = Agent(catalogue, open_model(f"openai:m@{address}", remember=False), PipelineConfig(tier="reads"))
    agent.recommend("u0", at=2e9)
    sent = json.dumps(got)
    assert "John Malkovich" in sent
    assert "John Novak" not in sent


def test_an_error_repeats_no_prompt(scripted_server: Any) -> None:
    address, _, replies = scripted_server
    secret = "the diary of an unknown botanist, volume nine"
    replies.append((400, {"error": {"message": f"cannot process: {secret}"}}))
    model = open_model(f"openai:m@{address}", remember=False)
    assert model is not None
    with pytest.raises(ModelError) as raised:
        model.generate([[{"role": "user", "content": f"User: {secret}"}]], schema=Words, max_tokens=9)
    assert "botanist" not in str(raised.value)
    assert "cannot process" in str(raised.value)
    assert without_echo("short", ["short"]) == "short"


@pytest.mark.parametrize("spec", ["openai:gpt-4o", "openai:m@http://127.0.0.1:9/v1", "mlx:anything"])
def test_local_only_refuses_what_may_be_elsewhere(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_LOCAL_ONLY", "1")
    with pytest.raises(ConfigError, match="--local-only"):
        open_model(spec)
    assert open_model("none") is None


@pytest.mark.parametrize("words", [["--local-only", "models", "check"], ["models", "check", "--local-only"]])
def test_local_only_may_stand_anywhere_on_the_command_line(words: list[str]) -> None:
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", *words, "openai:m@http://127.0.0.1:9/v1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "may run on another machine" in done.stderr) == (1, True)
