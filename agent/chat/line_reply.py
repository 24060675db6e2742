"""Ask a model what a line means, in one call whose reply fits a schema, and check the reply.

Fields and values of a reply must be those of the catalogue, and items must be on the screen.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from whimbrel.agent.chat.amounts import MOST
from whimbrel.agent.chat.reading import ACTS, Act, Answer, LineReading, Scene
from whimbrel.agent.chat.rules import LONGEST_LINE
from whimbrel.agent.chat.vocabulary import FieldInfo, Vocabulary
from whimbrel.agent.language_models.protocol import Generation, LanguageModel
from whimbrel.agent.reading.events_shown import item_line
from whimbrel.prompts import load
from whimbrel.prompts.phrases import Language
from whimbrel.tools.clean import clean_text
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

REPLY_TOKENS = 220
MOST_VALUES = 24
"""Values of a field that the prompt lists, the most frequent first."""
MOST_FIELDS = 16
MOST_SHOWN = 10
LONGEST_WISH = 80  # characters
_NUMERIC = frozenset({"<", "<=", ">", ">=", "=="})


def _list(value: Any) -> Any:
    """Return a list. Models write null for an empty list, and a single entry without brackets."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _text(value: Any) -> Any:
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def _number(value: Any) -> Any:
    match = re.search(r"\d{1,3}", str(value))
    return int(match.group()) if match else 0


Texts = Annotated[list[Annotated[str, BeforeValidator(_text)]], BeforeValidator(_list), Field(max_length=12)]
Numbers = Annotated[list[Annotated[int, BeforeValidator(_number)]], BeforeValidator(_list), Field(max_length=12)]


class ConditionReply(BaseModel):
    """A condition of a reply, which may not fit the catalogue."""

    field: Annotated[str, BeforeValidator(_text)]
    op: Annotated[str, BeforeValidator(_text)]
    value: str | float | list[str | float]


class LineReply(BaseModel):
    """Reply of a model that was asked to read a line."""

    act: Act
    conditions: Annotated[list[ConditionReply], BeforeValidator(_list)] = Field(default_factory=list, max_length=8)
    refused: Texts = Field(default_factory=list)
    allowed: Texts = Field(default_factory=list)
    any: Texts = Field(default_factory=list)
    items: Numbers = Field(default_factory=list)
    answer: Annotated[str, BeforeValidator(_text)] = ""
    wish: Annotated[str, BeforeValidator(_text)] = ""
    count: Annotated[int, BeforeValidator(_number)] = 0
    more: bool = False


def ask_about_line(llm: LanguageModel, line: str, scene: Scene, language: Language) -> Generation[LineReply]:
    """Ask a model what a line means.

    Raises:
        ModelError: The model cannot be reached.
    """
    prompt = load("line", language=language)
    (reply,) = llm.generate([prompt.messages(_inputs(line, scene))], schema=LineReply, max_tokens=REPLY_TOKENS)
    return reply


def checked(reply: LineReply, scene: Scene) -> LineReading:
    """Return what a reply says and the catalogue and the screen support."""
    vocabulary = scene.vocabulary
    conditions, wishes = list[Condition](), [reply.wish]
    facts: dict[str, tuple[str, ...]] = {}
    question = scene.question
    for one in reply.conditions:
        found = _condition(one, vocabulary)
        fact = scene.fact_fields.get(found.field) if found else None
        if found is None:
            wishes += [str(value) for value in _list(one.value) if isinstance(value, str)]
        elif fact and (reply.act == "fact" or (question and question.kind == "fact" and question.field == found.field)):
            facts[fact] = tuple(str(value) for value in _list_of(found.value))
        else:
            conditions.append(found)
    positions = [number - 1 for number in reply.items if 1 <= number <= len(scene.listed)]
    if not positions and reply.act in {"accept", "reject", "known", "why", "about_item", "criticise"}:
        positions = list(scene.focus[:1])
    answer = reply.answer.casefold()
    wish = " ".join(part for part in (" ".join(wish.split()) for wish in wishes) if part.isprintable())[:LONGEST_WISH]
    return LineReading(
        act="fact" if facts else reply.act if reply.act in ACTS else "unclear",
        wants=(wish,) if any(character.isalpha() for character in wish) else (),
        conditions=tuple(dict.fromkeys(conditions)),
        refused=tuple(dict.fromkeys(_known(value, vocabulary) for value in reply.refused if _is_plain(value))),
        allowed=tuple(dict.fromkeys(_known(value, vocabulary) for value in reply.allowed if _is_plain(value))),
        dropped=tuple(info.name for name in reply.any if (info := _field(name, vocabulary))),
        items=tuple(dict.fromkeys(positions)),
        k=reply.count if 1 <= reply.count <= 50 else None,
        answer=_answer(answer, scene),
        facts=facts,
        acts=(reply.act,),
        is_more=reply.more,
        is_new_subject=reply.act == "subject",
    )


