"""Read cases to evaluate, one JSON document per line. A wrong line is reported by its number, and reading goes on.

A case for ranking:
`{"case_id", "history": [item], "context": {}, "candidates": [item], "relevant": [item_id]}`
A case for boundaries:
`{"case_id", "items": [item], "switch": [true, false, null]}`

A case may have a `user_id`. Without one, each case counts as a separate user. An item needs `item_id` and `title`. It
may have `topics`, `text`, `time`, `price` and `image`. Other keys are ignored.
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
from whimbrel.tools.records import LONGEST_TITLE, Event, Interaction, Item, Occurrence
from whimbrel.tools.timestamps import parse_time

_OPTIONAL_FIELDS = ("topics", "text", "time", "price", "image")


@dataclass(frozen=True)
class BlindCase:
    """What a system is shown of a case: everything except what is relevant.

    Attributes:
        case_id: The id of the case.
        user_id: The id of the user. The default is the id of the case.
        history: The events before the case, in order.
        candidates: The items to rank. A case on the whole catalogue has all items of the catalogue.
        context: The situation.
        met: For a case on the whole catalogue, the ids of items that the user interacted with before. They are left
            out of the ranking, whatever their score. None for other cases.
        at: The time of the case in Unix seconds; None if it is unknown.
    """

    case_id: str
    user_id: str
    history: tuple[Item, ...]
    candidates: Sequence[Item]
    context: dict[str, Any] = field(default_factory=dict)
    met: frozenset[str] | None = None
    at: float | None = None


@dataclass(frozen=True)
class Case:
    """A case with the correct answer, which only metrics read.

    `relevant` holds ids of candidates. For a case on the whole catalogue, it may also hold ids of items that the
    catalogue did not have yet.
    """

    blind: BlindCase
    relevant: tuple[str, ...]


@dataclass(frozen=True)
class BoundaryCase:
    """A session. `switch[i]` says whether the intent changes between items i and i + 1; None if that is unknown."""

    case_id: str
    user_id: str
    items: tuple[Item, ...]
    switch: tuple[bool | None, ...]


@dataclass(frozen=True)
class Problem:
    """A line that is not a valid case, with the reason."""

    line: int
    case_id: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}{f' (case {self.case_id!r})' if self.case_id else ''}: {self.reason}"


C = TypeVar("C", Case, BoundaryCase)


def read_cases(path: str | Path, catalogue: Sequence[Item] = ()) -> Iterator[Case | Problem]:
    """Read cases for ranking from a file, plain or gzipped.

    Args:
        path: The file.
        catalogue: The candidates of cases that have `"candidates": "catalogue"`.

    Raises:
        DataError: The file cannot be read.
    """
    for line, document in _documents(Path(path)):
        if isinstance(document, Problem):
            yield document
        else:
            yield _checked(line, document, lambda document: _case(document, catalogue))


def read_boundary_cases(path: str | Path) -> Iterator[BoundaryCase | Problem]:
    """Read cases for boundaries from a file, plain or gzipped.

    Raises:
        DataError: The file cannot be read.
    """
    for line, document in _documents(Path(path)):
        yield document if isinstance(document, Problem) else _checked(line, document, _boundary_case)


def _checked(line: int, document: dict[str, Any], read: Any) -> Any:
    try:
        return read(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field_name = ".".join(map(str, first["loc"]))
        return Problem(
            line, _case_id(document), f"an item's {field_name}: {first['msg'].removeprefix('Value error, ')}"
        )
    except ValueError as error:
        return Problem(line, _case_id(document), str(error))


def _case_id(document: dict[str, Any]) -> str:
    return str(document.get("case_id") or "")[:80]


def _documents(path: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Yield each line with its number, as a document or as a problem. A repeated case id is a problem."""
    case_ids: set[str] = set()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    document = json.loads(line)
                except (ValueError, RecursionError) as error:  # JSON that is nested too deep raises RecursionError
                    yield number, Problem(number, "", f"not JSON: {error}")
                    continue
                if not isinstance(document, dict):
                    yield number, Problem(number, "", "not a JSON object")
                elif not isinstance(document.get("case_id"), str | int) or document["case_id"] == "":
                    yield number, Problem(number, "", "no case_id")
                elif str(document["case_id"]) in case_ids:
                    yield number, Problem(number, _case_id(document), "this case_id is in an earlier line")
                else:
                    case_ids.add(str(document["case_id"]))
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
        raise ValueError("relevant is not a list of item ids")
    if not whole:
        ids = {item.item_id for item in candidates}
        if len(ids) < len(candidates):
            raise ValueError("two candidates have the same item_id")
        absent = [str(item_id) for item_id in relevant if str(item_id) not in ids]
        if absent:
            raise ValueError(f"relevant item {absent[0]!r} is not a candidate")
    context = document.get("context") or {}
    if not isinstance(context, dict):
        raise ValueError("context is not a JSON object")
    # Other people's files may have nested documents in the context. These are not part of the situation.
    context = {str(key): value for key, value in context.items() if _is_situation(value)}
    as_context(context)
    met = document.get("met") or []
    if not isinstance(met, list):
        raise ValueError("met is not a list of item ids")
    blind = BlindCase(
        **_names(document),
        history=_history(document),
        candidates=candidates,
        context=context,
        met=frozenset(map(str, met)) if whole else None,
        at=None if document.get("at") is None else parse_time(document["at"]),
    )
    return Case(blind, tuple(sorted({str(item_id) for item_id in relevant})))


