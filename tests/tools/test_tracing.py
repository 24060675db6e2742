"""Nothing is posted by tracing unless Whimbrel's own variable asks for it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

PLAIN = "from langchain_core.runnables import RunnableLambda as R; R(lambda text: text).invoke('Orchid lamp of u1')"
WITH_MODEL = """
import sys
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from whimbrel.agent.agent import Agent
from whimbrel.agent.pipeline import as_runnable
from whimbrel.agent.state import Request

with Agent.open(sys.argv[1], llm=FakeListChatModel(responses=["no JSON"])) as agent:
    assert agent.recommend("u1", "2020-10-01", k=3).recommendations
    assert as_runnable(agent._resources).invoke(Request("u1", at=1_601_510_400.0, k=3)).explained.recommendations
    assert len(as_runnable(agent._resources).batch([Request("u1", at=1_601_510_400.0)] * 2)) == 2
    assert agent.as_runnable().invoke({"user_id": "u1", "k": 3}).recommendations
    assert agent.as_retriever("u1").invoke("a table")
    assert agent.as_chat("u1").invoke({"messages": [("user", "a table")]})["turn"]["recommendations"]
"""
FLUSH = "\nfrom langchain_core.tracers.langchain import wait_for_all_tracers; wait_for_all_tracers()"


class Sink(HTTPServer):
    """A server of traces that keeps what is posted to it."""

    posted: list[bytes]


@pytest.fixture
def sink() -> Iterator[Sink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.posted.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(202)
            self.end_headers()

        do_PATCH = do_POST  # noqa: N815 - the name that the base class calls

        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = Sink(("127.0.0.1", 0), Handler)
    server.posted = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def posted_by(program: str, sink: Sink, store: Path, **more: str) -> bytes:
    variables = {
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "key",
        "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{sink.server_port}",
    }
    environment = {name: value for name, value in os.environ.items() if name != "WHIMBREL_TRACING"}
    subprocess.run(
        [sys.executable, "-c", program + FLUSH, str(store)], env=environment | variables | more, check=True, timeout=300
    )
    posted, sink.posted = b"".join(sink.posted), []
    return posted


def test_no_variable_of_the_environment_makes_requests_post_traces(shop: Path, sink: Sink) -> None:
    assert posted_by(PLAIN, sink, shop)  # the sink would notice
    assert posted_by(WITH_MODEL, sink, shop) == b""
    assert posted_by(WITH_MODEL, sink, shop, WHIMBREL_TRACING="yes please") == b""


def test_traces_that_are_asked_for_hide_what_a_person_did(shop: Path, sink: Sink) -> None:
    whole = posted_by(WITH_MODEL, sink, shop, WHIMBREL_TRACING="whole", LANGSMITH_DISABLE_RUN_COMPRESSION="true")
    masked = posted_by(WITH_MODEL, sink, shop, WHIMBREL_TRACING="masked", LANGSMITH_DISABLE_RUN_COMPRESSION="true")
    assert b" table " in whole
    assert masked
    assert b" table " not in masked
