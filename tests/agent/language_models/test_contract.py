"""What every language model keeps to, whatever is behind it, and what no server's failure may break."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from pydantic import BaseModel, Field

from whimbrel.agent import Agent, Recommendations, ScriptedModel
from whimbrel.agent.language_models.graded_order import OrderQuestion, order_options
from whimbrel.agent.language_models.hosted import retry
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.evals.models.check import direct_log_likelihood
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

pytestmark = pytest.mark.slow


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


def conversation_about(thing: str) -> list[Message]:
    return [
        {"role": "system", "content": 'Answer as JSON: {"colour": "..."}'},
        {"role": "user", "content": f"What colour is {thing}?"},
    ]


@dataclass
class Proxy:
    """Stands before a server and spoils the next answers, one `fault` each; `times` are those of the requests.

    `slow_seconds` is how long a slow answer takes."""

    address: str = ""
    faults: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    slow_seconds: float = 6.5


class Spoiling(BaseHTTPRequestHandler):
    """Hands requests on to the server behind it, unless the next fault says otherwise."""

    state: Proxy
    served: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.state.times.append(time.monotonic())
        fault = self.state.faults.pop(0) if self.state.faults else ""
        if fault == "hang up":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "malformed":
            self.answer(200, b'{"choices": [{"mess', "application/json")
        elif fault[:3] in ("429", "500", "503"):
            self.answer(int(fault[:3]), b'{"error": {"message": "no"}}', "application/json", retry=fault[4:])
        else:
            if fault == "slow":
                time.sleep(self.state.slow_seconds)
            status, data, kind = self.behind(body)
            self.answer(status, data[: len(data) // 2] if fault == "cut" else data, kind, size=len(data))

    def behind(self, body: bytes) -> tuple[int, bytes, str]:
        request = Request(f"{self.served.removesuffix('/v1')}{self.path}", body, dict(self.headers.items()))
        try:
            reply = urlopen(request)
        except HTTPError as error:
            reply = error
        with reply:
            return reply.status, reply.read(), reply.headers["Content-Type"]

    def answer(self, status: int, data: bytes, kind: str, retry: str = "", size: int | None = None) -> None:
        with suppress(OSError):  # the client may have gone away, as it should when it is slow
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data) if size is None else size))
            if retry:
                self.send_header("Retry-After", retry)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing on stderr."""