def _answer(text: str, scene: Scene) -> Answer:
    if scene.question is None or text not in {"yes", "no", "any"}:
        return ""
    return "yes" if text == "any" and scene.question.kind == "gate" else text  # type: ignore[return-value]


def _is_plain(value: str) -> bool:
    return 0 < len(value) <= LONGEST_WISH and value.isprintable()


def _known(value: str, vocabulary: Vocabulary) -> str:
    """Return a topic as the catalogue spells it, or the words as they are."""
    named = [one for one in vocabulary.values_in(value) if one.field == "topics"]
    return named[0].value if len(named) == 1 else value


def _field(name: str, vocabulary: Vocabulary) -> FieldInfo | None:
    plain = name.casefold().replace(" ", "_")
    return next((info for info in vocabulary.fields.values() if info.name.casefold() == plain), None)


def _condition(reply: ConditionReply, vocabulary: Vocabulary) -> Condition | None:
    """Return a condition that the catalogue supports; None if the field or the value is unknown."""
    info = _field(reply.field, vocabulary)
    if info is None:
        return None
    given = _list(reply.value)
    if info.kind in {"number", "date"}:
        numbers = [
            float(match.group()) for match in (re.search(r"-?\d+(?:\.\d+)?", str(one)) for one in given) if match
        ]
        op: Any = reply.op if reply.op in _NUMERIC else "=="
        return Condition(field=info.name, op=op, value=numbers[0]) if numbers and abs(numbers[0]) < MOST else None
    names = {value.casefold(): value for value in info.counts}
    values: list[str] = []
    for one in given:
        text = str(one).strip()
        named = [value.value for value in vocabulary.values_in(text, fields=[info.name])]
        known = names.get(text.casefold()) or (named[0] if len(named) == 1 else None)
        values += [known] if known else []
    if not values or (info.kind == "flag"):
        return None
    is_not = reply.op.startswith(("not", "!"))
    try:
        if info.kind == "list":
            if is_not:
                return Condition(field=info.name, op="not_contains", value=values[0])
            several = len(values) > 1
            value: Any = tuple(values) if several else values[0]
            return Condition(field=info.name, op="contains_any" if several else "contains", value=value)
        if len(values) > 1:
            return Condition(field=info.name, op="not_in" if is_not else "in", value=tuple(values))
        return Condition(field=info.name, op="!=" if is_not else "==", value=values[0])
    except ValidationError:
        return None


def _list_of(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _inputs(line: str, scene: Scene) -> Mapping[str, str]:
    return {
        "fields": fields_words(scene.vocabulary),
        "state": scene.said or "-",
        "listed": "\n".join(f"{n}. {_item_words(item)}" for n, item in enumerate(scene.listed[:MOST_SHOWN], 1)) or "-",
        "question": scene.question.text if scene.question else "-",
        "line": str(clean_text(line))[:LONGEST_LINE],
    }


def fields_words(vocabulary: Vocabulary) -> str:
    """Describe the fields of a catalogue for a prompt, one in a line, with values or the range of values."""
    named = sorted(vocabulary.fields.values(), key=lambda info: not info.concept and info.name != "topics")
    return "\n".join(_field_words(info) for info in named[:MOST_FIELDS]) or "-"


def _field_words(info: FieldInfo) -> str:
    if info.kind in {"number", "date"}:
        kind = "year" if info.kind == "date" else "number"
        return f"{info.name} ({kind}): {info.numbers[0]:g} to {info.numbers[-1]:g}, half below {info.quantile(0.5):g}"
    values = sorted(info.counts, key=lambda value: -info.counts[value])
    shown = ", ".join(value[:LONGEST_WISH] for value in values[:MOST_VALUES])
    return f"{info.name} ({info.kind}): {shown}{', ...' if len(values) > MOST_VALUES else ''}"


def _item_words(item: Item) -> str:
    facts = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in item.fields.items()
        if isinstance(value, float | str) and len(str(value)) <= LONGEST_WISH
    ]
    return ", ".join([item_line(item), *facts[:6]])