def _is_situation(value: object) -> bool:
    """Return whether a context may hold the value: a text, a number, or a list of texts (as for `avoid`)."""
    texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return texts or isinstance(value, str | int | float)


def _boundary_case(document: dict[str, Any]) -> BoundaryCase:
    items, switch = _items(document, "items"), document.get("switch")
    if len(items) < 2:
        raise ValueError("fewer than two items, so there are no neighbours")
    if not isinstance(switch, list) or not all(value is None or isinstance(value, bool) for value in switch):
        raise ValueError("switch is not a list of true, false and null")
    if len(switch) != len(items) - 1:
        raise ValueError(f"switch has {len(switch)} entries for {len(items)} items, expected {len(items) - 1}")
    return BoundaryCase(**_names(document), items=items, switch=tuple(switch))


def _names(document: dict[str, Any]) -> dict[str, str]:
    """Return the ids of the case and its user."""
    case_id = str(document["case_id"])
    names = {"case_id": case_id, "user_id": str(document.get("user_id") or case_id)}
    for name, value in names.items():
        _writable(name, value)
    return names


def _writable(name: str, value: str) -> None:
    """Raise a ValueError if the value cannot be written to a UTF-8 file."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character: {value!r}") from None


def _items(document: dict[str, Any], name: str) -> tuple[Item, ...]:
    given = document.get(name, [])
    if not isinstance(given, list):
        raise ValueError(f"{name} is not a list of items")
    return tuple(read_item(item) for item in given)


def _history(document: dict[str, Any]) -> tuple[Item, ...]:
    """Return the events of a history. An event with a time and any details is an `Interaction`, else an `Item`."""
    items, user_id = _items(document, "history"), _names(document)["user_id"]
    return tuple(_event(item, given, user_id) for item, given in zip(items, document.get("history", []), strict=True))


def _event(item: Item, given: dict[str, Any], user_id: str) -> Item:
    details = {name: given[name] for name in ("event", "rating", "context") if given.get(name) is not None}
    if item.time is None or not details:
        return item
    try:
        event = Event.model_validate({"user_id": "u", "item_id": "i", "time": item.time, **details})
    except ValidationError:  # in other people's files, these keys may mean something else
        return item
    occurrence = Occurrence(event.time, item.item_id, event.event, event.rating, event.context or None)
    return Interaction.join(user_id, occurrence, item)


def read_item(given: object) -> Item:
    """Return the item that a JSON document describes. A long title is cut.

    Raises:
        ValueError: The document is not a JSON object, has no id, or has a wrong field.
    """
    if not isinstance(given, dict):
        raise ValueError("an item is not a JSON object")
    item_id = given.get("item_id")
    if isinstance(item_id, bool) or not isinstance(item_id, str | int) or item_id == "":
        raise ValueError("an item has no item_id")
    _writable("item_id", str(item_id))
    title = given.get("title")
    # An id may be a title, which validation would change. The id is therefore set after validation.
    fields = {"item_id": "i", "title": title[:LONGEST_TITLE] if isinstance(title, str) else title}
    fields |= {name: given[name] for name in _OPTIONAL_FIELDS if given.get(name) not in (None, "")}
    return Item.model_validate(fields).model_copy(update={"item_id": str(item_id)})
