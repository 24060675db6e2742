"""The reply formats and settings that an OpenAI-compatible server accepts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.server_errors import ServerError
from whimbrel.agent.language_models.parsers import strict_schema
from whimbrel.prompts import Message

REASONING_TOKENS = 2000
"""Extra tokens for the thoughts of a reasoning model. Servers count thoughts as tokens of the reply."""
MAX_REASONING_TOKENS = 8000
"""Extra tokens after thoughts left no room for the reply. At 50 tokens a second, that many take 160 seconds."""

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


# A limit under the first name is refused by OpenAI's reasoning models. An empty name sends no limit.
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens", "")
_FORMAT_WORDS = re.compile(
    r"response_?format|json_(schema|object|mode)|structured|\btool|function.?call|grammar|guided"
)
_STREAM_WORDS = re.compile(r"\bstream(s|ed|ing)?\b")
_SYSTEM_WORDS = re.compile(
    r"system (role|message|prompt|instruction)|role.{0,40}\bsystem\b|'system'|roles must alternate"
)


@dataclass(frozen=True)
class Dialect:
    """What a server accepts, as far as its refusals have shown.

    Attributes:
        reply_format: The format that requests ask for, as a position in REPLY_FORMATS.
        limit_name: The setting that limits the tokens of a reply; empty if the server takes none.
        temperature: Whether the server takes a temperature. Reasoning models take none.
        thought_tokens: Room for thoughts. Servers count thoughts as tokens of the reply.
        streams: Whether replies come as a stream. An endless reply can then be cut.
        counts_in_streams: Whether the server is asked to end a stream with its token counts.
        system_role: Whether the server takes system messages.
    """

    reply_format: int = 0
    limit_name: str = "max_tokens"
    temperature: bool = True
    thought_tokens: int = 0
    streams: bool = True
    counts_in_streams: bool = True
    system_role: bool = True

    @property
    def format_name(self) -> str:
        """Name of the reply format."""
        return REPLY_FORMATS[self.reply_format][0]

    def settings(self, schema: type[BaseModel], max_tokens: int) -> dict[str, Any]:
        """Return the settings of a request whose reply must fit `schema`."""
        settings = REPLY_FORMATS[self.reply_format][1](strict_schema(schema), schema.__name__)
        if self.limit_name:
            settings[self.limit_name] = self.most_tokens(max_tokens)
        if self.temperature:
            settings["temperature"] = 0.0
        return settings

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return the messages to send. Without system messages, their text begins the next message."""
        sent: list[dict[str, Any]] = []
        instructions = ""
        for message in messages:
            if message["role"] == "system" and not self.system_role:
                instructions += message["content"] + "\n\n"
                continue
            words = instructions + message["content"]
            sent.append(
                {"role": message["role"], "content": _parts(words, message["image"]) if "image" in message else words}
            )
            instructions = ""
        return sent

    def most_tokens(self, max_tokens: int) -> int:
        """Return the most tokens that the server may count for a reply of `max_tokens`."""
        return max_tokens + self.thought_tokens

    def with_more_room(self) -> "Dialect | None":
        """Return this dialect with room for long thoughts; None if it has that room already."""
        if self.thought_tokens >= MAX_REASONING_TOKENS:
            return None
        return replace(self, thought_tokens=MAX_REASONING_TOKENS)

    def with_less_room(self) -> "Dialect | None":
        """Return this dialect with less room for thoughts, for a small context; None if it has no such room."""
        if not self.thought_tokens:
            return None
        return replace(self, thought_tokens=REASONING_TOKENS if self.thought_tokens > REASONING_TOKENS else 0)

    def simpler(self, error: ServerError) -> "Dialect | None":
        """Return this dialect without the setting that the server most likely refused.

        Some servers name the setting, others only write a sentence. The setting that is named first is left out.
        Later names are often those of the settings that the server does accept.

        Returns:
            None if no setting is left to give up.
        """
        named = [(place.start(), change) for words, change in self._refusable() if (place := words.search(error.text))]
        by_param = [change for words, change in self._refusable() if error.param and words.search(error.param)]
        if by_param or named:
            return by_param[0] if by_param else min(named, key=lambda pair: pair[0])[1]
        # 404 means an unknown model or address, and another reply format would not help
        return None if error.status == 404 else self._next_format()

    def _refusable(self) -> list[tuple[re.Pattern[str], "Dialect"]]:
        """Return the words for each setting that requests have now, and the dialect without it."""
        thinking = replace(self, temperature=False, thought_tokens=max(self.thought_tokens, REASONING_TOKENS))
        refusable = []
        if self.streams and self.counts_in_streams:
            refusable.append((re.compile("stream_options|include_usage"), replace(self, counts_in_streams=False)))
        if self.streams:
            refusable.append((_STREAM_WORDS, replace(self, streams=False)))
        if self.limit_name:
            next_name = _LIMIT_NAMES[_LIMIT_NAMES.index(self.limit_name) + 1]
            refusable.append((re.compile(rf"\b{self.limit_name}\b"), replace(thinking, limit_name=next_name)))
        if self.temperature:
            refusable.append((re.compile("temperature"), thinking))
        if self.system_role:
            refusable.append((_SYSTEM_WORDS, replace(self, system_role=False)))
        if next_format := self._next_format():
            refusable.append((_FORMAT_WORDS, next_format))
        return refusable

    def _next_format(self) -> "Dialect | None":
        is_last = self.reply_format + 1 == len(REPLY_FORMATS)
        return None if is_last else replace(self, reply_format=self.reply_format + 1)


def _parts(words: str, image: str) -> list[dict[str, Any]]:
    # A small image costs little at low detail, and a caption needs no more.
    return [{"type": "text", "text": words}, {"type": "image_url", "image_url": {"url": image, "detail": "low"}}]
