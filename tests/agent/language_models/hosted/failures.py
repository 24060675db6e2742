"""What servers answer instead of a plain completion: a table of failures, and a server that fails in each way."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status, a body, its type and further headers. `hangs_up` ends the connection before the body is whole."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    hangs_up: bool = False


@dataclass(frozen=True)
class Failure:
    """A way in which a server fails.

    Attributes:
        name: Its name in test reports.
        answer: A function from a request and the fitting reply to what the server answers.
        outcome: What a model makes of it: `value`, `misfit` or `error`.
        says: A pattern of the misfit or of the error's message.
    """

    name: str
    answer: Callable[[dict[str, Any], str], Answer]
    outcome: str
    says: str = ""


@contextmanager
def failing_server(failure: Failure, reply: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the address of a server that fails in one way, and the requests that it got.

    Args:
        failure: A row of FAILURES.
        reply: The reply that fits, for failures that a model gets around.
    """
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(request)
            answer = failure.answer(request, reply)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body) + (9 if answer.hangs_up else 0)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client goes away when it cuts a reply
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=partial(server.serve_forever, poll_interval=0.02), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
        server.shutdown()


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(json.dumps(body).encode(), status, headers=named)


def as_stream(*chunks: Any) -> Answer:
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return Answer(f"{lines}data: [DONE]\n\n".encode(), content_type="text/event-stream")


NO_STREAMS = as_json({"error": {"message": "streaming is not supported", "param": "stream"}}, 400)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def choice(kind: str, part: Any, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, kind: part, "finish_reason": finish_reason}], **fields}


def streamed(chunks: Callable[[str], list[Any]]) -> Callable[[dict[str, Any], str], Answer]:
    """Answer in chunks, made from the fitting reply."""
    return lambda request, reply: as_stream(*chunks(reply))


def unstreamed(document: Callable[[str], Any]) -> Callable[[dict[str, Any], str], Answer]:
    """Refuse streams. Answer in a document, made from the fitting reply."""
    return lambda request, reply: NO_STREAMS if request.get("stream") else as_json(document(reply))


def _document(reply: str) -> Any:
    return json.JSONDecoder().raw_decode(reply)[0]


def whole(reply: str) -> Answer:
    return as_stream(choice("delta", {"content": reply}), choice("delta", {}, "stop"))


# Chunks between which a reply stands.
ODD_CHUNKS: dict[str, Any] = {
    "annotations": {"id": "1", "object": "annotation", "annotations": [{"type": "moderation"}]},
    "usage alone": {"id": "1", "usage": USAGE},
    "no choices": {"id": "1", "choices": [], "usage": USAGE},
    "null choices": {"id": "1", "choices": None},
    "a null choice": {"choices": [None]},
    "a choice without delta": {"choices": [{"index": 0}]},
    "a null delta": choice("delta", None),
    "null content": choice("delta", {"role": "assistant", "content": None, "tool_calls": None}),
    "an empty delta": choice("delta", {}),
    "a null error": {"error": None, "choices": []},
    "null": None,
    "a list": [],
    "a text": "ping",
    "thoughts": choice("delta", {"reasoning_content": "Blue? Yes.", "content": None}),
    "choices that are no list": {"choices": {"delta": 7}},
    "counts that are none": {"choices": [], "usage": "many"},
}

# Messages that hold the reply in unusual forms.
FORMS: dict[str, Callable[[str], Any]] = {
    "content parts": lambda reply: {"content": [{"type": "text", "text": reply}]},
    "parts of plain text": lambda reply: {"content": [reply[:5], reply[5:]]},
    "a part with thoughts": lambda reply: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "no"}]},
            {"type": "text", "text": reply},
        ]
    },
    "a tool call": lambda reply: {"content": None, "tool_calls": [{"index": 0, "function": {"arguments": reply}}]},
    "arguments as an object": lambda reply: {"tool_calls": [{"function": {"arguments": _document(reply)}}]},
    "a function call": lambda reply: {"content": "", "function_call": {"name": "f", "arguments": reply}},
    "thoughts apart": lambda reply: {"content": reply, "reasoning_content": "Well", "refusal": None},
    "prose around it": lambda reply: {"content": f"Sure! ```json\n{reply}\n``` Is that right?"},
    "thoughts in tags": lambda reply: {"content": f"<think>Well</think>{reply}"},
}

