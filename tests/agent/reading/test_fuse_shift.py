"""The shift of the statistics and the shift that a model read become one, with one probability."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.agent.reading.fuse_shift import (
    HIGHEST,
    LEAST_NAMED,
    LOWEST,
    ShiftFusion,
    fuse_shift,
    log_odds,
    probability_of_any,
)
from whimbrel.agent.reading.read_person import Reading, ReadShift
from whimbrel.agent.schema.results import CitedEvent, Shift
from whimbrel.agent.shift.predict import Prediction
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.records import Interaction, Item

SAY = load_phrases("en")
EVEN = ShiftFusion(statistics=0.5, model=0.5)
NO_TEST = "The counts of the events alone do not show this shift."
LOG = [
    Interaction(user_id="u", item_id=f"i{number}", title=f"Thing {number}", topics=("Garden",), time=1e9 + number)
    for number in range(8)
]
CITED = CitedEvent.of(LOG[0])
SHIFT = Shift(
    kind="temporal",
    from_topics=("Bread",),
    to_topics=("Tea", "Jam"),
    confidence=0.6,
    evidence=(CITED,),
    reason="Lately mostly tea.",
)
MOVED = Prediction(SHIFT, topics={"Tea": 0.6, "Jam": 0.2, "Garden": 0.2}, p_topic_change=0.4)
STAYS = Prediction(
    Shift(kind="none", to_topics=("Tea",), confidence=0.7, reason="No change."),
    topics={"Tea": 0.5, "Garden": 0.4, "Jam": 0.1},
    p_topic_change=0.3,
)


def reading(**fields: Any) -> Reading:
    shift = ReadShift(
        "situational", ("Tea",), ("Garden",), 0.9, (LOG[2], LOG[5]), "The latest events are garden things."
    )
    return Reading(shift=replace(shift, **fields))


def fused(prediction: Prediction, read: Reading, *, wished: bool = False, fusion: ShiftFusion = EVEN) -> Prediction:
    return fuse_shift(prediction, read, wished=wished, say=SAY, fusion=fusion)


def test_without_a_reading_the_prediction_stays() -> None:
    for prediction in (MOVED, STAYS):
        assert fused(prediction, Reading()) is prediction


def test_where_both_see_a_shift_its_kind_stays_and_the_shared_topics_come_first() -> None:
    found = fused(MOVED, reading(to_topics=("Jam", "Garden"), probability=0.8))
    assert (found.shift.kind, found.shift.from_topics) == ("temporal", ("Bread",))
    assert found.shift.to_topics == ("Jam", "Tea")
    # Equal weights give the square root of the product of both odds: 1.5 and 4.
    odds = (1.5 * 4) ** 0.5
    assert found.shift.confidence == pytest.approx(odds / (1 + odds), abs=1e-3)
    assert (found.shift.reason, found.shift.evidence) == (SHIFT.reason, SHIFT.evidence)
    assert (found.topics, found.p_topic_change) == (MOVED.topics, MOVED.p_topic_change)


def test_a_model_that_expects_other_topics_lowers_the_confidence_and_is_quoted() -> None:
    found = fused(MOVED, reading(to_topics=("Garden",), probability=0.8))
    assert (found.shift.kind, found.shift.to_topics) == ("temporal", ("Tea", "Jam"))
    odds = (1.5 / 4) ** 0.5  # 0.8 for other topics is 0.2 for these
    assert found.shift.confidence == pytest.approx(odds / (1 + odds), abs=1e-3)
    assert found.shift.confidence < SHIFT.confidence
    assert found.shift.reason == f"{SHIFT.reason} The language model rather expects Garden (80%)."


def test_the_share_of_the_model_is_quoted_as_it_stated_it() -> None:
    for stated in (0.29, 0.57, 0.58):  # times 100 these are a little less than whole numbers
        assert f"({stated * 100:.0f}%)" in fused(MOVED, reading(probability=stated)).shift.reason


def test_a_shift_that_only_the_model_sees_is_named_if_it_is_likely_enough() -> None:
    shift = fused(STAYS, reading()).shift
    assert (shift.kind, shift.from_topics, shift.to_topics) == ("situational", ("Tea",), ("Garden",))
    odds = (0.4 / 0.6 * 9) ** 0.5
    assert shift.confidence == pytest.approx(odds / (1 + odds), abs=1e-3)
    assert shift.reason == f"The latest events are garden things. {NO_TEST}"


def test_a_shift_that_only_the_model_sees_is_not_named_below_the_threshold() -> None:
    odds = (0.4 / 0.6 * 0.5 / 0.5) ** 0.5
    assert odds / (1 + odds) < LEAST_NAMED
    shift = fused(STAYS, reading(probability=0.5)).shift
    expected = f"{STAYS.shift.reason} The language model rather expects Garden (50%)."
    assert shift == STAYS.shift.model_copy(update={"reason": expected})


@pytest.mark.parametrize(("probability", "kind"), [(0.61, "situational"), (0.59, "none")])
def test_the_threshold_is_that_of_the_fused_probability(probability: float, kind: str) -> None:
    # The statistics say 0.4, so with equal weights the model has to say 0.6 for a fused 0.5.
    assert fused(STAYS, reading(probability=probability)).shift.kind == kind


def test_a_shift_that_the_model_cannot_give_a_reason_for_is_not_named() -> None:
    shift = fused(STAYS, reading(why="")).shift
    assert shift.kind == "none"
    assert shift.confidence == STAYS.shift.confidence
    assert shift.reason.endswith("The language model rather expects Garden (90%).")


@pytest.mark.parametrize("fields", [{"kind": "none"}, {"to_topics": ("Tea",), "probability": 0.1}])
def test_a_model_that_sees_no_other_topics_changes_nothing(fields: dict[str, Any]) -> None:
    assert fused(STAYS, reading(**fields)) == STAYS


def test_the_evidence_of_a_models_shift_are_logged_events_the_latest_first() -> None:
    cited = (*LOG[1:4], Item(item_id="x", title="Given without a log", time=2e9), *LOG[4:8])
    shift = fused(STAYS, reading(events=cited)).shift
    assert shift.evidence == tuple(CitedEvent.of(event) for event in reversed(LOG[3:8]))


def test_the_model_says_which_topics_a_wish_means() -> None:
    wish = Prediction(
        SHIFT.model_copy(update={"kind": "contextual", "from_topics": ("Bread", "Garden"), "confidence": 0.9}),
        topics=MOVED.topics,
    )
    shift = fused(wish, reading(to_topics=("Garden",), probability=0.1), wished=True).shift
    assert shift == wish.shift.model_copy(update={"to_topics": ("Garden",), "from_topics": ("Bread",)})
    assert fused(wish, Reading(), wished=True) is wish


def test_the_shipped_weights_are_used_where_none_are_given() -> None:
    shipped = fuse_shift(STAYS, reading(), wished=False, say=SAY)
    assert shipped == fused(STAYS, reading(), fusion=ShiftFusion.default())


def test_the_default_of_a_fusion_follows_the_statistics_alone() -> None:
    assert ShiftFusion().probability(0.3, 0.9) == pytest.approx(0.3)


def test_probabilities_of_topics_are_added_up_to_less_than_certainty() -> None:
    expected = {"Tea": 0.5, "Jam": 0.3, "Garden": 0.4}
    assert probability_of_any(("Tea", "Jam"), expected) == pytest.approx(0.8)
    assert probability_of_any(("Tea", "Jam", "Garden"), expected) == HIGHEST
    assert probability_of_any(("Rakes",), expected) == 0


_probabilities = st.floats(0, 1)
_weights = st.floats(0, 20)


@given(st.floats(-20, 20), _weights, _weights, st.tuples(_probabilities, _probabilities), _probabilities)
def test_a_fused_probability_never_falls_where_either_part_rises(
    bias: float, statistics: float, model: float, pair: tuple[float, float], other: float
) -> None:
    fusion = ShiftFusion(bias=bias, statistics=statistics, model=model)
    low, high = sorted(pair)
    assert 0 <= fusion.probability(low, other) <= fusion.probability(high, other) <= 1
    assert 0 <= fusion.probability(other, low) <= fusion.probability(other, high) <= 1


@given(_probabilities, _probabilities)
def test_fusing_with_even_weights_lies_between_both_parts(first: float, second: float) -> None:
    low, high = sorted(min(max(value, LOWEST), HIGHEST) for value in (first, second))
    assert low - 1e-9 <= EVEN.probability(first, second) <= high + 1e-9
    assert log_odds(1 - low) == pytest.approx(-log_odds(low))


@given(_probabilities, st.sampled_from(["none", "temporal", "situational", "contextual"]), st.booleans())
def test_any_stated_probability_gives_a_valid_shift(probability: float, kind: str, wished: bool) -> None:
    for prediction in (MOVED, STAYS):
        for topics in (("Tea",), ("Garden", "Tea", "Jam")):
            read = reading(probability=probability, kind=kind, to_topics=topics)
            shift = fused(prediction, read, wished=wished).shift
            assert Shift.model_validate(shift.model_dump()) == shift
            assert len(shift.to_topics) <= 3
