"""Measure whether a model reads lines of a conversation, by a few lines whose meaning is known."""

from collections.abc import Callable
from dataclasses import dataclass

from whimbrel.agent.chat.line_reply import ask_about_line, checked
from whimbrel.agent.chat.reading import LineReading, Scene
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.prompts.phrases import Language
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable


@dataclass(frozen=True)
class KnownLine:
    """A line, and whether a reading of it is right."""

    line: str
    is_right: Callable[[LineReading], bool]


def _has(reading: LineReading, field: str, op: str, value: object) -> bool:
    return Condition.model_validate({"field": field, "op": op, "value": value}) in reading.conditions


KNOWN_LINES = (
    KnownLine(
        "I could do with a good laugh, two hours at the very most",
        lambda said: _has(said, "topics", "contains", "Comedy") and _has(said, "minutes", "<=", 120),
    ),
    KnownLine(
        "nothing that gives me nightmares, and from 2010 onwards",
        lambda said: "Horror" in said.refused and _has(said, "year", ">=", 2010),
    ),
    KnownLine("fine, we'll put that one on tonight", lambda said: said.act == "accept" and said.items == (0,)),
    KnownLine("my brother showed me that last month", lambda said: said.act == "known" and said.items == (0,)),
)
LEAST_RIGHT = 3
"""A model reads lines if it understands so many of the known ones."""
_ITEMS = tuple(
    Item(item_id=f"i{number}", title=title, topics=topics, fields={"minutes": minutes, "year": year})
    for number, (title, topics, minutes, year) in enumerate(
        [
            ("The Last Lighthouse", "Drama", 128, 2004),
            ("Uncle Bernie's Goat", "Comedy|Family", 97, 2016),
            ("House of Whispers", "Horror|Thriller", 101, 2011),
            ("Second Helping", "Comedy|Romance", 112, 1998),
        ]
    )
)


def reads_lines(llm: LanguageModel, language: Language = "en") -> bool:
    """Return whether a model reads at least `LEAST_RIGHT` of the known lines. It is asked until that is sure.

    A model of your own may say so itself, by an attribute `reads_lines`.

    Raises:
        ModelError: The model cannot be reached.
    """
    stated = getattr(llm, "reads_lines", None)
    if isinstance(stated, bool):
        return stated
    vocabulary = Vocabulary(FieldTable(_ITEMS, [item.item_id for item in _ITEMS]))
    scene = Scene(vocabulary, _ITEMS[:1], focus=(0,))
    wrong = 0
    for known in KNOWN_LINES:
        reply = ask_about_line(llm, known.line, scene, language).value
        wrong += reply is None or not known.is_right(checked(reply, scene))
        if wrong > len(KNOWN_LINES) - LEAST_RIGHT:
            return False
    return True
