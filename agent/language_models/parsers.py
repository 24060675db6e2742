"""Parsing of a model's reply into an instance of a schema.

Thoughts, code fences, prose around the document and a missing end are tolerated, and counted as a repair. Nothing else
is: a library that repairs any text, such as json-repair, makes values of prose and completes words that were cut off
(`[1, tru` becomes `[1, "tru"]`), so that a reply which should be discarded would be used.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from whimbrel.agent.language_models.protocol import Generation, T, Usage

MAX_CHARACTERS = 100_000
"""Characters of a reply that are parsed."""
MAX_STARTS = 50
"""Brackets in a reply that are tried as the start of a document, which bounds the time for a reply full of brackets."""

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHT = re.compile("</think>", re.IGNORECASE)
_START = re.compile(r"[{\[]")


def parse_reply(reply: str, schema: type[T], usage: Usage) -> Generation[T]:
    """Return a reply as an instance of a schema.

    A reply that is more or less than one JSON document is repaired: the last document that fits is taken, and the end
    of one that was cut off is completed. A schema can read plain words by a class method `from_words`.

    Args:
        reply: What the model wrote.
        schema: The pydantic model that it was asked for.
        usage: What the reply cost; the generation, and a repair or misfit, are added to it.

    Returns:
        Without a value, and with the start of the reply, if it fits no schema.
    """
    try:
        return Generation(schema.model_validate_json(reply), usage + Usage(generations=1))
    except (ValueError, RecursionError):
        pass
    value = _repair(reply[:MAX_CHARACTERS], schema)
    if value is None:
        return Generation(None, usage + Usage(generations=1, misfits=1), misfit=reply[:200])
    return Generation(value, usage + Usage(generations=1, repairs=1))


def _repair(reply: str, schema: type[T]) -> T | None:
    # a closing tag may be left alone: some chat templates write the opening one
    answer = _END_OF_THOUGHT.split(_THOUGHT.sub("", reply))[-1]
    values = [value for document in _documents(answer) if (value := _validate(document, schema)) is not None]
    if values:  # the last one: models quote an example or think aloud first
        return values[-1]
    from_words = getattr(schema, "from_words", None)
    value = from_words(answer) if from_words else None
    return value if isinstance(value, schema) else None


def _documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents in a text, in order; one that is cut off at the end of the text is completed."""
    decoder, position = json.JSONDecoder(), 0
    for _ in range(MAX_STARTS):
        start = _START.search(text, position)
        if not start:
            return
        try:
            document, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            try:
                document = from_json(text[start.start() :].rstrip("` \n"), allow_partial="trailing-strings")
            except (ValueError, RecursionError):
                continue
        yield document


def _validate(document: Any, schema: type[T]) -> T | None:
    """Return an instance of the schema: the document itself, its only value, or the document as the only field."""
    candidates = [document]
    if isinstance(document, dict) and len(document) == 1:
        candidates += document.values()
    if isinstance(document, list) and len(schema.model_fields) == 1:
        candidates.append({next(iter(schema.model_fields)): document})
    for candidate in candidates:
        try:
            return schema.model_validate(candidate)
        except (ValueError, RecursionError):
            continue
    return None


def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema that a server is asked to hold a reply to, without other fields."""
    return schema.model_json_schema() | {"additionalProperties": False}
