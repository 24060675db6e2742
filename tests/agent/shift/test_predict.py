"""The predicted shift: signals that can be named, stretches that differ by more than chance, confidence that is calibrated."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import Agent, Context, DataError, Interaction, Item
from whimbrel.agent.fitted import Fitted, read_topics
from whimbrel.agent.learning.fit import fit_store
from whimbrel.agent.learning.topic_moments import moments_of
from whimbrel.agent.learning.topics import fit_next_topics
from whimbrel.agent.shift.forecast import cut_into_windows
from whimbrel.agent.shift.next_topics import TOPIC_FEATURES, TOPIC_SET_FEATURES, NextTopics, topic_features
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.evals.studies.planted import KINDS, named, planted
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_clusters import name_clusters
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store
from whimbrel.tools.text.item_vectors import item_vectors

DAY = 86_400.0
START = 1_600_041_600.0  # a Monday, midnight


def event(time: float, topic: str, *, user: str = "u", place: str = "home") -> Interaction:
    return Interaction(
        user_id=user, item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def predicted(
    history: Sequence[Item], *, at: float | None = None, habits: TopicHabits | None = None, **context: str
) -> Prediction:
    return predict_shift(history, ShiftQuery(at=at, context=Context.model_validate(context), habits=habits))


@pytest.mark.parametrize("what", KINDS)
def test_planted_shifts_are_named_and_no_others(what: str) -> None:
    random = np.random.default_rng([7, *what.encode()])
    right = sum(named(planted(what, random)) == KINDS[what] for _ in range(40))
    assert right >= 36


def weekends() -> list[Interaction]:
    """Tea on working days, climbing at weekends; the last event is on a Thursday."""
    return [event(START + day * DAY + 40_000, "Climbing" if day % 7 >= 5 else "Tea") for day in range(60)]


def test_a_shift_cites_events_of_the_stretch_and_names_its_figures() -> None:
    history = weekends()
    saturday = START + 61 * DAY + 40_000
    found = predicted(history, at=saturday)
    shift = found.shift
    assert (shift.kind, shift.to_topics, shift.from_topics) == ("temporal", ("Climbing",), ("Tea",))
    assert "100%" in shift.reason
    assert "0%" in shift.reason
    assert 0.5 < shift.confidence <= 1
    own = {entry.event_id: entry for entry in history}
    for cited in shift.evidence:
        assert own[cited.event_id].topics == ("Climbing",)
    assert max(found.topics, key=found.topics.__getitem__) == "Climbing" or found.p_topic_change is not None
    friday = predicted(history, at=START + 60 * DAY + 40_000)
    assert friday.shift.kind == "none"
    assert friday.shift.confidence > 0.5


def test_who_is_there_already_does_not_shift() -> None:
    history = weekends()
    monday = predicted(history[:-3], at=history[-3].time)  # after a Monday: still a working day
    assert monday.shift.kind == "none"
    sunday = predicted(history[:56], at=history[56].time)  # a Monday after a Sunday
    assert (sunday.shift.kind, sunday.shift.to_topics) == ("temporal", ("Tea",))


def test_it_abstains_and_says_why() -> None:
    assert predicted([]).shift.reason.startswith("Cannot tell: nothing")
    assert predicted([Item(title="a")]).shift.reason.startswith("Cannot tell: the events have no topics")
    few = predicted([event(START + n, "Tea") for n in range(3)], at=START + 10)
    assert (few.shift.kind, few.shift.to_topics) == ("none", ("Tea",))
    assert "too few" in few.shift.reason
    random = np.random.default_rng(0)
    scattered = predicted(
        [event(START + n * DAY, f"t{topic}") for n, topic in enumerate(random.permutation(60))], at=START + 61 * DAY
    )
    assert scattered.shift.kind == "none"
    assert scattered.shift.confidence < 0.5
    assert scattered.shift.reason.startswith("Cannot tell: the next event probably (")


events = st.lists(
    st.tuples(st.integers(0, 50).map(float), st.sampled_from("uvw"), st.lists(st.sampled_from("abcdef"), max_size=3)),
    max_size=30,
)


def log_of(rows: Sequence[tuple[float, str, list[str]]]) -> InteractionLog:
    kinds = {"".join(sorted(set(topics))) for _, _, topics in rows} | {"abcdef"}
    items = [Item.model_construct(**dict(Item(title="x")) | {"item_id": k or "-", "topics": tuple(k)}) for k in kinds]
    return InteractionLog.build(
        items, [(time, user, "".join(sorted(set(t))) or "-", {"place": user}) for time, user, t in rows]
    )


@settings(deadline=None)
@given(events, events, st.integers(1, 50).map(float))
def test_habits_see_nothing_at_or_after_the_moment(
    rows: list[tuple[float, str, list[str]]], more: list[tuple[float, str, list[str]]], before: float
) -> None:
    past = [row for row in rows if row[0] < before]
    later = [(max(time, before), user, topics) for time, user, topics in more]
    short, whole = TopicHabits.of(log_of(past), before=before), TopicHabits.of(log_of([*past, *later]), before=before)
    assert short.topics == whole.topics
    assert short.situations.keys() == whole.situations.keys()
    for name in ("ever", "hours", "weekend", "follows"):
        np.testing.assert_allclose(getattr(short, name), getattr(whole, name))
    assert TopicHabitsOverTime(log_of([*past, *later])).before(before).ever.sum() <= short.ever.sum() + 1e-9
    bearing = sum(bool(topics) for _, _, topics in past)
    assert short.ever.sum() == pytest.approx(bearing)


@settings(deadline=None)
@given(events)
def test_topics_of_the_next_event_are_a_distribution(rows: list[tuple[float, str, list[str]]]) -> None:
    history = [
        Interaction(user_id="u", item_id=str(n), title="x", topics=topics, time=START + 3600 * time)
        for n, (time, _, topics) in enumerate(sorted(rows, key=lambda row: row[0]))
    ]
    habits = TopicHabits.of(log_of(rows), before=np.inf) if rows else None
    person = TopicHistory.of(history, habits)
    if not person.topic_names:
        return
    expected = (
        NextTopics.default()
        .model_for(habits)
        .predict(person, at=START + 3600 * 60, situation={"place": "u"}, habits=habits)
    )
    assert expected.probability.sum() == pytest.approx(1)
    assert (expected.probability > 0).all()
    assert np.isfinite(expected.contributions).all()
    topic = next(iter(expected.likeliest(1)))
    signal, factor = expected.strongest_feature(topic)
    assert signal in TOPIC_FEATURES
    assert factor > 0
    found = predicted(history, at=START + 3600 * 60, habits=habits)
    assert 0 <= found.shift.confidence <= 1


def test_signals_speak_for_the_topics_they_should() -> None:
    history = [
        event(START + n * DAY + 36_000 * (n % 2), ("Tea", "News")[n % 2], place=("home", "work")[n % 2])
        for n in range(40)
    ]
    log = InteractionLog.build(history, [(e.time, e.user_id, e.item_id, e.context) for e in history])
    habits = TopicHabits.of(log, before=np.inf)
    person = TopicHistory.of(history, habits)
    column = dict(
        zip(
            TOPIC_FEATURES,
            topic_features(person, at=START + 50 * DAY + 36_000, situation={"place": "work"}, habits=habits).T,
            strict=True,
        )
    )
    news, tea = person.topic_names.index("News"), person.topic_names.index("Tea")
    for name in ("hour", "situation", "everybody's hour", "everybody's situation"):
        assert column[name][news] > 0 > column[name][tea], name
    for name in ("sequence", "everybody's sequence"):  # after news comes tea
        assert column[name][tea] > 0 > column[name][news], name


def followers(count: int = 60) -> tuple[dict[str, list[Interaction]], TopicHabitsOverTime]:
    """People whose every event follows the one before, round a ring of six topics; each topic three times in all."""
    histories = {
        f"u{n}": [event(START + (step * 7 + n % 7) * DAY / 5, f"t{(n + step) % 6}", user=f"u{n}") for step in range(30)]
        for n in range(count)
    }
    return histories, TopicHabitsOverTime(_logged([one for history in histories.values() for one in history]))


def _logged(events: Sequence[Interaction]) -> InteractionLog:
    items = {one.item_id: one for one in events}
    return InteractionLog.build(items.values(), [(one.time, one.user_id, one.item_id, None) for one in events])


def test_learning_finds_what_follows_what_and_how_sure_one_may_be() -> None:
    histories, habits = followers()
    moments = [
        moment
        for user, history in histories.items()
        for moment in moments_of(user, history, habits, since=START + 12 * DAY)
    ]
    learned = fit_next_topics([moments])
    right = []
    for moment in moments:
        assert max(history.time for history in histories[moment.user] if history.time < (moment.at or 0)) < (
            moment.at or 0
        )
        expected = learned.with_habits.predict(moment.history, at=moment.at, situation={}, habits=moment.habits)
        right.append(expected.history.topic_names[int(expected.probability.argmax())] in moment.label)
    assert np.mean(right) > 0.95
    assert learned.with_habits.weights["everybody's sequence"] + learned.with_habits.weights["sequence"] > 0.3
    assert len(learned.with_habits.stay_calibration.weights) == len(TOPIC_SET_FEATURES)
    with pytest.raises(DataError, match="too few"):
        fit_next_topics([moments[:20]])


def test_a_fit_is_kept_with_the_store_and_used(shop: Path) -> None:
    with open_store(shop) as store:
        assert Fitted.load(store.fitted) == Fitted.default()
        try:
            done = fit_store(store)
        except DataError as error:
            pytest.fail(str(error))
        assert Fitted.load(store.fitted).topics != NextTopics.default()
    with Agent.open(shop, llm="none") as agent:
        found = agent.timeline("u1")
        assert found.topics
        assert done.outlook
        assert found.outlook is not None
        assert all(0 <= share <= 1 for share in (*found.outlook.topics.values(), *found.outlook.new.values()))
        assert found.p_topic_change is not None
        assert math.isclose(sum(found.topics.values()), 1, abs_tol=0.2)
    (done.path / "next_topics.json").write_text("{")
    with Agent.open(shop, llm="none") as agent, pytest.raises(DataError, match="whimbrel fit"):
        agent.timeline("u1")
    shutil.rmtree(done.path)


def test_an_outlook_sees_nothing_at_or_after_the_moment() -> None:
    histories, _ = followers(20)
    items = [one for history in histories.values() for one in history]
    log, half = _logged(items), START + 3 * DAY
    past = _logged([one for one in items if one.time < half])
    for of in ("u3", "nobody"):
        short, whole = (
            cut_into_windows(past, before=half, days=1, user_id=of),
            cut_into_windows(log, before=half, days=1, user_id=of),
        )
        held = [short.windows.topics.index(topic) for topic in whole.windows.topics if topic in short.windows.topics]
        assert whole.row_of.keys() == short.row_of.keys()
        assert whole.windows.counts.sum() == short.windows.counts[:, :, held].sum()
    later = _logged([*items, *(event(START + 9 * DAY + n, f"new {n}", user="u9") for n in range(50))])
    assert (
        cut_into_windows(later, before=half, days=1).windows.topics
        == cut_into_windows(past, before=half, days=1).windows.topics
    )


def test_what_lies_behind_the_moment_of_a_context_is_not_known() -> None:
    history = [event(START + n * DAY, "Tea" if n < 90 else "Cups") for n in range(120)]
    agent = Agent.open(None, llm="none")
    moment = Context.model_validate({"time": START + 60.5 * DAY})
    assert agent.predict_shift(history, moment) == agent.predict_shift(history[:61], moment)
    assert all((cited.time or 0) < START + 60.5 * DAY for cited in agent.predict_shift(history, moment).evidence)
    for word in ("morning", "9", True):
        assert Context.model_validate({"time": word}).situation == {"time": str(word)}


def test_a_log_of_one_topic_is_fitted_and_a_damaged_forecast_is_told(tmp_path: Path) -> None:
    rows = [f"u{n % 3},thing {n % 9},{START + n * DAY / 3:.0f},Only" for n in range(400)]
    (tmp_path / "one.csv").write_text("\n".join(["user_id,title,time,topics", *rows]))
    ingest(open_source(str(tmp_path / "one.csv")), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        done = fit_store(store)
    assert (done.path / "next_topics.json").is_file()
    if done.outlook:
        forecast = done.path / "forecast.txt"
        forecast.write_text(forecast.read_text()[:2000])
        with Agent.open(tmp_path / "store", llm="none") as agent, pytest.raises(DataError, match="whimbrel fit"):
            agent.timeline("u1")


@pytest.mark.parametrize("bias", ["NaN", "1e300", '"x"'])
def test_weights_that_are_no_numbers_are_refused(bias: str, tmp_path: Path) -> None:
    text = NextTopics.default().model_dump_json()
    (tmp_path / "learned.json").write_text(text.replace('"bias":', f'"bias":{bias},"was":', 1))
    with pytest.raises(DataError, match="damaged or of another version"):
        read_topics(tmp_path / "learned.json")


def test_clusters_are_named_in_any_letters() -> None:
    titles = [f"{colour}色连衣裙" for colour in "红黑白蓝绿黄紫灰粉棕"] + [
        f"{kind}蓝牙耳机" for kind in "小大新旧轻重长短圆方"
    ]
    items = [Item(title=title) for title in titles]
    clusters = name_clusters(items, item_vectors(items))
    assert all(len(name) <= 8 for name in clusters.values())
    same = [Item(item_id=str(n), title="same") for n in range(30)]
    assert set(name_clusters(same, item_vectors(same)).values()) == {"Same"}


def test_a_topic_that_nobody_else_met_is_no_worse_than_another() -> None:
    others = [event(START + n * DAY / 9, f"t{n % 6}", user=f"v{n % 9}") for n in range(300)]
    habits = TopicHabits.of(_logged(others), before=np.inf)
    own = [event(START + n * DAY, "Horror") for n in range(12)]
    found = predicted(own, at=own[-1].time + DAY, habits=habits)
    assert next(iter(found.topics)) == "Horror"
    assert found.p_topic_change is not None
    assert found.p_topic_change < 0.5
