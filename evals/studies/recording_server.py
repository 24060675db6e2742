"""A model server on loopback that keeps each request and replies what keeps every stage of Whimbrel going.

It serves two models. READER passes the questions that measure a model (see `agent.reading.tiers`), so it is asked to
read persons, to order items, to word reasons, to read lines and to call tools. SCORER repeats lists, and gives
likelihoods of titles.
"""

import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from whimbrel.agent.reading.tiers import KNOWN_LISTS

READER, SCORER = "reader", "scorer"
_OBVIOUS = {known.next for known in KNOWN_LISTS}
_NUMBERED = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
_PIECE = re.compile(r"\s*\S+|\s+$")
_TAG = re.compile("< (?=/?data>)")
_ITEM_ID = re.compile(r'"item_id": "([^"]+)"')


class RecordingServer(ThreadingHTTPServer):
    """The server. `take` hands over the requests since the last call."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._requests: list[str] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """The host and the port."""
        return f"127.0.0.1:{self.server_port}"

    def spec(self, model: str) -> str:
        """Return the spec of READER or SCORER."""
        return f"openai:{model}@http://{self.address}/v1"

    def keep(self, body: str) -> None:
        """Keep a request."""
        with self._lock:
            self._requests.append(body)

    def take(self) -> list[str]:
        """Return the bodies of the requests that came since the last call, as JSON with all letters as they are."""
        with self._lock:
            taken, self._requests = self._requests, []
        return taken


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """Run a server until the block ends."""
    with RecordingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as by real servers
    disable_nagle_algorithm = True
    server: RecordingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body)
        # The path and the headers are sent too, except for the key.
        headers = {name: value for name, value in self.headers.items() if name != "Authorization"}
        self.server.keep(json.dumps({"path": self.path, "headers": headers, **request}, ensure_ascii=False))
        if self.path.endswith("/chat/completions"):
            part = "delta" if request.get("stream") else "message"
            choice = {"index": 0, part: {"role": "assistant", "content": json.dumps(_reply(request))}}
            document: dict[str, Any] = {"choices": [choice | {"finish_reason": "stop"}]}
        else:
            document = {"choices": [{"index": 0, "text": ".", "logprobs": _likelihoods(request)}]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        sent = json.dumps({"id": "1", "object": "", "created": 0, "model": request["model"], "usage": usage} | document)
        streams = bool(request.get("stream"))
        data = (f"data: {sent}\n\ndata: [DONE]\n\n" if streams else sent).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


def _reply(request: Mapping[str, Any]) -> dict[str, Any]:
    name = request["response_format"]["json_schema"]["name"]
    # The client writes `< data>`, since a chat template might read `<data>` as a control token.
    messages = [message | {"content": _TAG.sub("<", message["content"])} for message in request["messages"]]
    # A model that does not read gives no order, and is then asked as small models are.
    return {} if name == "OrderReply" and request["model"] == SCORER else _REPLIES[name](messages)


Messages = list[dict[str, str]]


def _order(messages: Messages) -> dict[str, Any]:
    """Order options by their words. Orders that depend on positions would cost the call that words reasons."""
    options = _NUMBERED.findall(messages[-1]["content"].rpartition("<data>")[2])
    best = sorted(options, key=lambda option: (option[1] not in _OBVIOUS, option[1]))[:10]
    return {"best": [{"option": int(number), "grade": 9 - place // 2} for place, (number, _) in enumerate(best)]}


def _read(messages: Messages) -> dict[str, Any]:
    prompt = messages[-1]["content"]
    numbers = [int(number) for number, _ in _NUMBERED.findall(prompt)]
    topics = prompt.partition("<data>\n")[2].partition("\n")[0].split(", ")
    return {
        "now": "The person looks for something new.",
        "interests": [{"name": "the latest", "events": numbers[-1:]}],
        "shift": {"kind": "temporal", "from": topics[1:2], "to": topics[:1], "probability": 0.6, "why": "It grows."},
        "phrases": ["something like the latest", "what goes with it", "a present"],
    }


def _reasons(messages: Messages) -> dict[str, Any]:
    items = _NUMBERED.findall(messages[-1]["content"].rpartition("Items and facts")[2])
    claim = {"kind": "event", "evidence": [1], "words": "After [1], [item] may suit you."}
    return {"reasons": [{"item": int(number), "claims": [claim]} for number, _ in items]}


def _line(messages: Messages) -> dict[str, Any]:
    line = messages[-1]["content"].partition("The line:\n<data>\n")[2].partition("\n</data>")[0]
    if "compare" in line:
        return {"act": "compare", "items": [1, 2]}
    if "thanks" in line:
        return {"act": "small_talk"}
    return {"act": "about_item", "items": [1]} if "?" in line else {"act": "want", "wish": line[:80]}


def _step(messages: Messages) -> dict[str, Any]:
    """Call the tools one after the other: the latest item of the history, then the earliest that is shown."""
    results = [message["content"] for message in messages if message["content"].startswith("Result of")]
    ids = _ITEM_ID.findall(results[0]) if results else []
    steps: list[dict[str, Any]] = [{"step": "history"}, {"step": "interest_shift"}]
    if not any("compare" in message["content"] for message in messages if message["role"] == "user"):
        calls = ("similar_items", ids[:1]), ("met_together", ids[-1:])
        steps[1:] = [{"step": step, "item_id": item_id} for step, item in calls for item_id in item]
    return [*steps, {"step": "say", "words": "It may suit you."}][min(len(results), len(steps))]


def _example(messages: Messages) -> dict[str, Any]:
    """Return the last example of the prompt."""
    reply: dict[str, Any] = json.loads(next(m["content"] for m in reversed(messages) if m["role"] == "assistant"))
    return reply


_REPLIES: Mapping[str, Callable[[Messages], dict[str, Any]]] = {
    "OrderReply": _order,
    "ReadReply": _read,
    "ReasonsReply": _reasons,
    "LineReply": _line,
    "Step": _step,
    "SummaryReply": _example,
    "ReasonReply": _example,
}
"""The replies, keyed by the name of the schema."""


def _likelihoods(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return log-probabilities that only depend on the token, in the form of the API."""
    likeliest = {token: _log_probability(token) for token in (" tea", " Paris")}
    if request["model"] != SCORER:
        return {"tokens": ["."], "text_offset": [0], "token_logprobs": [0.0], "top_logprobs": [{}]}
    if not request.get("echo"):
        return {"tokens": ["."], "text_offset": [0], "token_logprobs": [-1.0], "top_logprobs": [likeliest]}
    pieces = list(_PIECE.finditer(request["prompt"]))
    return {
        "tokens": [piece[0] for piece in pieces],
        "text_offset": [piece.start() for piece in pieces],
        "token_logprobs": [_log_probability(piece[0]) for piece in pieces],
        "top_logprobs": [likeliest for _ in pieces],
    }


def _log_probability(token: str) -> float:
    return -1.0 - zlib.crc32(token.encode()) / 2**32
