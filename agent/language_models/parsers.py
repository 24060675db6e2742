"""Parsing of a model's reply into an instance of a schema.

Four faults are tolerated and counted as a repair: thoughts, code fences, prose around the document, and a missing end.
A reply with any other fault is discarded, and the reason is given in words. A library that repairs any text, such as
json-repair, would accept too much: it turns prose into values and completes words that were cut off (`[1, tru` becomes
`[1, "tru"]`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from whimbrel.agent.language_models.protocol import Generation, T, Usage

MAX_CHARACTERS = 100_000
"""A repair reads no more than this many characters of a reply."""
MAX_STARTS = 50
"""At most this many brackets are tried as the start of a document. A reply full of brackets would take long."""

LOOP_CHARACTERS = 400
"""A reply whose last characters, as many as this, repeat the same words is a loop."""
MAX_LOOP_CHARACTERS = 80
"""The longest text whose repetition counts as a loop. It fits at least five times into LOOP_CHARACTERS."""

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHT = re.compile("</think>", re.IGNORECASE)
_START = re.compile(r"[{\[]")


def parse_reply(reply: str, schema: type[T], usage: Usage) -> Generation[T]:
    """Return a reply as an instance of a schema.

    A reply that is not exactly one JSON document is repaired. The last document that fits is taken. A document that
    was cut off is completed. A schema with a class method `from_words` can also read plain text.

    Args:
        reply: What the model wrote.
        schema: The pydantic model that the reply must fit.
        usage: What the reply cost. The generation is added to it, and the repair or misfit if there was one.

    Returns:
        The generation. If the reply does not fit, it has no value and says why, with the start of the reply.
    """
    try:
        return Generation(schema.model_validate_json(reply), usage + Usage(generations=1))
    except (ValueError, RecursionError):
        pass
    value = _repair(reply[:MAX_CHARACTERS], schema)
    if value is None:
        return Generation(
            None, usage + Usage(generations=1, misfits=1), misfit=_describe(reply[:MAX_CHARACTERS], schema)
        )
    return Generation(value, usage + Usage(generations=1, repairs=1))


def without_thoughts(reply: str) -> str:
    """Return a reply without the thoughts that the model wrote before it.

    Example:
        >>> without_thoughts("<think>Blue or red?</think>blue")
        'blue'
    """
    # a closing tag may lack its opening tag, which some chat templates write themselves
    return _END_OF_THOUGHT.split(_THOUGHT.sub("", reply))[-1]


def _describe(reply: str, schema: type[BaseModel]) -> str:
    """Return why a reply does not fit a schema, with the start of the reply."""
    answer = without_thoughts(reply)
    if not reply.strip():
        return "the model wrote an empty reply"
    start = f": {reply[:120]!r}"
    if not answer.strip():
        return f"the model wrote thoughts and no reply{start}"
    end = answer[-LOOP_CHARACTERS:]
    # a text that equals itself when it is shifted repeats itself
    if len(end) == LOOP_CHARACTERS and any(end[n:] == end[:-n] for n in range(1, MAX_LOOP_CHARACTERS + 1)):
        return f"the model repeated the same words without end{start}"
    document = next(reversed(list(_documents(answer))), None)
    if document is None:
        return f"the model wrote no JSON document{start}"
    if not isinstance(document, dict):
        return f"the model wrote a list instead of an object{start}"
    try:
        schema.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field_name = ".".join(map(str, fault["loc"]))
        return f"the model's JSON document does not fit ({field_name}: {fault['msg']}){start}"
    except RecursionError:
        pass
    return f"the model's JSON document does not fit{start}"


def _repair(reply: str, schema: type[T]) -> T | None:
    answer = without_thoughts(reply)
    values = [value for document in _documents(answer) if (value := _validate(document, schema)) is not None]
    if values:  # the last one counts: models first quote an example or think aloud
        return values[-1]
    from_words = getattr(schema, "from_words", None)
    value = from_words(answer) if from_words else None
    return value if isinstance(value, schema) else None


def _documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents in a text, in order. A document that the text cuts off is completed."""
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
            except (ValueError, TypeError, RecursionError):  # TypeError: the text holds half of a character
                continue
        yield document


def _validate(document: Any, schema: type[T]) -> T | None:
    """Return an instance of the schema, or None if the document does not fit.

    Three readings are tried: the document itself, its only value, and the document as the schema's only field.
    """
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
    """Return the JSON schema that a server's replies must fit. It allows no other fields.

    Docstrings, titles and defaults are left out. The prompt says what the fields mean, and servers count the schema's
    tokens.
    """
    return cast("dict[str, Any]", _strict(schema.model_json_schema()))


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    # The names of fields stand one level below `properties` and `$defs`. They may themselves be "title".
    strict = {
        key: {n: _strict(field) for n, field in value.items()} if key in ("properties", "$defs") else _strict(value)
        for key, value in node.items()
        if key not in ("description", "title", "default")
    }
    if "properties" in strict:
        strict |= {"additionalProperties": False, "required": list(strict["properties"])}
    return strict
