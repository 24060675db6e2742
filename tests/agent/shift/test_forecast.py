"""The forecast of the next window: nothing of it is known before, and damaged files are refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from whimbrel.agent import Agent, DataError, Interaction
from whimbrel.agent.learning.fit import fit_store
from whimbrel.agent.shift.forecast import ForecastSettings, cut_into_windows
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store

DAY = 86_400.0
START = 1_600_041_600.0  # a Monday, midnight


def event(time: float, topic: str, *, user: str = "u", place: str = "home") -> Interaction:
    return Interaction(
        user_id=user, item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def log_of(events: Sequence[Interaction]) -> InteractionLog:
    items = {event.item_id: event for event in events}
    return InteractionLog.build(items.values(), [(event.time, event.user_id, event.item_id, None) for event in events])


def followers(count: int) -> dict[str, list[Interaction]]:
    """People whose every event follows the one before, round a ring of six topics."""
    return {
        f"u{n}": [event(START + (step * 7 + n % 7) * DAY / 5, f"t{(n + step) % 6}", user=f"u{n}") for step in range(30)]
        for n in range(count)
    }


def test_a_forecast_sees_nothing_at_or_after_the_moment() -> None:
    histories = followers(20)
    events = [event for history in histories.values() for event in history]
    log, moment = log_of(events), START + 3 * DAY
    past = log_of([event for event in events if event.time < moment])
    for user_id in ("u3", "nobody"):
        short, whole = (
            cut_into_windows(past, before=moment, days=1, user_id=user_id),
            cut_into_windows(log, before=moment, days=1, user_id=user_id),
        )
        columns = [short.windows.topics.index(topic) for topic in whole.windows.topics if topic in short.windows.topics]
        assert whole.row_of.keys() == short.row_of.keys()
        assert whole.windows.counts.sum() == short.windows.counts[:, :, columns].sum()
    later = log_of([*events, *(event(START + 9 * DAY + n, f"new {n}", user="u9") for n in range(50))])
    assert (
        cut_into_windows(later, before=moment, days=1).windows.topics
        == cut_into_windows(past, before=moment, days=1).windows.topics
    )


def test_a_log_of_one_topic_is_fitted_and_a_damaged_forecast_is_refused(tmp_path: Path) -> None:
    rows = [f"u{n % 3},thing {n % 9},{START + n * DAY / 3:.0f},Only" for n in range(400)]
    (tmp_path / "one.csv").write_text("\n".join(["user_id,title,time,topics", *rows]))
    ingest(open_source(str(tmp_path / "one.csv")), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        fit = fit_store(store)
    assert (fit.path / "next_topics.json").is_file()
    assert fit.outlook
    forecaster = fit.path / "forecast.txt"
    forecaster.write_text(forecaster.read_text()[:2000])
    with Agent.open(tmp_path / "store", llm="none") as agent, pytest.raises(DataError, match="whimbrel fit"):
        agent.timeline("u1")


def test_settings_keep_the_keys_of_their_file() -> None:
    written = {"days": 7, "said": 0.4, "said_of_new": 0.3, "forecast": "ab"}
    settings = ForecastSettings.model_validate(written)
    assert (settings.threshold, settings.new_topic_threshold, settings.forecaster_sha256) == (0.4, 0.3, "ab")
    assert json.loads(settings.model_dump_json()) == written
