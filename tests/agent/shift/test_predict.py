"""The predicted shift: planted shifts are named, evidence is cited, and without evidence it abstains."""

from collections.abc import Sequence

import numpy as np
import pytest

from whimbrel.agent import Agent, Context, Interaction, Item
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.evals.studies.planted import KINDS, planted_log, predicted_shift

DAY = 86_400.0
START = 1_600_041_600.0  # a Monday, midnight


def event(time: float, topic: str, *, user: str = "u", place: str = "home") -> Interaction:
    return Interaction(
        user_id=user, item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def predicted(history: Sequence[Item], *, at: float | None = None) -> Prediction:
    return predict_shift(history, ShiftQuery(at=at))


@pytest.mark.parametrize("what", KINDS)
def test_planted_shifts_are_named_and_no_others(what: str) -> None:
    random = np.random.default_rng([7, *what.encode()])
    right = sum(predicted_shift(planted_log(what, random)).kind == KINDS[what] for _ in range(40))
    assert right >= 36


def weekends() -> list[Interaction]:
    """Tea on working days, climbing at weekends; the last event is on a Thursday."""
    return [event(START + day * DAY + 40_000, "Climbing" if day % 7 >= 5 else "Tea") for day in range(60)]


def test_a_shift_cites_events_of_the_segment_and_tells_its_story() -> None:
    history = weekends()
    saturday = START + 61 * DAY + 40_000
    on_saturday = predicted(history, at=saturday)
    shift = on_saturday.shift
    assert (shift.kind, shift.to_topics, shift.from_topics) == ("temporal", ("Climbing",), ("Tea",))
    assert shift.reason.startswith(
        "Since 14 September 2020, at weekends: Climbing in all 16 sessions; on working days, in none of the 44 sessions. "
        "Instead, on working days: Tea in all 44 sessions; at weekends, in none of the 16 sessions. "
    )
    assert 0.5 < shift.confidence <= 1
    events = {event.event_id: event for event in history}
    assert len(shift.evidence) == 5
    for cited in shift.evidence:
        assert events[cited.event_id].topics == ("Climbing",)
    on_friday = predicted(history, at=START + 60 * DAY + 40_000)
    assert on_friday.shift.kind == "none"
    assert on_friday.shift.confidence > 0.5
    assert on_saturday.topics["Climbing"] > on_friday.topics["Climbing"]


def test_no_shift_is_named_to_where_the_user_is_already() -> None:
    history = weekends()
    monday = predicted(history[:-3], at=history[-3].time)  # after a Monday: still a working day
    assert monday.shift.kind == "none"
    sunday = predicted(history[:56], at=history[56].time)  # a Monday after a Sunday
    assert (sunday.shift.kind, sunday.shift.to_topics) == ("temporal", ("Tea",))


def test_it_abstains_and_says_why() -> None:
    assert predicted([]).shift.reason.startswith("Nothing is known")
    assert predicted([Item(title="a")]).shift.reason.startswith("The events have no topics")
    few = predicted([event(START + n, "Tea") for n in range(3)], at=START + 10)
    assert (few.shift.kind, few.shift.to_topics) == ("none", ("Tea",))
    assert "too few" in few.shift.reason
    random = np.random.default_rng(0)
    scattered = predicted(
        [event(START + n * DAY, f"t{topic}") for n, topic in enumerate(random.permutation(60))], at=START + 61 * DAY
    )
    assert scattered.shift.kind == "none"
    assert scattered.shift.confidence < 0.5
    assert scattered.shift.reason.startswith("Nothing shows which kind of shift comes next. ")


def test_the_confidence_that_nothing_shifts_is_the_probability_that_the_topics_stay() -> None:
    for count in (3, 12, 60):  # each ends on a working day
        history = weekends()[:count]
        prediction = predicted(history, at=history[-1].time + 60)
        assert prediction.shift.kind == "none"
        assert prediction.p_topic_change is not None
        assert prediction.shift.confidence == pytest.approx(1 - prediction.p_topic_change, abs=1e-3)


def test_what_lies_behind_the_moment_of_a_context_is_not_known() -> None:
    history = [event(START + n * DAY, "Tea" if n < 90 else "Cups") for n in range(120)]
    agent = Agent.open(None, llm="none")
    moment = Context.model_validate({"time": START + 60.5 * DAY})
    assert agent.predict_shift(history, moment) == agent.predict_shift(history[:61], moment)
    assert all((cited.time or 0) < START + 60.5 * DAY for cited in agent.predict_shift(history, moment).evidence)
    for word in ("morning", "9", True):
        assert Context.model_validate({"time": word}).situation == {"time": str(word)}