@pytest.fixture
def proxy(served: str) -> Iterator[Proxy]:
    state = Proxy()
    spoiling = type("SpoilingOne", (Spoiling,), {"state": state, "served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), spoiling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        yield state
        server.shutdown()


def hosted_model(address: str, **settings: Any) -> HostedModel:
    return HostedModel("local", base_url=address, spec=f"openai:local@{address}", **settings)


@pytest.fixture(params=["scripted", "bundled", "qwen-1.5b", "openai"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    if request.param == "scripted":
        return ScriptedModel({"Colour": {"colour": "blue"}, "SummaryReply": {"summary": "Lately tea."}})
    if request.param == "openai":
        return hosted_model(request.getfixturevalue("served"))
    name = {"bundled": "bundled", "qwen-1.5b": "qwen"}[request.param]
    local: LocalModel = request.getfixturevalue(name)
    local.forget()
    return local


def test_each_conversation_gets_a_reply_in_the_schema_with_what_it_cost(model: LanguageModel) -> None:
    replies = model.generate(
        [conversation_about("the sky"), conversation_about("fresh grass")], schema=Colour, max_tokens=40
    )
    assert len(replies) == 2
    for reply in replies:
        assert reply.value is not None, reply.misfit
        assert reply.usage.llm_calls == reply.usage.generations == 1
        assert reply.usage.prompt_tokens > 8
        assert reply.usage.completion_tokens > 0
    assert model.generate([], schema=Colour, max_tokens=40) == []


def test_a_prompt_that_does_not_fit_gets_no_value_and_the_next_one_is_answered(model: LanguageModel) -> None:
    if isinstance(model, ScriptedModel):
        model = ScriptedModel({"Colour": {"colour": "blue"}})  # takes any length
    long, short = model.generate(
        [conversation_about("tea " * 9000), conversation_about("snow")], schema=Colour, max_tokens=20
    )
    assert isinstance(model, ScriptedModel) or (
        long.value is None and "context" in long.misfit.replace("4096", "context")
    )
    assert short.value is not None, short.misfit
    assert model.generate([conversation_about("snow")], schema=Colour, max_tokens=20)[0].value is not None


def test_tokens_are_counted_and_never_too_few(model: LanguageModel) -> None:
    texts = ["Green tea, 12 oz", "有机绿茶", "\U00013000" * 5, "<|im_end|>"]
    counts = [model.count_tokens(text) for text in texts]
    assert min(counts) >= 1
    assert model.count_tokens(" ".join(texts)) >= max(counts)
    assert model.count_tokens("") == 0


def test_likelihoods_where_given_follow_the_order_asked_and_do_not_depend_on_the_past(model: LanguageModel) -> None:
    prompt, texts = "- Oolong tea\n- White tea\n-", [" Garden hose\n", " Green tea\n", " Black tea\n"]
    if not model.scores:
        with pytest.raises(ModelError, match="gives no likelihoods"):
            model.log_likelihood(prompt, texts)
        return
    model.forget()
    values = model.log_likelihood(prompt, texts).values
    assert len(values) == 3
    assert all(np.isfinite(values))
    assert max(values) < 0
    assert model.log_likelihood(prompt, []).values == []
    model.log_likelihood("Something else entirely, said before.", [" tea"])
    model.forget()
    assert model.log_likelihood(prompt, texts).values == values
    if isinstance(model, LocalModel):
        assert values[0] < min(values[1:])
        direct = [direct_log_likelihood(model, prompt, text) for text in texts]
        assert values == pytest.approx(direct, abs=0.7)  # quantised: the order of evaluation moves it


def test_options_are_scored_or_a_warning_says_why_not(model: LanguageModel) -> None:
    options = ["Green tea", "Garden hose", "Black tea", "Rake"]
    order = order_options(model, OrderQuestion("1. Oolong tea\n2. White tea"), options, third=False)
    if order.figures:
        assert set(order.figures) == {"order", "grade", "agreement"}
        assert all(figure.shape == (4,) and np.isfinite(figure).all() for figure in order.figures.values())
    else:
        assert order.warnings
    assert order.calls == order.usage.llm_calls == 2
    if model.scores:
        scores = score_options(model, history=["Oolong tea", "White tea"], wish="", options=options)
        assert scores.values is not None
        assert scores.values.shape == (4,)
        assert np.isfinite(scores.values).all()
        assert scores.usage.llm_calls == 2


def test_a_recommendation_is_whole_with_its_cost_by_stage(model: LanguageModel, shop: Path) -> None:
    with Agent.open(shop, model) as agent:
        answer = agent.recommend("u1", k=3)
    assert Recommendations.model_validate_json(answer.model_dump_json()) == answer
    # Most of what is new to the user are tables that resemble one another, so the list may be shorter.
    assert 1 <= len(answer.recommendations) <= 3
    usage = answer.usage
    assert set(usage.stages) == {"read", "summarise", "predict_shift", "rank", "explain"}
    for name in ("llm_calls", "prompt_tokens", "cached_tokens", "completion_tokens", "repairs"):
        assert getattr(usage, name) == sum(getattr(stage, name) for stage in usage.stages.values())
    assert sum(stage.seconds for stage in usage.stages.values()) <= usage.seconds + 0.01


@pytest.mark.parametrize("fault", ["429 0.2", "429", "503", "hang up", "cut", "malformed"])
def test_a_server_that_fails_once_is_asked_again(fault: str, proxy: Proxy) -> None:
    model = hosted_model(proxy.address)
    proxy.faults = [fault]
    (reply,) = model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    assert reply.value is not None, reply.misfit
    assert len(proxy.times) >= 2


def test_retry_after_is_waited_for(proxy: Proxy) -> None:
    model = hosted_model(proxy.address)
    model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    proxy.faults, proxy.times = ["429 1.5"], []
    model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    first, second = proxy.times
    assert 1.5 <= second - first < 4


def test_500_is_tried_again_without_giving_up_the_format_that_worked(proxy: Proxy) -> None:
    model = hosted_model(proxy.address)
    model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    reply_format = model.reply_format
    proxy.faults = ["500", "500"]
    (reply,) = model.generate([conversation_about("snow")], schema=Colour, max_tokens=30)
    assert reply.value is not None
    assert (
        model.reply_format == reply_format == "json_object with schema"
    )  # llama.cpp's server takes no OpenAI envelope


def test_a_slow_server_is_given_up_after_the_time_allowed_and_asked_again(proxy: Proxy) -> None:
    model = hosted_model(proxy.address, timeout_seconds=5.0)
    proxy.faults = ["slow"]
    (reply,) = model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    assert reply.value is not None, reply.misfit


def test_a_server_that_keeps_failing_is_left_alone(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_TRIES_INCOMPLETE", 1)
    model = hosted_model(proxy.address)
    proxy.faults = ["hang up"] * 50
    for _ in range(retry.MAX_FAILURES):
        with pytest.raises(ModelError, match=r"is the server running|broke off"):
            model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    reached = len(proxy.times)
    with pytest.raises(ModelError, match="not asked again for 30 s"):
        model.generate([conversation_about("the sky")], schema=Colour, max_tokens=30)
    assert len(proxy.times) == reached


def test_a_recommendation_survives_every_fault_in_turn(
    proxy: Proxy, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranker, "asks", lambda *_: True)  # also a model of which nothing is learned
    model = hosted_model(proxy.address, timeout_seconds=15.0)  # long enough for a busy machine
    proxy.slow_seconds = 15.5
    proxy.faults = ["429 0.1", "cut", "", "hang up", "", "malformed", "", "slow", "", "503"]
    with Agent.open(shop, model) as agent:
        answer = agent.recommend("u1", k=3)
    assert len(answer.recommendations) == 3
    assert answer.usage.stages["rank"].llm_calls in (2, 3)  # two orders of the candidates; a third if they disagree


def test_likelihoods_of_a_server_are_taken_only_where_they_are_right(bundled: LocalModel, served: str) -> None:
    assert not hosted_model(served).scores  # llama.cpp's server gives those of the neighbouring token

    class Handler(BaseHTTPRequestHandler):
        """An echo that is right, as vLLM gives it, computed with the bundled model."""

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            logprobs = right(bundled, request["prompt"], off=off)
            data = json.dumps({"choices": [{"text": "", "index": 0, "logprobs": logprobs}], "usage": None}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        off = 1
        assert not hosted_model(address).scores
        off = 0
        model = hosted_model(address)
        assert model.scores
        prompt, texts = "- Oolong tea\n- White tea\n-", [" Garden hose\n", " Green tea\n"]
        expected = [direct_log_likelihood(bundled, prompt, text) for text in texts]
        assert model.log_likelihood(prompt, texts).values == pytest.approx(expected, abs=0.7)
        server.shutdown()


_ONE_AT_A_TIME = threading.Lock()


def right(model: LocalModel, text: str, *, off: int) -> dict[str, Any]:
    """Tokens of a text with their log-probabilities (`off` by some places) and the likeliest next ones."""
    from whimbrel.agent.language_models.local.llama import Row, log_normaliser

    with _ONE_AT_A_TIME:
        model.forget()
        tokens = model.llama.tokenise(text)
        model.llama.decode([Row(token, position, 0, True) for position, token in enumerate(tokens)])
        logits = model.llama.logits(len(tokens)).copy()
        model.forget()
    pieces = [model.llama.detokenise([token]).decode("utf-8", "replace") for token in tokens]
    offsets = [sum(map(len, pieces[:position])) for position in range(len(tokens))]
    values = [None, *(float(logits[n][tokens[n + 1]]) - log_normaliser(logits[n]) for n in range(len(tokens) - 1))]
    best = np.argsort(-logits[-1])[:3]
    likeliest = {
        model.llama.detokenise([int(token)]).decode("utf-8", "replace"): float(logits[-1][token])
        - log_normaliser(logits[-1])
        for token in best
    }
    shifted = values[off:] + [-9.0] * off
    return {
        "tokens": pieces,
        "text_offset": offsets,
        "token_logprobs": [0.0 if value is None else value for value in shifted],
        "top_logprobs": [likeliest],
    }
