"""Hosted models: what a server refuses, what it answers instead of a completion, what calls cost."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from whimbrel.agent import Agent, Budget
from whimbrel.agent.language_models.hosted.budget import BudgetError
from whimbrel.agent.language_models.hosted.dialect import MAX_REASONING_TOKENS, REASONING_TOKENS
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.run import Limits, run
from whimbrel.evals.systems.protocol import Settings
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


ASKED: list[Message] = [
    {"role": "system", "content": 'Answer as JSON: {"colour": "..."}'},
    {"role": "user", "content": "What colour is the sky on a clear day?"},
]


def completion(content: str | None) -> dict[str, Any]:
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def refusal(param: str) -> dict[str, Any]:
    return {"error": {"message": f"Unsupported parameter: {param}", "param": param, "type": "x", "code": "y"}}


def test_settings_and_formats_that_a_server_refuses_are_left_out_from_then_on(scripted_server: Any) -> None:
    address, got, replies = scripted_server
    replies += [
        (400, refusal("max_tokens")),
        (400, refusal("response_format")),
        (200, completion('{"colour": "blue"}')),
    ]
    model = open_model(f"openai:m@{address}")
    assert model is not None
    for _ in range(2):
        (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
        assert reply.value == Colour(colour="blue")
    assert [("max_tokens" in request, request["response_format"]["type"]) for request in got] == [
        (True, "json_schema"),
        (False, "json_schema"),
        (False, "json_object"),
        (False, "json_object"),
    ]


@pytest.mark.parametrize("body", [[], None, "hi", {"choices": [{}]}, {"choices": [{"message": None}]}, {"usage": "x"}])
def test_an_answer_that_is_no_completion_is_an_error(body: Any, scripted_server: Any) -> None:
    address, _, replies = scripted_server
    replies.append((200, body))
    model = open_model(f"openai:m@{address}")
    assert model is not None
    with pytest.raises(ModelError, match="is not a completion"):
        model.generate([ASKED], schema=Colour, max_tokens=9)


@pytest.mark.parametrize(("status", "words"), [(401, "OPENAI_API_KEY"), (404, "model's name"), (403, "may not use")])
def test_a_refusal_says_what_to_do(status: int, words: str, scripted_server: Any) -> None:
    address, _, replies = scripted_server
    replies.append((status, refusal("model")))
    model = open_model(f"openai:m@{address}")
    assert model is not None
    with pytest.raises(ModelError, match=words):
        model.generate([ASKED], schema=Colour, max_tokens=9)


@pytest.fixture
def endless() -> Iterator[str]:
    """A server that never ends a reply."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            piece["choices"] = [{"index": 0, "delta": {"content": "tea " * 50}, "finish_reason": None}]  # type: ignore[assignment]
            with suppress(OSError):
                while True:
                    self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def test_a_reply_without_end_is_cut(endless: str) -> None:
    model = open_model(f"openai:m@{endless}")
    assert model is not None
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert reply.value is None
    assert reply.misfit.startswith("the reply was cut at its limit: the model repeated the same words")


