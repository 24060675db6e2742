"""Servers that are silent or slow, and requests side by side."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted import connection
from whimbrel.agent.language_models.hosted import model as hosted_model
from whimbrel.agent.language_models.hosted.connection import CONCURRENT_REQUESTS
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError


class Colour(BaseModel):
    colour: str


Send = Callable[[bytes], None]


@contextmanager
def server(answer: Callable[[dict[str, Any], Send], None]) -> Iterator[str]:
    """Yield the address of a server that answers by `answer`, which gets a request and sends pieces of a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_stream = bool(request.get("stream"))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
            self.end_headers()
            with suppress(OSError):
                answer(request, self.wfile.write)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        http_server.daemon_threads = True
        threading.Thread(target=partial(http_server.serve_forever, poll_interval=0.02), daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_address[1]}/v1"
        http_server.shutdown()


def chunk(content: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': content}}]})}\n\n".encode()


def asked(colour: str = "sky") -> list[Message]:
    return [{"role": "user", "content": f"What colour is the {colour}?"}]


def drip(piece: bytes, _: dict[str, Any], send: Send) -> None:
    for _second in range(100):
        send(piece)
        time.sleep(0.05)


def test_a_silent_server_is_given_up_and_not_asked_by_the_next_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MIN_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(connection, "MAX_SILENT_SECONDS", 0.4)
    monkeypatch.setattr("whimbrel.agent.language_models.hosted.retry.MAX_SILENT_SECONDS", 0.4)
    silence = threading.Event()
    with server(lambda request, send: (silence.wait(5), None)[1]) as address:
        model = HostedModel("m", base_url=address, spec="openai:m", timeout_seconds=0.3)
        start = time.monotonic()
        with pytest.raises(
            ModelError, match=r"'openai:m' at http://127.0.0.1:\d+/v1 sent nothing within \d s: .*try again later"
        ):
            model.generate([asked()], schema=Colour, max_tokens=9)
        assert time.monotonic() - start < 3
        with pytest.raises(ModelError, match="not asked again for 30 s"):
            model.generate([asked()], schema=Colour, max_tokens=9)
        silence.set()


@pytest.mark.parametrize("piece", [b": keep-alive\n\n", chunk("no "), b" "])
def test_an_answer_that_trickles_is_ended(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted_model, "MAX_REPLY_SECONDS", 0.3)

    def trickle(request: dict[str, Any], send: Send) -> None:
        if request.get("stream") and piece == b" ":
            return  # no stream, so the client asks for a whole document
        drip(piece, request, send)

    with server(trickle) as address:
        model = HostedModel("m", base_url=address, spec="openai:m")
        start = time.monotonic()
        with pytest.raises(ModelError, match="took over 0 s for a reply: use a faster model"):
            model.generate([asked()], schema=Colour, max_tokens=900)
        assert time.monotonic() - start < 3


def test_requests_of_several_conversations_run_side_by_side() -> None:
    together = threading.Barrier(CONCURRENT_REQUESTS, timeout=5)

    def answer(request: dict[str, Any], send: Send) -> None:
        together.wait()
        send(chunk('{"colour": "blue"}'))

    with server(answer) as address:
        model = HostedModel("m", base_url=address, spec="openai:m")
        replies = model.generate([asked()] * CONCURRENT_REQUESTS, schema=Colour, max_tokens=9)
    assert [reply.value for reply in replies] == [Colour(colour="blue")] * CONCURRENT_REQUESTS


def test_a_conversation_that_fails_does_not_lose_the_others() -> None:
    def answer(request: dict[str, Any], send: Send) -> None:
        if "grass" in request["messages"][0]["content"]:
            send(b'data: {"error": {"message": "Incorrect API key provided", "code": 401}}\n\n')
        else:
            send(chunk('{"colour": "blue"}'))

    with server(answer) as address:
        model = HostedModel("m", base_url=address, spec="openai:m")
        sky, grass, sea = model.generate([asked(), asked("grass"), asked("sea")], schema=Colour, max_tokens=9)
        with pytest.raises(ModelError, match="check OPENAI_API_KEY"):
            model.generate([asked("grass")] * 2, schema=Colour, max_tokens=9)
    assert sky.value == sea.value == Colour(colour="blue")
    assert grass.value is None
    assert "Incorrect API key provided; check OPENAI_API_KEY" in grass.misfit
