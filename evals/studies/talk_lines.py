"""Measure how well lines of conversations are read, on lines that people who did not know the rules wrote.

`evals/data/talk_lines.jsonl` holds lines in three languages with what they mean in the catalogue of tau-Rec. Its first
document is the item on the screen; the others are `TalkLine`s.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from whimbrel.agent.chat.lexicon import concepts
from whimbrel.agent.chat.model_reader import ModelReader
from whimbrel.agent.chat.reading import Act, LineReading, Question, Scene
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.evals.metrics.intervals import interval
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.conditions import Condition
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

LANGUAGES = {"en": "English", "de": "German", "zh": "Chinese"}
SETS = {1: "first set", 2: "second set"}
_SAME = {"<": "<=", ">": ">="}
"""Bounds that count as the same."""


class Asked(BaseModel):
    """The question before a line."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    field: str


class Meaning(BaseModel):
    """What a line means. Several acts may be right."""

    model_config = ConfigDict(extra="forbid")

    act: tuple[Act, ...]
    conditions: tuple[Condition, ...] = ()
    refused: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    answer: str = ""


class TalkLine(BaseModel):
    """A line, what was on the screen and asked before it, and what it means.

    The rules were mended after a look at the first set. The second set was written by somebody else afterwards.
    """

    model_config = ConfigDict(extra="forbid")

    lang: str
    line: str
    question: Asked | None = None
    listed: int = 0
    refused: tuple[str, ...] = ()
    expect: Meaning
    set: int = 1


@dataclass(frozen=True)
class Outcome:
    """Whether the act and the change of the state were read correctly."""

    line: TalkLine
    act: bool
    state: bool


def talk_lines() -> tuple[Item, list[TalkLine]]:
    """Return the item on the screen and the lines that ship with the package."""
    text = resources.files("whimbrel.evals.data").joinpath("talk_lines.jsonl").read_text("utf-8")
    first, *others = text.splitlines()
    return Item.model_validate(json.loads(first)["item"]), [TalkLine.model_validate_json(line) for line in others]


def measure_lines(
    catalogue: Sequence[Item], *, model: ModelAccess = NO_MODEL, progress: Progress | None = None
) -> dict[str, Any]:
    """Read all lines and compare each reading with what the line means.

    Args:
        catalogue: The items of tau-Rec.
        model: The model that reads. Without one, the rules read.
        progress: Where progress is shown.
    """
    progress = progress or NoProgress()
    item, lines = talk_lines()
    vocabulary = Vocabulary(FieldTable(catalogue, [one.item_id for one in catalogue]))
    read = ModelReader(model)
    progress.step("Reading lines", len(lines))
    outcomes: list[Outcome] = []
    for line in lines:
        reading = read(line.line, _scene(line, item, catalogue, vocabulary))
        outcomes.append(Outcome(line, reading.act in line.expect.act, _is_right(reading, line)))
        progress.advance(1)
    document = {name: _figures([one for one in outcomes if one.line.lang == key]) for key, name in LANGUAGES.items()}
    return {
        "all": _figures(outcomes),
        **document,
        **{name: _figures([one for one in outcomes if one.line.set == key]) for key, name in SETS.items()},
        "reader": {
            "calls": read.usage.llm_calls,
            "prompt_tokens": read.usage.prompt_tokens,
            "cached_tokens": read.usage.cached_tokens,
        },
        "wrong": [one.line.line for one in outcomes if not (one.act and one.state)],
    }


def _scene(line: TalkLine, item: Item, catalogue: Sequence[Item], vocabulary: Vocabulary) -> Scene:
    listed = [item, *catalogue][: line.listed]
    question = None
    if line.question:
        say = load_phrases("en")
        concept = vocabulary.fields[line.question.field].concept
        text = say.chat.gate.format(values="R") if line.question.kind == "gate" else concepts()[concept].question["en"]
        question = Question(kind=line.question.kind, field=line.question.field, text=text)
    focus = (0,) if len(listed) == 1 else ()
    return Scene(vocabulary, listed, focus, question, line.refused, has_wishes=bool(question or line.refused))


def _is_right(reading: LineReading, line: TalkLine) -> bool:
    """Return whether a reading changes the state as the line means it."""
    expected = line.expect
    wanted = {_key(one) for one in expected.conditions}
    negative = [one for one in reading.conditions if one.op.startswith(("not", "!"))]
    read = {_key(one) for one in reading.conditions if one not in negative}
    values = {str(value).casefold() for one in negative for value in _values(one)}
    refused = {value.casefold() for value in reading.refused} | values
    is_gate = line.question is not None and line.question.kind == "gate"
    answers = {"any": {"any", "no"}, "yes": {"yes"}, "no": {"no"}}.get(expected.answer)
    return (
        wanted == read
        and refused == {value.casefold() for value in expected.refused}
        and {value.casefold() for value in expected.allowed} <= {value.casefold() for value in reading.allowed}
        and (answers is None or reading.answer in answers or (expected.answer != "any" and not is_gate))
    )


def _key(condition: Condition) -> tuple[str, str, object]:
    values = _values(condition)
    value = tuple(sorted(map(str, values))) if len(values) > 1 else values[0]
    return condition.field, _SAME.get(condition.op, condition.op), value


def _values(condition: Condition) -> tuple[Any, ...]:
    return condition.value if isinstance(condition.value, tuple) else (condition.value,)


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    both = np.array([one.act and one.state for one in outcomes], dtype=np.float64)
    share = interval(both, np.arange(len(both)), seed=0)
    return {
        "n": len(outcomes),
        "right": share.value,
        "right_ci": [share.low, share.high],
        "act": float(np.mean([one.act for one in outcomes])),
        "state": float(np.mean([one.state for one in outcomes])),
    }


def lines_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_lines` as a Markdown table."""
    lines = ["| lines | n | act and state right | act | state |", "|---" * 5 + "|"]
    for name in ("all", *LANGUAGES.values(), *SETS.values()):
        row = document[name]
        low, high = row["right_ci"]
        share = f"{row['right']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| {name} | {row['n']} | {share} | {row['act']:.3f} | {row['state']:.3f} |")
    return "\n".join(lines)
