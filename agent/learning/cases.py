"""Cases to evaluate: one JSON document a line, read in a stream, each wrong one named with its line.

A case of ranking is
`{"case_id", "history": [item], "context": {}, "candidates": [item], "relevant": [item_id]}`, one of boundaries
`{"case_id", "items": [item], "switch": [true, false, null]}`. `user_id` may say whose it is; else each case
is its own user. An item needs `item_id` and `title`; `topics`, `text`, `time`, `price` and `image` may be given; other
keys are passed over.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from whimbrel.agent.schema.context import as_context
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import LONGEST_TITLE, Item

_OPTIONAL = ("topics", "text", "time", "price", "image")


@dataclass(frozen=True)
class BlindCase:
    """What a system is shown of a case: everything but what is relevant.

    Of a whole catalogue, `candidates` are all its items, the same object for every case, and `met` are ids of those
    that the user met before: they are ranked nowhere, whatever their score.
    """

    case_id: str
    user_id: str
    history: tuple[Item, ...]
    candidates: Sequence[Item]
    context: dict[str, Any] = field(default_factory=dict)
    met: frozenset[str] | None = None


@dataclass(frozen=True)
class Case:
    """A case with its truth, which only metrics read: ids of candidates and, where they are a whole catalogue, of items
    that it did not hold yet."""

    blind: BlindCase
    relevant: tuple[str, ...]


@dataclass(frozen=True)
class BoundaryCase:
    """A session; `switch[i]` tells whether the intent changes between items i and i + 1, None where unknown."""

    case_id: str
    user_id: str
    items: tuple[Item, ...]
    switch: tuple[bool | None, ...]


@dataclass(frozen=True)
class Problem:
    """A line that holds no case."""

    line: int
    case_id: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}{f' (case {self.case_id!r})' if self.case_id else ''}: {self.reason}"


C = TypeVar("C", Case, BoundaryCase)


def read_cases(path: str | Path, catalogue: Sequence[Item] = ()) -> Iterator[Case | Problem]:
    """Cases of ranking in a file, plain or gzipped; `"candidates": "catalogue"` stands for all of the `catalogue`.

    Raises:
        DataError: the file cannot be read.
    """
    for line, document in _documents(Path(path)):
        if isinstance(document, Problem):
            yield document
        else:
            yield _checked(line, document, lambda document: _case(document, catalogue))


def read_boundary_cases(path: str | Path) -> Iterator[BoundaryCase | Problem]:
    """Cases of boundaries in a file; raises as `read_cases`."""
    for line, document in _documents(Path(path)):
        yield document if isinstance(document, Problem) else _checked(line, document, _boundary_case)


def _checked(line: int, document: dict[str, Any], read: Any) -> Any:
    try:
        return read(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return Problem(line, _name(document), f"an item's {place}: {first['msg'].removeprefix('Value error, ')}")
    except ValueError as error:
        return Problem(line, _name(document), str(error))


def _name(document: dict[str, Any]) -> str:
    return str(document.get("case_id") or "")[:80]


def _documents(path: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Lines as documents; case ids that were met before are problems."""
    met: set[str] = set()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    document = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield number, Problem(number, "", f"not JSON: {error}")
                    continue
                if not isinstance(document, dict):
                    yield number, Problem(number, "", "not a JSON object")
                elif not isinstance(document.get("case_id"), str | int) or document["case_id"] == "":
                    yield number, Problem(number, "", "no case_id")
                elif str(document["case_id"]) in met:
                    yield number, Problem(number, _name(document), "this case_id was there before")
                else:
                    met.add(str(document["case_id"]))
                    yield number, document
    except (OSError, EOFError) as error:
        raise DataError(f"cases {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _case(document: dict[str, Any], catalogue: Sequence[Item]) -> Case:
    whole = document.get("candidates") == "catalogue"
    candidates = catalogue if whole else _items(document, "candidates")
    if not candidates:
        raise ValueError("no candidates")
    relevant = document.get("relevant")
    if not isinstance(relevant, list):
        raise ValueError("relevant is no list of item ids")
    if not whole:
        ids = {item.item_id for item in candidates}
        if len(ids) < len(candidates):
            raise ValueError("two candidates have one item_id")
        absent = [str(item_id) for item_id in relevant if str(item_id) not in ids]
        if absent:
            raise ValueError(f"relevant item {absent[0]!r} is no candidate")
    context = document.get("context") or {}
    if not isinstance(context, dict):
        raise ValueError("context is no JSON object")
    context = {str(key): value for key, value in context.items() if isinstance(value, str | int | float)}
    as_context(context)
    met = document.get("met") or []
    if not isinstance(met, list):
        raise ValueError("met is no list of item ids")
    blind = BlindCase(
        **_names(document),
        history=_items(document, "history"),
        candidates=candidates,
        context=context,
        met=frozenset(map(str, met)) if whole else None,
    )
    return Case(blind, tuple(sorted({str(item_id) for item_id in relevant})))


def _boundary_case(document: dict[str, Any]) -> BoundaryCase:
    items, switch = _items(document, "items"), document.get("switch")
    if len(items) < 2:
        raise ValueError("fewer than two items, so no neighbours")
    if not isinstance(switch, list) or not all(value is None or isinstance(value, bool) for value in switch):
        raise ValueError("switch is no list of true, false and null")
    if len(switch) != len(items) - 1:
        raise ValueError(f"switch has {len(switch)} entries for {len(items)} items, expected {len(items) - 1}")
    return BoundaryCase(**_names(document), items=items, switch=tuple(switch))


def _names(document: dict[str, Any]) -> dict[str, str]:
    """Whose case it is, and its id."""
    case_id = str(document["case_id"])
    names = {"case_id": case_id, "user_id": str(document.get("user_id") or case_id)}
    for name, value in names.items():
        _writable(name, value)
    return names


def _writable(name: str, value: str) -> None:
    """Raises: ValueError: what no file can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character: {value!r}") from None


def _items(document: dict[str, Any], name: str) -> tuple[Item, ...]:
    given = document.get(name, [])
    if not isinstance(given, list):
        raise ValueError(f"{name} is no list of items")
    return tuple(read_item(item) for item in given)


def read_item(given: object) -> Item:
    """An item of a case. Its id is kept to the letter (an id may be a title), a long title is cut.

    Raises:
        ValueError: no JSON object, no id, or a field is wrong.
    """
    if not isinstance(given, dict):
        raise ValueError("an item is no JSON object")
    item_id = given.get("item_id")
    if isinstance(item_id, bool) or not isinstance(item_id, str | int) or item_id == "":
        raise ValueError("an item has no item_id")
    _writable("item_id", str(item_id))
    title = given.get("title")
    fields = {"item_id": "i", "title": title[:LONGEST_TITLE] if isinstance(title, str) else title}
    fields |= {name: given[name] for name in _OPTIONAL if given.get(name) not in (None, "")}
    return Item.model_validate(fields).model_copy(update={"item_id": str(item_id)})
