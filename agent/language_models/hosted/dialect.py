"""What an OpenAI-compatible server accepts: formats of replies and settings, from the strictest down."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from whimbrel.agent.language_models.parsers import strict_schema

REASONING_TOKENS = 2000
"""Extra tokens that a reasoning model may write as thoughts, which servers count as tokens of the reply."""

Schema = dict[str, Any]


def _json_schema(schema: Schema, name: str) -> dict[str, Any]:
    shape = {"name": name, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _json_object_with_schema(schema: Schema, name: str) -> dict[str, Any]:
    return {"response_format": {"type": "json_object", "schema": schema}}


def _tool(schema: Schema, name: str) -> dict[str, Any]:
    function = {"name": name, "parameters": schema}
    return {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": name}},
    }


def _json_object(schema: Schema, name: str) -> dict[str, Any]:
    return {"response_format": {"type": "json_object"}}


def _words(schema: Schema, name: str) -> dict[str, Any]:
    return {}


REPLY_FORMATS: tuple[tuple[str, Callable[[Schema, str], dict[str, Any]]], ...] = (
    ("json_schema", _json_schema),  # structured output of OpenAI
    ("json_object with schema", _json_object_with_schema),  # the server of llama.cpp
    ("tool", _tool),  # a tool that the model must call
    ("json_object", _json_object),  # JSON of any shape
    ("words", _words),  # no constraint: the reply is parsed out of prose
)
"""Name and request settings of each format, the strictest first."""


@dataclass(frozen=True)
class Dialect:
    """What a server accepts, as far as its refusals have shown.

    Attributes:
        reply_format: Position in REPLY_FORMATS of the format that replies are asked in.
        reasons: The model reasons: it takes no temperature, and its thoughts count as tokens of the reply.
        streams: Replies come as a stream, so that an endless one can be cut.
        counts_in_streams: The server is asked to end a stream with its token counts.
    """

    reply_format: int = 0
    reasons: bool = False
    streams: bool = True
    counts_in_streams: bool = True

    @property
    def format_name(self) -> str:
        """Name of the reply format."""
        return REPLY_FORMATS[self.reply_format][0]

    def settings(self, schema: type[BaseModel], max_tokens: int) -> dict[str, Any]:
        """Return the settings of a request whose reply is to fit `schema`."""
        settings = REPLY_FORMATS[self.reply_format][1](strict_schema(schema), schema.__name__)
        if self.reasons:
            return settings | {"max_completion_tokens": self.most_tokens(max_tokens)}
        return settings | {"max_tokens": max_tokens, "temperature": 0.0}

    def most_tokens(self, max_tokens: int) -> int:
        """Return the most tokens that the server may count for a reply of `max_tokens`."""
        return max_tokens + (REASONING_TOKENS if self.reasons else 0)

    def simpler(self, error: Any) -> "Dialect | None":
        """Return this dialect without what the server most likely refused; None if nothing is left to give up.

        Args:
            error: The server's refusal, an `openai.APIStatusError`.
        """
        refused = getattr(error, "param", None)
        message = f"{refused or ''} {error}".casefold()
        # the longer name first: it holds the shorter one
        if self.counts_in_streams and "stream_options" in message:
            return replace(self, counts_in_streams=False)
        if self.streams and "stream" in message:
            return replace(self, streams=False)
        if not self.reasons and refused in ("max_tokens", "temperature"):
            return replace(self, reasons=True)
        # 404 means an unknown model or address, which no other format of the reply helps
        if error.status_code != 404 and self.reply_format + 1 < len(REPLY_FORMATS):
            return replace(self, reply_format=self.reply_format + 1)
        return None
