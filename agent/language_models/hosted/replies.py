"""Reading of replies. Servers differ in what they send, in a stream and outside of one."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from whimbrel.agent.language_models.hosted.server_errors import ServerError, says_anything
from whimbrel.agent.language_models.parsers import parse_reply, without_thoughts
from whimbrel.agent.language_models.protocol import Generation, T, Usage

CUT = "cut"
"""The finish reason of a reply that is cut here, since the server lets it grow without end."""
_FILTERED = ("content_filter", "SAFETY")
_START = re.compile(r"[{\[]")
_WEB_PAGE = re.compile(r"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)


class NoCompletionError(Exception):
    """The server's answer is neither a completion nor an error."""


class BrokenOffError(Exception):
    """A stream ended in the middle of a reply."""


@dataclass
class Answer:
    """What a server has sent of one reply. Any field may be missing, null or of another type.

    Attributes:
        text: The reply, or the arguments of the tool that it calls.
        thoughts: The thoughts that the server sends apart from the reply.
        refusal: The model's words why it does not reply.
        finish_reason: Why the reply ends, in the server's word.
        counts: The server's token counts.
        has_reply: Whether the server has sent any part of a completion.
    """

    text: str = ""
    thoughts: str = ""
    refusal: str = ""
    finish_reason: str = ""
    counts: Any = None
    has_reply: bool = False

    def add(self, document: Any) -> None:
        """Add a completion, or one chunk of a stream.

        Raises:
            ServerError: It holds an error instead.
        """
        document = _as_dict(document)
        choice = _as_dict(_first(document.get("choices")))
        error = document.get("error") or choice.get("error")
        if not choice and isinstance(document.get("message"), str) and (document.get("code") or document.get("type")):
            error = document  # vLLM and DashScope send their errors without a field around them
        if says_anything(error):
            raise ServerError(error)
        self.counts = document.get("usage") or self.counts
        message = choice.get("delta") or choice.get("message")
        self.has_reply = self.has_reply or bool(message or choice.get("finish_reason") or choice.get("text"))
        message = _as_dict(message)
        self.text += _text(message.get("content")) or _text(choice.get("text"))
        self.text += _arguments(message)
        self.thoughts += _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        self.thoughts += _text(message.get("content"), kinds=("thinking", "reasoning"))
        self.refusal += _text(message.get("refusal"))
        self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)

    @property
    def is_cut(self) -> bool:
        """Whether the reply ends at its limit."""
        return self.finish_reason in ("length", "max_tokens", "MAX_TOKENS", CUT)

    @property
    def has_only_thoughts(self) -> bool:
        """Whether the thoughts left no room for the reply, or most likely did."""
        if without_thoughts(self.text).strip() or self.refusal or self.finish_reason in _FILTERED:
            return False
        is_blank = self.text.isspace() and not self.thoughts  # some models write blanks without end as JSON
        return bool(self.written.strip()) or (self.is_cut and not is_blank)

    @property
    def breaks_off(self) -> bool:
        """Whether a stream ends without a reason, without counts and without a whole document.

        llama.cpp's server ends a stream in this way when the next request arrives.
        """
        return not self.finish_reason and not self.counts and not _has_document(without_thoughts(self.text))

    @property
    def written(self) -> str:
        """All that the model wrote."""
        return self.thoughts + self.text


def read_completion(body: str) -> Answer:
    """Return the answer in a body that was sent with status 200.

    Raises:
        ServerError: The body holds an error.
        json.JSONDecodeError: The body is empty or cut off.
        NoCompletionError: The body is something else.
    """
    if _WEB_PAGE.match(body):
        raise NoCompletionError("it is a web page")
    answer = Answer()
    answer.add(json.loads(body))
    if not answer.has_reply:
        raise NoCompletionError(repr(body[:99]))
    return answer


def read_reply(answer: Answer, schema: type[T], usage: Usage, *, most_tokens: int) -> Generation[T]:
    """Return an answer as an instance of a schema, or say in words why it is none.

    Args:
        answer: What the server sent.
        schema: The pydantic model that the reply must fit.
        usage: What the answer cost.
        most_tokens: The limit of the reply, thoughts included.
    """
    if answer.finish_reason in _FILTERED:
        return no_value(usage, "the server's content filter held the reply back")
    if answer.refusal and not answer.text.strip():
        return no_value(usage, f"the model refused to reply: {answer.refusal[:150]!r}")
    if answer.has_only_thoughts:
        cause = "since its thoughts" if answer.written.strip() else "probably since thoughts"
        return no_value(
            usage,
            f"the model wrote no reply within {most_tokens} tokens, {cause} took them all: switch its thoughts off, or "
            "use a model that does not reason",
        )
    generation = parse_reply(answer.text, schema, usage)
    if generation.value is None and answer.is_cut:
        return replace(generation, misfit=f"the reply was cut at its limit: {generation.misfit}")
    return generation


def no_value(usage: Usage, reason: str) -> Generation[Any]:
    """Return a generation without a value, counted as a misfit."""
    return Generation(None, usage + Usage(generations=1, misfits=1), misfit=reason)


def _has_document(text: str) -> bool:
    """Return whether the first JSON document in a text is whole."""
    start = _START.search(text)
    try:
        return start is not None and json.JSONDecoder().raw_decode(text, start.start()) is not None
    except (ValueError, RecursionError):
        return False


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any, kinds: tuple[str, ...] = ("text", "output_text", "")) -> str:
    """Return a content as text. A content may be a list of parts. Only those of the given kinds are read."""
    if isinstance(value, str):
        return value if "text" in kinds else ""
    if not isinstance(value, list):
        return ""
    parts = [{"text": part} if isinstance(part, str) else _as_dict(part) for part in value]
    wanted = [part for part in parts if str(part.get("type") or "") in kinds]
    return "".join(_text(part.get("text") or part.get(str(part.get("type")))) for part in wanted)


def _arguments(message: dict[str, Any]) -> str:
    """Return the arguments of the first tool that a message calls. In a stream, they come in pieces."""
    calls = message.get("tool_calls")
    call = _as_dict(_first(calls))
    function = _as_dict(call.get("function") or message.get("function_call"))
    arguments = function.get("arguments") if not call.get("index") else None
    return json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments)
