"""From what a model wrote to an instance of a schema.

Thoughts, fences, prose around it and a lost end are tolerated.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from whimbrel.agent.language_models.protocol import Generation, T, Usage

LONGEST_REPLY = 100_000
"""Characters of a reply that are looked at."""
MOST_STARTS = 50
"""Brackets in a reply at which a document may begin that are tried."""

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_START = re.compile(r"[{\[]")


def fit(reply: str, schema: type[T], usage: Usage) -> Generation[T]:
    """The reply as an instance of the schema, or what came instead, shortened.

    A reply that is more or less than one JSON document is repaired and counted: the last document in it that fits
    counts, the end of one that was cut off is made up. A schema may read plain words by a class method `from_words`.
    """
    try:
        return Generation(schema.model_validate_json(reply), usage + Usage(generations=1))
    except (ValueError, RecursionError):
        pass
    value = _repaired(reply[:LONGEST_REPLY], schema)
    if value is None:
        return Generation(None, usage + Usage(generations=1, misfits=1), misfit=reply[:200])
    return Generation(value, usage + Usage(generations=1, repairs=1))


def _repaired(reply: str, schema: type[T]) -> T | None:
    said = _THOUGHT.sub("", reply)
    said = said[said.casefold().rfind("</think>") + len("</think>") :] if "</think>" in said.casefold() else said
    fitting = [value for document in _documents(said) if (value := _valid(document, schema)) is not None]
    if fitting:
        return fitting[-1]
    from_words = getattr(schema, "from_words", None)
    value = from_words(said) if from_words else None
    return value if isinstance(value, schema) else None


def _documents(text: str) -> Iterator[Any]:
    """JSON documents in a text, in order; one that the text ends within is completed."""
    decoder, place = json.JSONDecoder(), 0
    for _ in range(MOST_STARTS):
        start = _START.search(text, place)
        if not start:
            return
        try:
            document, place = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            place = start.end()
            try:
                document = from_json(text[start.start() :].rstrip("` \n"), allow_partial="trailing-strings")
            except (ValueError, RecursionError):
                continue
        yield document


def _valid(document: Any, schema: type[T]) -> T | None:
    """The document as it is, the only thing within it, or as the only field that the schema has."""
    tries = [document]
    if isinstance(document, dict) and len(document) == 1:
        tries += document.values()
    if isinstance(document, list) and len(schema.model_fields) == 1:
        tries.append({next(iter(schema.model_fields)): document})
    for one in tries:
        try:
            return schema.model_validate(one)
        except (ValueError, RecursionError):
            continue
    return None


def named_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema that a server is asked to hold a reply to."""
    return schema.model_json_schema() | {"additionalProperties": False}
