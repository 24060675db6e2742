"""What a model is capable of is measured by questions whose answers are known, with as few as are needed."""

from collections.abc import Sequence
from typing import Any

import pytest

from whimbrel.agent import Agent, Item, ScriptedModel
from whimbrel.agent.language_models.protocol import Generation, T
from whimbrel.agent.reading.tiers import CONTEXT_FOR_READING, KNOWN_LISTS, PERSON, TOPIC_SINCE, measure_ability, tier_of
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

SINCE = [number for number, event in enumerate(PERSON, 1) if TOPIC_SINCE in event.topics]
BEFORE = [number for number in range(1, len(PERSON) + 1) if number not in SINCE]
REPEATS = {"best": [{"option": number, "grade": 9} for number in range(1, 9)]}
NEXT = {known.next for known in KNOWN_LISTS}


def reading(events: list[int], *, phrases: Sequence[str] = ("books about toddlers",)) -> dict[str, Any]:
    interests = [{"name": "bringing up a baby", "events": events}, {"name": "crime novels", "events": BEFORE}]
    return {"now": "The person reads about babies.", "interests": interests, "phrases": list(phrases)}


def knowing(names: set[str]) -> Any:
    """Return a script that names the option among `names` first, and repeats the list if there is none."""

    def reply(messages: Sequence[Message]) -> dict[str, Any]:
        options = messages[-1]["content"].rpartition("<data>\n")[2].partition("\n</data>")[0].splitlines()
        known = [number for number, line in enumerate(options, 1) if line.partition(". ")[2] in names]
        return {"best": [{"option": number, "grade": 8} for number in [*known, *range(1, 9)]]}

    return reply


def capable(read: Any, *, names: set[str] = NEXT, **settings: Any) -> ScriptedModel:
    return ScriptedModel({"OrderReply": knowing(names), "ReadReply": read}, **settings)


def unstated(model: ScriptedModel) -> ScriptedModel:
    """Return a model that does not say what it is capable of."""
    del model.tier
    return model


def test_the_obvious_option_stands_late_in_every_known_list() -> None:
    for known in KNOWN_LISTS:
        assert known.options.index(known.next) >= len(known.options) // 2
        assert len(set(known.options)) == 8


def test_a_model_that_repeats_the_list_only_fills_and_is_asked_once() -> None:
    model = ScriptedModel({"OrderReply": REPEATS, "ReadReply": reading(SINCE)})
    ability = measure_ability(model)
    assert (ability.tier, ability.right, ability.reads) == ("fills", 0, None)
    assert len(model.conversations) == ability.usage.llm_calls == 1


@pytest.mark.parametrize("reply", [{}, "I cannot order them.", {"best": []}])
def test_a_model_that_gives_no_order_only_fills(reply: Any) -> None:
    model = ScriptedModel({"OrderReply": reply, "ReadReply": reading(SINCE)})
    assert measure_ability(model).tier == "fills"
    assert len(model.conversations) == 1


@pytest.mark.parametrize("right", [1, 2])
def test_the_measurement_ends_at_the_first_list_that_is_wrong(right: int) -> None:
    model = capable(reading(SINCE), names={known.next for known in KNOWN_LISTS[:right]})
    ability = measure_ability(model)
    assert (ability.tier, ability.right, ability.reads) == ("fills", right, None)
    assert len(model.conversations) == right + 1


@pytest.mark.parametrize(
    "read",
    [
        {},
        "They read about babies.",
        reading(BEFORE),
        reading([BEFORE[-1], *SINCE]),
        reading([77]),
        reading(SINCE, phrases=[]),
        {"now": "The person reads about babies.", "phrases": ["books about toddlers"]},
    ],
)
def test_a_model_that_orders_but_reads_wrongly_orders(read: Any) -> None:
    model = capable(read)
    ability = measure_ability(model)
    assert (ability.tier, ability.right, ability.reads) == ("orders", 3, False)
    assert len(model.conversations) == ability.usage.llm_calls == 4


def test_a_model_that_sees_the_move_and_cites_the_right_events_reads() -> None:
    model = capable(reading(SINCE[1:]))
    ability = measure_ability(model)
    assert (ability.tier, ability.right, ability.reads) == ("reads", 3, True)
    assert len(model.conversations) == ability.usage.llm_calls == 4
    person = model.conversations[-1][-1]["content"]
    assert all(event.title in person for event in PERSON)


def test_a_context_too_small_for_a_person_is_not_asked_to_read_one() -> None:
    model = capable(reading(SINCE), context_tokens=CONTEXT_FOR_READING - 1)
    ability = measure_ability(model)
    assert (ability.tier, ability.reads) == ("orders", None)
    assert len(model.conversations) == 3


@pytest.mark.parametrize("stated", ["fills", "orders", "reads"])
def test_what_a_model_states_of_itself_wins_and_nothing_is_asked(stated: Any) -> None:
    for model in (capable(reading(SINCE), tier=stated), ScriptedModel({"OrderReply": REPEATS}, tier=stated)):
        assert tier_of(model) == stated
        assert model.conversations == []


def test_a_model_that_states_nothing_known_is_measured() -> None:
    assert tier_of(unstated(capable(reading(SINCE)))) == "reads"
    assert tier_of(unstated(capable(reading(BEFORE)))) == "orders"
    assert tier_of(unstated(ScriptedModel({"OrderReply": REPEATS}))) == "fills"
    assert tier_of(capable(reading(SINCE), tier="genius")) == "reads"  # type: ignore[arg-type]


class Failing(ScriptedModel):
    """A model that fails from the `first` conversation on."""

    def __init__(self, first: int) -> None:
        super().__init__({"OrderReply": knowing(NEXT), "ReadReply": reading(SINCE)})
        self.first = first
        del self.tier

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        if len(self.conversations) + 1 >= self.first:
            raise ModelError("nobody answers")
        return super().generate(conversations, schema=schema, max_tokens=max_tokens)


@pytest.mark.parametrize("first", [1, 2, 4])
def test_a_model_that_cannot_be_reached_has_no_tier(first: int) -> None:
    for measure in (tier_of, measure_ability):
        with pytest.raises(ModelError, match="nobody answers"):
            measure(Failing(first))
    assert tier_of(Failing(5)) == "reads"


def test_an_agent_measures_a_model_again_that_could_not_be_reached_before() -> None:
    model = Failing(1)
    agent = Agent(None, model)
    history = [Item(item_id="a", title="Tea")]
    agent.predict_shift(history)
    model.first = 10**6
    agent.predict_shift(history)
    assert [message["content"] for message in model.conversations[-1]] != []
    assert "read the log of one person" in model.conversations[-1][0]["content"]


def test_without_a_model_nothing_is_measured() -> None:
    assert tier_of(None) == "fills"
