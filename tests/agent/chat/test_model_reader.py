"""A language model reads lines: what it says is checked, and the rules read where it is not needed or fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.chat.answering import Answerer, Asked, is_supported
from whimbrel.agent.chat.line_ability import KNOWN_LINES, reads_lines
from whimbrel.agent.chat.line_reply import LineReply, checked, fields_words
from whimbrel.agent.chat.model_reader import ModelReader
from whimbrel.agent.chat.reading import LineReading, Question, Scene
from whimbrel.agent.chat.rules import read_line
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.scripted import ScriptedModel
from whimbrel.agent.toolbox import toolbox
from whimbrel.tools.conditions import Condition
from whimbrel.tools.errors import ModelError
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

AT = 1_600_000_000 + 34 * 86_400
FILMS = [
    Item(
        item_id="a", title="House of Whispers", topics="Horror", fields={"runtime": 101, "rated": "R", "on": ("Hulu",)}
    ),
    Item(item_id="b", title="Uncle Bernie's Goat", topics="Comedy", fields={"runtime": 97, "rated": "PG", "on": ()}),
    Item(item_id="c", title="Second Helping", topics="Comedy|Romance", fields={"runtime": 112, "rated": "PG-13"}),
]
VOCABULARY = Vocabulary(FieldTable(FILMS, [film.item_id for film in FILMS]))
SCENE = Scene(VOCABULARY, FILMS[:1], focus=(0,))


def read(reply: dict[str, Any], scene: Scene = SCENE) -> LineReading:
    return checked(LineReply.model_validate({"act": "want"} | reply), scene)


def reader(reply: dict[str, Any], *, tier: str = "reads") -> tuple[ModelReader, ScriptedModel]:
    model = ScriptedModel({"LineReply": reply}, tier=tier)  # type: ignore[arg-type]
    model.reads_lines = True  # type: ignore[attr-defined]
    return ModelReader(ModelAccess(model, tier=tier)), model  # type: ignore[arg-type]


def test_values_are_those_of_the_catalogue() -> None:
    said = read(
        {
            "conditions": [
                {"field": "Runtime", "op": "<=", "value": "100 minutes"},
                {"field": "topics", "op": "contains", "value": "comedy"},
                {"field": "rated", "op": "in", "value": ["pg", "PG-13", "X"]},
            ],
            "refused": ["scary"],
        }
    )
    assert said.conditions == (
        Condition(field="runtime", op="<=", value=100),
        Condition(field="topics", op="contains", value="Comedy"),
        Condition(field="rated", op="in", value=("PG", "PG-13")),
    )
    assert said.refused == ("Horror",)


@pytest.mark.parametrize(
    "reply",
    [
        {"conditions": [{"field": "price", "op": "<=", "value": 3}]},
        {"conditions": [{"field": "runtime", "op": "==", "value": "long"}]},
        {"conditions": [{"field": "rated", "op": "==", "value": "X"}]},
        {"items": [0, 2, 99]},
        {"answer": "yes"},
        {"count": 4000},
        {"wish": "\x1b[31m"},
        {"refused": ["", "x" * 500, "\x07"]},
    ],
)
def test_what_the_catalogue_or_the_screen_lacks_is_dropped(reply: dict[str, Any]) -> None:
    said = read(reply)
    assert not (said.conditions)
    assert not (said.refused)
    assert not (said.answer)
    assert not (said.k)
    assert not (said.items)
    assert all(wish.isprintable() for wish in said.wants)


def test_any_at_a_gate_is_a_yes() -> None:
    gate = Scene(VOCABULARY, question=Question(kind="gate", field="rated", text="May I show R?"))
    assert read({"act": "narrow", "answer": "any"}, gate).answer == "yes"


def test_a_capable_model_leads_and_a_small_one_fills_gaps() -> None:
    reply = {"act": "narrow", "conditions": [{"field": "runtime", "op": "<=", "value": 99}], "refused": ["Horror"]}
    capable, _ = reader(reply)
    assert capable("a gentle thing for the aunts, nothing gory", SCENE).conditions == read(reply).conditions
    small, _ = reader(reply, tier="fills")
    filled = small("comedy, gentle, for the aunts", SCENE)
    assert filled.conditions == (Condition(field="topics", op="contains", value="Comedy"), *read(reply).conditions)


@pytest.mark.parametrize(("line", "tier"), [("yes please", "reads"), ("a comedy under 100 minutes", "fills")])
def test_a_line_that_the_rules_understand_needs_no_model(line: str, tier: str) -> None:
    read_by, model = reader({"act": "leave"}, tier=tier)
    assert read_by(line, SCENE) == read_line(line, SCENE)
    assert not model.conversations


@pytest.mark.parametrize("reply", [{"act": "dance"}, {"act": None}, {}, "no JSON", {"act": "want", "conditions": 7}])
def test_a_reply_that_does_not_fit_leaves_the_line_to_the_rules(reply: Any) -> None:
    read_by, _ = reader(reply)
    line = "something gentle for the aunts, no horror at all"
    assert read_by(line, SCENE) == read_line(line, SCENE)


def test_a_model_that_fails_leaves_the_line_to_the_rules() -> None:
    class Broken(ScriptedModel):
        def generate(self, *_: Any, **__: Any) -> Any:
            raise ModelError("no such host")

    read_by = ModelReader(ModelAccess(Broken(tier="reads"), tier="reads"))
    line = "something gentle for the aunts, no horror at all"
    assert read_by(line, SCENE) == read_line(line, SCENE)
    assert read_by.failure == "no such host"


def test_a_model_reads_lines_if_it_reads_the_known_ones() -> None:
    right = [
        {
            "act": "want",
            "conditions": [
                {"field": "topics", "op": "contains", "value": "Comedy"},
                {"field": "minutes", "op": "<=", "value": 120},
            ],
        },
        {"act": "exclude", "refused": ["Horror"], "conditions": [{"field": "year", "op": ">=", "value": 2010}]},
        {"act": "accept", "items": [1]},
        {"act": "known"},
    ]

    def scripted(wrong: int) -> ScriptedModel:
        replies = iter([*right[: len(right) - wrong], *[{"act": "unclear"}] * wrong])
        return ScriptedModel({"LineReply": lambda messages: next(replies)})

    assert len(KNOWN_LINES) == len(right)
    assert [reads_lines(scripted(wrong)) for wrong in (0, 1, 2)] == [True, True, False]


def test_the_prompt_names_fields_values_and_ranges() -> None:
    words = fields_words(VOCABULARY)
    assert "runtime (number): 97 to 112" in words
    assert "topics (list): Comedy, Horror, Romance" in words


# Answers with tools.


@pytest.fixture(scope="module")
def agent(shop: Path) -> Iterator[Agent]:
    with Agent.open(shop, llm="none") as agent:
        yield agent


def answerer(agent: Agent, *steps: dict[str, Any]) -> tuple[Answerer, ScriptedModel]:
    replies = iter(steps)
    model = ScriptedModel({"Step": lambda messages: next(replies)}, tier="reads", context_tokens=8000)
    return Answerer(ModelAccess(model, tier="reads"), toolbox(agent, "u1", AT)), model


ASKED = Asked("is it any good for beginners?", "garden", "Garden hose (Garden)\nprice: 12.50", "The sheet.")


def test_an_answer_uses_tools_and_says_what_they_returned(agent: Agent) -> None:
    said = "People who bought it like gardening."
    answer, model = answerer(agent, {"step": "history", "count": 3}, {"step": "say", "words": said})
    assert answer(ASKED) == said
    last = model.conversations[-1][-1]["content"]
    assert last.startswith("Result of history")
    assert "Rake" in last
    assert "Garden hose" in model.conversations[0][0]["content"]
    assert answer.usage.llm_calls == 2


@pytest.mark.parametrize(
    "words",
    [
        "It costs 99 euros.",
        "See https://x.example",
        "They call it \u201cThe Best Hose\u201d.",
        "",
        "x" * 2000,
        "a\x1b[1m",
    ],
)
def test_an_answer_that_says_what_was_not_given_is_replaced(agent: Agent, words: str) -> None:
    answer, _ = answerer(agent, {"step": "say", "words": words})
    assert answer(ASKED) == "The sheet."


def test_an_answer_ends_after_a_few_calls(agent: Agent) -> None:
    answer, model = answerer(agent, *[{"step": "history", "count": 2}] * 20)
    answer(ASKED)
    assert len(model.conversations) <= 5


def test_numbers_and_quotations_must_be_given() -> None:
    assert is_supported("It costs 12.50, which is little.", ASKED.shown)
    assert not is_supported("It costs 13.", ASKED.shown)


def test_a_session_answers_in_the_models_words(agent: Agent) -> None:
    answer, _ = answerer(agent, {"step": "say", "words": "It waters the garden."})
    session = Session(lambda: agent, "u1", at=AT, k=3, answerer=lambda: answer)
    session.open()
    assert session.say("what is the first one about?").words == "It waters the garden."
