"""Fitting the next topics: what follows what is found, and the fit is kept with the store and used."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import Agent, DataError, Interaction
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.fit import fit_store
from whimbrel.agent.learning.topic_moments import moments_of
from whimbrel.agent.learning.topics import fit_next_topics
from whimbrel.agent.shift.forecast import ForecastSettings
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabitsOverTime
from whimbrel.tools.store.store import open_store

DAY = 86_400.0
START = 1_600_041_600.0  # a Monday, midnight


def event(time: float, topic: str, *, user: str = "u", place: str = "home") -> Interaction:
    return Interaction(
        user_id=user, item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def followers(count: int = 60) -> tuple[dict[str, list[Interaction]], TopicHabitsOverTime]:
    """People whose every event follows the one before, round a ring of six topics; each topic three times in all."""
    histories = {
        f"u{n}": [event(START + (step * 7 + n % 7) * DAY / 5, f"t{(n + step) % 6}", user=f"u{n}") for step in range(30)]
        for n in range(count)
    }
    return histories, TopicHabitsOverTime(log_of([event for history in histories.values() for event in history]))


def log_of(events: Sequence[Interaction]) -> InteractionLog:
    items = {event.item_id: event for event in events}
    return InteractionLog.build(items.values(), [(event.time, event.user_id, event.item_id, None) for event in events])


def test_learning_finds_what_follows_what_and_how_sure_one_may_be() -> None:
    histories, habits = followers()
    moments = [
        moment
        for user, history in histories.items()
        for moment in moments_of(user, history, habits, since=START + 12 * DAY)
    ]
    fitted = fit_next_topics([moments])
    right = []
    for moment in moments:
        assert moment.at is not None
        assert moment.history.times is not None
        assert moment.history.times.max() < moment.at
        predicted = fitted.with_habits.predict(moment.history, at=moment.at, situation={}, habits=moment.habits)
        right.append(predicted.history.topic_names[int(predicted.probability.argmax())] in moment.label)
    assert np.mean(right) > 0.95
    weights = fitted.with_habits.weights
    assert weights["everybody's sequence"] + weights["sequence"] > 0.3
    assert not any(weight for name, weight in fitted.without_habits.weights.items() if name == "everybody's sequence")
    with pytest.raises(DataError, match="too few"):
        fit_next_topics([moments[:20]])


def test_a_fit_is_kept_with_the_store_and_used(shop: Path) -> None:
    with open_store(shop) as store:
        assert Fitted.load(store.fitted) == Fitted.default()
        fit = fit_store(store)
        assert Fitted.load(store.fitted).topics != NextTopics.default()
    assert fit.outlook
    settings = ForecastSettings.model_validate_json((fit.path / "outlook.json").read_bytes())
    with Agent.open(shop, llm="none") as agent:
        timeline = agent.timeline("u1")
        assert timeline.p_topic_change is not None
        assert sum(timeline.topics.values()) == pytest.approx(1, abs=1e-4 * len(timeline.topics))
        assert timeline.outlook is not None
        assert timeline.outlook.days == settings.days
        assert all(share >= settings.threshold - 1e-4 for share in timeline.outlook.topics.values())
        assert all(share >= settings.new_topic_threshold - 1e-4 for share in timeline.outlook.new.values())
    (fit.path / "next_topics.json").write_text("{")
    with Agent.open(shop, llm="none") as agent, pytest.raises(DataError, match="whimbrel fit"):
        agent.timeline("u1")
    shutil.rmtree(fit.path)