PROSE = "The sky is blue."
LOOP = "blue and blue and " * 60
THOUGHTS = r"thoughts took them all: switch its thoughts off"
# A message, its finish reason and what a misfit says of it.
UNFIT: dict[str, tuple[Any, str | None, str]] = {
    "an empty reply": ({"content": ""}, "stop", "wrote an empty reply"),
    "no content": ({"role": "assistant", "content": None}, "stop", "wrote an empty reply"),
    "prose": ({"content": PROSE}, "stop", "wrote no JSON document: 'The sky"),
    "a list": ({"content": '["blue"]'}, "stop", "a list instead of an object"),
    "another object": ({"content": '{"color": "blue"}'}, "stop", r"does not fit \(\w+: Field required\)"),
    "a loop": ({"content": LOOP}, "length", "cut at its limit: the model repeated the same words"),
    "an over-long reply": ({"content": "".join(map(str, range(20_000)))}, None, "wrote no JSON document|cut at"),
    "a reply that is cut": ({"content": "The colour of the"}, "length", "cut at its limit"),
    "a filter": ({"content": None}, "content_filter", "content filter held the reply back"),
    "a filter in the middle": ({"content": '{"colour": "bl'}, "content_filter", "content filter held the reply back"),
    "a refusal": ({"content": None, "refusal": "I cannot help."}, "stop", "refused to reply: 'I cannot help"),
    "thoughts apart alone": ({"content": "", "reasoning_content": "Hm " * 30}, "length", THOUGHTS),
    "thoughts in tags alone": ({"content": "<think>Hm"}, "length", THOUGHTS),
    "blanks without end": ({"content": "\n " * 30}, "length", "cut at its limit: the model wrote an empty reply"),
    "a filter after thoughts": (
        {"content": None, "reasoning_content": "Hm"},
        "content_filter",
        "content filter held the reply back",
    ),
    "no room": ({"content": ""}, "length", THOUGHTS),
}

