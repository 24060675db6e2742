"""The reply formats and settings that an OpenAI-compatible server accepts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from whimbrel.agent.language_models.parsers import strict_schema

REASONING_TOKENS = 2000
"""Extra tokens for the thoughts of a reasoning model. Servers count thoughts as tokens of the reply."""

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
    ("words", _words),  # no constraint: the reply is found within prose
)
"""The name and the request settings of each format, the strictest format first."""


@dataclass(frozen=True)
class Dialect:
    """What a server accepts, as far as its refusals have shown.

    Attributes:
        reply_format: The format that requests ask for, as a position in REPLY_FORMATS.
        reasons: Whether the model reasons. Such a model takes no temperature, and its thoughts count as tokens of the
            reply.
        streams: Whether replies come as a stream. An endless reply can then be cut.
        counts_in_streams: Whether the server is asked to end a stream with its token counts.
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
        """Return the settings of a request whose reply must fit `schema`."""
        settings = REPLY_FORMATS[self.reply_format][1](strict_schema(schema), schema.__name__)
        if self.reasons:
            return settings | {"max_completion_tokens": self.most_tokens(max_tokens)}
        return settings | {"max_tokens": max_tokens, "temperature": 0.0}

    def most_tokens(self, max_tokens: int) -> int:
        """Return the most tokens that the server may count for a reply of `max_tokens`."""
        return max_tokens + (REASONING_TOKENS if self.reasons else 0)

    def simpler(self, error: Any) -> "Dialect | None":
        """Return this dialect without the setting that the server most likely refused.

        Args:
            error: The server's refusal, an `openai.APIStatusError`.

        Returns:
            None if no setting is left to give up.
        """
        refused = getattr(error, "param", None)
        message = f"{refused or ''} {error}".casefold()
        # the longer name is looked for first, since it contains the shorter one
        if self.counts_in_streams and "stream_options" in message:
            return replace(self, counts_in_streams=False)
        if self.streams and "stream" in message:
            return replace(self, streams=False)
        if not self.reasons and refused in ("max_tokens", "temperature"):
            return replace(self, reasons=True)
        # 404 means an unknown model or address, and another reply format would not help
        if error.status_code != 404 and self.reply_format + 1 < len(REPLY_FORMATS):
            return replace(self, reply_format=self.reply_format + 1)
        return None
