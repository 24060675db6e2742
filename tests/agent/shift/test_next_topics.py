"""The topics of the next event: features that have names, a distribution, and models kept in files."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import DataError, Interaction
from whimbrel.agent.fitted import read_topics
from whimbrel.agent.shift.next_topics import TOPIC_FEATURES, NextTopics, topic_features
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits

DAY = 86_400.0
START = 1_600_041_600.0  # a Monday, midnight

events = st.lists(
    st.tuples(st.integers(0, 50).map(float), st.sampled_from("uvw"), st.lists(st.sampled_from("abcdef"), max_size=3)),
    max_size=30,
)


def event(time: float, topic: str, *, user: str = "u", place: str = "home") -> Interaction:
    return Interaction(
        user_id=user, item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def log_of(events: Sequence[Interaction]) -> InteractionLog:
    items = {event.item_id: event for event in events}
    return InteractionLog.build(
        items.values(), [(event.time, event.user_id, event.item_id, event.context) for event in events]
    )


@settings(deadline=None)
@given(events)
def test_topics_of_the_next_event_are_a_distribution(rows: list[tuple[float, str, list[str]]]) -> None:
    history = [
        Interaction(user_id="u", item_id=str(n), title="x", topics=topics, time=START + 3600 * time)
        for n, (time, _, topics) in enumerate(sorted(rows, key=lambda row: row[0]))
    ]
    others = [event(START + 3600 * time, topics[0] if topics else "a", user=user) for time, user, topics in rows]
    habits = TopicHabits.of(log_of(others), before=np.inf) if rows else None
    arrays = TopicHistory.of(history, habits)
    if not arrays.topic_names:
        return
    model = NextTopics.default().model_for(habits)
    predicted = model.predict(arrays, at=START + 3600 * 60, situation={"place": "u"}, habits=habits)
    assert predicted.probability.sum() == pytest.approx(1)
    assert (predicted.probability > 0).all()
    assert np.isfinite(predicted.contributions).all()
    (topic,) = predicted.likeliest(1)
    row = arrays.topic_names.index(topic)
    assert predicted.probability[row] == predicted.probability.max()
    feature, factor = predicted.strongest_feature(topic)
    above_mean = predicted.contributions[row] - predicted.probability @ predicted.contributions
    assert above_mean[TOPIC_FEATURES.index(feature)] == above_mean.max()
    assert math.log(factor) == pytest.approx(above_mean.max())
    assert factor >= 1 - 1e-9  # some feature raises the likeliest topic, or all topics are alike


def test_features_speak_for_the_topics_they_should() -> None:
    history = [
        event(START + n * DAY + 36_000 * (n % 2), ("Tea", "News")[n % 2], place=("home", "work")[n % 2])
        for n in range(40)
    ]
    habits = TopicHabits.of(log_of(history), before=np.inf)
    arrays = TopicHistory.of(history, habits)
    column = dict(
        zip(
            TOPIC_FEATURES,
            topic_features(arrays, at=START + 50 * DAY + 36_000, situation={"place": "work"}, habits=habits).T,
            strict=True,
        )
    )
    news, tea = arrays.topic_names.index("News"), arrays.topic_names.index("Tea")
    for name in ("hour", "situation", "everybody's hour", "everybody's situation"):
        assert column[name][news] > 0 > column[name][tea], name
    for name in ("sequence", "everybody's sequence"):  # after news comes tea
        assert column[name][tea] > 0 > column[name][news], name


def test_a_topic_that_nobody_else_met_is_no_worse_than_another() -> None:
    others = [event(START + n * DAY / 9, f"t{n % 6}", user=f"v{n % 9}") for n in range(300)]
    habits = TopicHabits.of(log_of(others), before=np.inf)
    own = [event(START + n * DAY, "Horror") for n in range(12)]
    prediction = predict_shift(own, ShiftQuery(at=own[-1].time + DAY, habits=habits))
    assert next(iter(prediction.topics)) == "Horror"
    assert prediction.p_topic_change is not None
    assert prediction.p_topic_change < 0.5


@pytest.mark.parametrize("bias", ["NaN", "1e300", '"x"'])
def test_weights_that_are_no_numbers_are_refused(bias: str, tmp_path: Path) -> None:
    text, file = NextTopics.default().model_dump_json(), tmp_path / "learned.json"
    file.write_text(text)
    assert read_topics(file) == NextTopics.default()
    file.write_text(re.sub(r'"bias":[-.\d]+', f'"bias":{bias}', text, count=1))
    with pytest.raises(DataError, match="damaged or of another version"):
        read_topics(file)


def test_fitted_models_keep_the_keys_of_their_files() -> None:
    document = json.loads(NextTopics.default().model_dump_json())
    assert list(document) == ["among", "alone", "learned_from"]
    assert list(document["among"]) == list(document["alone"]) == ["weights", "stays", "comes"]
    assert NextTopics.model_validate(document) == NextTopics.default()