TOO_LONG = "prompt is too long for the context of 'openai:m'"
FILTERED = "content filter of 'openai:m' held the reply back"
# Errors of prompts that are too long, with their status.
TOO_LONG_ERRORS: dict[str, tuple[int, Any]] = {
    "too long, OpenAI": (
        400,
        {"message": "Please reduce the length of the messages.", "code": "context_length_exceeded"},
    ),
    "too long, TGI": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 4096"}),
    "too long with its reply, TGI": (422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000"}),
    "too long, Anthropic": (
        400,
        {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
    ),
    "too long, vLLM": (
        400,
        {"message": "This model's maximum context length is 4096 tokens, of which you asked 9000.", "code": 400},
    ),
    "longer than the model, vLLM": (
        400,
        {"message": "The prompt (total length 9000) is longer than the maximum model length of 4096."},
    ),
    "too long, llama.cpp": (
        400,
        {"message": "the request exceeds the available context size. try increasing it", "type": "server_error"},
    ),
    "too large for a minute, OpenAI": (
        429,
        {"message": "Request too large for gpt on tokens per min (TPM): Limit 10000", "code": "rate_limit_exceeded"},
    ),
}
# An error with its status, and what the user reads.
ERRORS: dict[str, tuple[int, Any, str, str]] = {
    **{name: (*error, "misfit", TOO_LONG) for name, error in TOO_LONG_ERRORS.items()},
    "a filter, Azure": (
        400,
        {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}, "message": "Filtered."},
        "misfit",
        FILTERED,
    ),
    "a wrong key": (401, {"message": "Incorrect API key provided"}, "error", "Incorrect API key.*check OPENAI_API_KEY"),
    "an unknown model": (404, {"message": "The model `m` does not exist"}, "error", "check the model's name"),
    "a used-up quota": (429, {"message": "No.", "code": "insufficient_quota"}, "error", "no credit left: add credit"),
    "too many requests": (429, {"message": "Rate limit reached", "code": 429}, "error", "Rate limit.*try again later"),
    "overload": (
        503,
        {"message": "The server is overloaded", "type": "server"},
        "error",
        "overloaded.*try again later",
    ),
    "a fault of the server": (500, {"message": "CUDA error"}, "error", "CUDA error.*try again, or use another model"),
}

# Settings that a server refuses in its own words: which it refuses, and its error.
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], bool], Any]] = {
    "max_tokens in words": (
        lambda request: "max_tokens" in request,
        {"error": {"message": "use max_completion_tokens instead of max_tokens"}},
    ),
    "max_tokens in a gateway's nested error": (
        lambda request: "max_tokens" in request,
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": '{"error": {"message": "Unsupported parameter: max_tokens"}}'},
            }
        },
    ),
    "every limit": (
        lambda request: "max_tokens" in request or "max_completion_tokens" in request,
        {"detail": "Extra inputs are not permitted: max_tokens, max_completion_tokens"},
    ),
    "temperature in words": (
        lambda request: "temperature" in request,
        {"error": "temperature is not supported with this model"},
    ),
    "temperature must be 1": (
        lambda request: request.get("temperature", 1) != 1,
        {"error": {"message": "invalid temperature: only 1 is allowed for this model"}},
    ),
    "stream_options": (
        lambda request: "stream_options" in request,
        {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
    ),
    "response_format in words": (
        lambda request: "response_format" in request,
        {"message": "Unknown field response_format. Allowed: max_tokens, temperature, stream, tools"},
    ),
    "tools by a 404": (
        lambda request: "tools" in request or "response_format" in request,
        {"error": {"message": "No endpoints found that support tool use or response_format", "code": 404}},
    ),
    "system messages": (
        lambda request: request["messages"][0]["role"] == "system",
        {"error": {"message": "System role not supported"}},
    ),
    "everything without a reason": (
        lambda request: "response_format" in request or "tools" in request,
        {"error": {"message": "Bad Request"}},
    ),
}

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please</body></html>"
# Answers that are the same for each request.
PLAIN: dict[str, tuple[Answer, str, str]] = {
    "a web page": (Answer(PAGE, content_type="text/html"), "error", "web page.*check that an OpenAI-compatible server"),
    "a web page that says it is JSON": (Answer(PAGE), "error", "web page"),
    "an empty body": (Answer(b""), "error", "is empty: try again"),
    "an empty page": (Answer(b"", content_type="text/html"), "error", "is empty: try again"),
    "half a document": (Answer(b'{"choices": [{"mess'), "error", "broke off .*try again"),
    "an error without its field, vLLM": (
        as_stream({"object": "error", "message": "Wrong key", "code": 401}),
        "error",
        "Wrong key; check OPENAI_API_KEY",
    ),
    "an event of an error": (
        Answer(b'event: error\ndata: {"message": "Down", "code": 404}\n\n', content_type="text/event-stream"),
        "error",
        "Down; check the model's name",
    ),
    "another document": (as_json({"status": "ok"}), "error", "is not a completion"),
    "a message that is null": (as_json({"choices": [{"message": None}]}), "error", "is not a completion"),
    "a body that ends early": (Answer(b'{"choices": ', hangs_up=True), "error", "broke off"),
    "a stream that ends early": (
        Answer(b'data: {"choices": [{"delta": {"content": "bl', content_type="text/event-stream", hangs_up=True),
        "error",
        "broke off",
    ),
    "a stream that is ended for another request, llama.cpp": (
        as_stream(choice("delta", {"role": "assistant"}), choice("delta", {"content": '{"colour": "bl'})),
        "error",
        "broke off .the stream ended in the middle of the reply.: try again",
    ),
    "a stream that is ended before the reply, llama.cpp": (
        as_stream(choice("delta", {"role": "assistant"})),
        "error",
        "broke off .the stream ended in the middle of the reply.: try again",
    ),
    "a body that cannot be unpacked": (
        Answer(b"\x1f\x8bno", headers=(("Content-Encoding", "gzip"),)),
        "error",
        "broke off .*decompressing.*try again",
    ),
    "bytes that are no text": (
        Answer(b"data: \xff\xfe\n\n", content_type="text/event-stream"),
        "error",
        "is not a completion",
    ),
    "a redirection to itself": (
        Answer(b"", 307, headers=(("Location", "/v1/chat/completions"),)),
        "error",
        "redirects.*check that an OpenAI-compatible server has this address",
    ),
    "a page with status 502": (Answer(PAGE, 502, "text/html"), "error", "answered 502: a web page: Sign in; try again"),
    "an empty body with status 400": (Answer(b"", 400), "error", "answered 400: no reason given"),
    "a wait of an hour": (
        as_json({"error": {"message": "Slow down"}}, 429, Retry_After="3600"),
        "error",
        "the server asks to wait 3600 s: try again later",
    ),
    "a wait until a date": (
        as_json({"error": {"message": "Down"}}, 503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"),
        "error",
        r"the server asks to wait \d+ s",
    ),
    "a body that is too large": (Answer(PAGE, 413, "text/html"), "misfit", TOO_LONG),
    "no payment": (as_json({"error": "Payment required"}, 402), "error", "add credit"),
    "a closed model": (as_json({"message": "Not yours"}, 403), "error", "use another key or model"),
    "a wrong path": (as_json({"detail": "Method Not Allowed"}, 405), "error", "check the address"),
    "a proxy with a password": (Answer(PAGE, 407, "text/html"), "error", "the proxy wants a name and a password"),
}


def _odd(chunk: Any) -> Callable[[str], list[Any]]:
    def chunks(reply: str) -> list[Any]:
        first, rest = (choice("delta", {"content": part}) for part in (reply[:5], reply[5:]))
        return [chunk, first, chunk, rest, chunk]

    return chunks


def _refusing(refuses: Callable[[dict[str, Any]], bool], body: Any) -> Callable[[dict[str, Any], str], Answer]:
    return lambda request, reply: as_json(body, 400) if refuses(request) else whole(reply)


def _with_empty_error(request: dict[str, Any], reply: str) -> Answer:
    error = {"message": "", "code": 0, "param": None}
    if request.get("stream"):
        return as_stream(choice("delta", {"content": reply}, error=error))
    return as_json(choice("message", {"content": reply}, error=error))


def _always(answer: Answer) -> Callable[[dict[str, Any], str], Answer]:
    return lambda request, reply: answer


def _table() -> Iterator[Failure]:
    for name, chunk in ODD_CHUNKS.items():
        yield Failure(f"a stream with {name}", streamed(_odd(chunk)), "value")
    for name, form in FORMS.items():
        yield Failure(f"{name}, streamed", streamed(lambda reply, form=form: [choice("delta", form(reply))]), "value")
        yield Failure(f"{name}, whole", unstreamed(lambda reply, form=form: choice("message", form(reply))), "value")
    for name, (message, reason, says) in UNFIT.items():
        chunks = [choice("delta", message), choice("delta", {}, reason)]
        yield Failure(f"{name}, streamed", streamed(lambda reply, chunks=chunks: chunks), "misfit", says)
        document = choice("message", message, reason)
        yield Failure(f"{name}, whole", unstreamed(lambda reply, document=document: document), "misfit", says)
    for name, (status, error, outcome, says) in ERRORS.items():
        body = {"error": error}
        yield Failure(f"{name}, status {status}", _always(as_json(body, status)), outcome, says)
        yield Failure(f"{name}, in a stream", streamed(lambda reply, body=body: [body]), outcome, says)
        yield Failure(f"{name}, in a document", unstreamed(lambda reply, body=body: body), outcome, says)
    for name, (refuses, body) in REFUSED.items():
        yield Failure(f"a server that refuses {name}", _refusing(refuses, body), "value")
    yield Failure("an error without content beside a reply", _with_empty_error, "value")
    for name, (answer, outcome, says) in PLAIN.items():
        yield Failure(name, _always(answer), outcome, says)


FAILURES: tuple[Failure, ...] = tuple(_table())
"""The failures, with names that differ."""