@pytest.fixture
def priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reply of model `m` (7 tokens in, 3 out) costs a dollar."""
    prices = {"m": {"input": 0, "cached": 0, "output": 1e6 / 3}}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"as_of": "2026-01-01", "usd_per_million_tokens": prices}))
    monkeypatch.setenv("WHIMBREL_PRICES", str(path))


@pytest.mark.parametrize("name", ["m", "m-2026-01-31"])
def test_a_reply_costs_what_the_users_prices_say(name: str, priced: None, scripted_server: Any) -> None:
    address, _, replies = scripted_server
    replies += [(200, completion('{"colour": "blue"}'))]
    model = open_model(f"openai:{name}@{address}")
    assert model is not None
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert reply.usage.cost_usd == pytest.approx(1.0)


def test_a_run_stops_when_its_budget_is_spent(
    priced: None, scripted_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranker, "asks", lambda *_: True)  # also a model of which nothing is learned
    address, _, replies = scripted_server
    replies += [(200, completion('{"order": [2, 1]}'))]
    options = [{"item_id": f"i{n}", "title": f"thing {n}"} for n in range(3)]
    lines = [
        {
            "case_id": f"c{n}",
            "history": [{"item_id": "h", "title": f"then {n}"}],
            "candidates": options,
            "relevant": ["i1"],
        }
        for n in range(9)
    ]
    cases = tmp_path / "cases.jsonl"
    cases.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = Plan(cases, ("whimbrel",), Settings(llm=f"openai:m@{address}"))
    assert run(plan, tmp_path / "run", limits=Limits(cost_usd=4.5)).done == 2  # two orders a case
    assert run(plan, tmp_path / "run", limits=Limits(cost_usd=8.5)).done == 4  # what was spent before counts
    with pytest.raises(ConfigError, match="price of 'unheard-of' is not known"):
        unpriced = Plan(cases, ("whimbrel",), Settings(llm="openai:unheard-of"))
        run(unpriced, tmp_path / "other", limits=Limits(cost_usd=1))


def test_tokens_that_a_server_took_from_its_cache_are_counted(scripted_server: Any) -> None:
    address, _, replies = scripted_server
    usage = {"prompt_tokens": 70, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 64}}
    replies.append((200, completion('{"colour": "blue"}') | {"usage": usage}))
    model = HostedModel("m", base_url=address, spec="m")
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.completion_tokens) == (70, 64, 3)


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": -100_000, "completion_tokens": -5}, {"prompt_tokens": "ten"}, None]
)
def test_tokens_that_a_server_cannot_have_counted_are_counted_here(usage: Any, scripted_server: Any) -> None:
    address, _, replies = scripted_server
    replies.append((200, completion('{"colour": "blue"}') | {"usage": usage}))
    model = HostedModel("m", base_url=address, spec="m", budget=Budget(tokens=2000))
    for _ in range(3):
        (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
        assert reply.value == Colour(colour="blue")
        assert reply.usage.prompt_tokens > 10
        assert reply.usage.completion_tokens > 3
    with pytest.raises(BudgetError, match="budget of 2000 tokens"):
        for _ in range(100):
            model.generate([ASKED], schema=Colour, max_tokens=9)


def test_a_budget_that_ends_leaves_a_list_without_the_model(scripted_server: Any, shop: Path) -> None:
    address, _, replies = scripted_server
    replies.append((200, completion('{"summary": "Lately tea."}')))
    with Agent.open(shop, f"openai:m@{address}", budget=Budget(tokens=100)) as agent:
        answer = agent.recommend("u1", k=3)
    assert len(answer.recommendations) == 3
    assert any("without the language model: the budget of 100 tokens" in warning for warning in answer.warnings)


def test_no_error_shows_a_secret(scripted_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET")
    address, _, replies = scripted_server
    replies.append((401, {"error": {"message": "Incorrect API key: Bearer sk-SECRET"}}))
    with_name = address.replace("http://", "http://user:hunter2@")
    model = HostedModel("m", base_url=with_name, spec=f"openai:m@{with_name}")
    with pytest.raises(ModelError) as caught:
        model.generate([ASKED], schema=Colour, max_tokens=9)
    assert "SECRET" not in str(caught.value)
    assert "hunter2" not in f"{caught.value} {model.spec} {model.digest}"


def test_a_model_answers_after_it_was_interrupted(scripted_server: Any) -> None:
    address, _, replies = scripted_server
    replies.append((200, completion('{"colour": "blue"}')))
    model = HostedModel("m", base_url=address, spec="m")

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model._connection.map(interrupted, [1, 2])
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert reply.value == Colour(colour="blue")


def thoughts_and(content: str) -> dict[str, Any]:
    body = completion(content)
    body["choices"][0]["message"]["reasoning_content"] = "Well, blue or red?"
    body["choices"][0]["finish_reason"] = "stop" if content else "length"
    return body


def test_thoughts_that_take_the_whole_limit_get_more_room_from_then_on(scripted_server: Any) -> None:
    address, got, replies = scripted_server
    no_stream = (400, refusal("stream"))
    replies += [no_stream, (200, thoughts_and("")), (200, thoughts_and('{"colour": "blue"}'))]
    model = HostedModel("m", base_url=address, spec="m")
    for calls in (2, 1):
        (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
        assert reply.value == Colour(colour="blue")
        assert (reply.usage.llm_calls, reply.usage.generations) == (calls, 1)
    assert [request["max_tokens"] for request in got] == [9, 9, 9 + MAX_REASONING_TOKENS, 9 + MAX_REASONING_TOKENS]


def test_room_for_thoughts_that_the_context_does_not_have_is_made_smaller(scripted_server: Any) -> None:
    address, got, replies = scripted_server
    no_stream = (400, refusal("stream"))
    too_long = (400, {"error": {"message": "max_tokens is too large. The maximum context length is 4096 tokens"}})
    replies += [no_stream, (200, thoughts_and("")), too_long, (200, thoughts_and(""))]
    model = HostedModel("m", base_url=address, spec="m")
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert reply.value is None
    assert f"no reply within {9 + REASONING_TOKENS} tokens, since its thoughts took them all" in reply.misfit
    assert [request["max_tokens"] for request in got] == [
        9,
        9,
        9 + MAX_REASONING_TOKENS,
        9 + REASONING_TOKENS,
    ]
