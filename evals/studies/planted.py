"""Measure on synthetic logs whether planted shifts are recognised, and whether stationary logs get "no shift".

Each person draws topics from an individual taste. In a planted log, a new interest takes over at weekends, in the
evening, at work, in the last sessions, or in the current session. Between 70% and 100% of these events have a topic of
the new interest (the purity). In a stationary log the taste does not change. Either each event or each session draws a
topic from it.

The confidence in a named shift is the probability that the next event has one of its topics. The next event is drawn
too, so the confidence is measured by its squared error.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.reading.fuse_shift import fuse_shift
from whimbrel.agent.reading.read_person import ReadQuery, read_person
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.evals.metrics.intervals import DRAWS, percentile_interval
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.timestamps import DAY_SECONDS, is_weekend

START = 1_600_000_000 // DAY_SECONDS * DAY_SECONDS
"""Midnight at which every log begins."""
NEW_TOPICS = ("Climbing", "Maps", "Tents")
"""Topics of the planted interest."""
PLACES = ("home", "work")
KINDS = {
    "weekend": "temporal",
    "evening": "temporal",
    "trend": "temporal",
    "place": "situational",
    "session": "contextual",
    "session without times": "contextual",
    "stationary": "none",
    "stationary, a topic a session": "none",
    "stationary, runs of a topic": "none",
    "stationary without times": "none",
}
"""The right kind of shift, keyed by the kind of log."""
P_SAME_TOPIC = {"stationary, a topic a session": 1.0, "stationary, runs of a topic": 0.7}
"""Probability that an event keeps the topic of the previous event in its session. For all other kinds it is 0."""


@dataclass(frozen=True)
class PlantedLog:
    """A synthetic log of one person.

    Attributes:
        history: The events in order of time.
        at: The moment for which the shift is predicted; None if no times are known.
        situation: The situation at that moment.
        next_topic: The topic of the next event.
    """

    history: Sequence[Item]
    at: float | None
    situation: Mapping[str, str]
    next_topic: str


def measure_planted(
    logs: int, seed: int = 0, *, model: ModelAccess = NO_MODEL, progress: Progress | None = None
) -> dict[str, Any]:
    """Predict the shift of `logs` logs of each kind.

    Args:
        logs: The number of logs of each kind.
        seed: Seed of the random numbers.
        model: A model that reads persons. Its readings are then fused with the statistics.
        progress: Where progress is shown.

    Returns:
        For each kind of log: the right kind of shift, how often each kind was predicted, the share of right
        predictions with its 95% bootstrap interval, and the mean squared error of the confidence in named shifts (None
        if none was named).
    """
    progress = progress or NoProgress()
    progress.step("Predicting shifts", logs * len(KINDS))
    document: dict[str, Any] = {}
    for log_kind, shift_kind in KINDS.items():
        # Each kind has a separate generator, so that a new kind of log does not change the existing logs.
        random = np.random.default_rng([seed, *log_kind.encode()])
        named, errors = list[str](), list[float]()
        for _ in range(logs):
            log = planted_log(log_kind, random)
            shift = predicted_shift(log, model)
            named.append(shift.kind)
            if shift.kind != "none":
                errors.append((shift.confidence - (log.next_topic in shift.to_topics)) ** 2)
            progress.advance(1)
        right = np.array([kind == shift_kind for kind in named], dtype=np.float64)
        low, high = percentile_interval(np.random.default_rng(seed).choice(right, (DRAWS, logs)).mean(axis=1))
        document[log_kind] = {
            "n": logs,
            "kind": shift_kind,
            "right": float(right.mean()),
            "right_ci": [low, high],
            "named": dict(Counter(named)),
            "squared_error": float(np.mean(errors)) if errors else None,
        }
    return document


def planted_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_planted` as a Markdown table."""
    lines = ["| planted | kind | n | right | named | squared error |", "|---|---|---|---|---|---|"]
    for log_kind, row in document.items():
        low, high = row["right_ci"]
        named = ", ".join(f"{kind} {count}" for kind, count in row["named"].items())
        error = "" if row["squared_error"] is None else f"{row['squared_error']:.3f}"
        right = f"{row['right']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| {log_kind} | {row['kind']} | {row['n']} | {right} | {named} | {error} |")
    return "\n".join(lines)


def predicted_shift(log: PlantedLog, model: ModelAccess = NO_MODEL) -> Shift:
    """Predict the shift of a log, with a reading of the person if the model reads."""
    context = Context.model_validate(dict(log.situation))
    prediction = predict_shift(log.history, ShiftQuery(at=log.at, context=context))
    if not model.reads:
        return prediction.shift
    topics = sorted({topic for item in log.history for topic in item.topics})
    reading = read_person(
        ReadQuery(log.history, log.at, context, dict(zip(topics, ENGLISH.encode(topics), strict=True))), model
    )
    return fuse_shift(prediction, reading, wished=False, say=load_phrases(model.language)).shift


def planted_log(kind: str, random: np.random.Generator) -> PlantedLog:
    """Draw a log of one of KINDS."""
    topics = int(random.choice([4, 8, 16, 30]))
    taste = random.dirichlet(np.full(topics, 0.7))
    purity = random.uniform(0.7, 1.0)
    sessions = list(_session_times(random, days=int(random.choice([60, 90, 120]))))
    p_same = P_SAME_TOPIC.get(kind, 0.0)
    history: list[Interaction] = []
    for number, times in enumerate(sessions):
        location, topic = PLACES[int(random.random() < 0.3)], int(random.choice(topics, p=taste))
        # A session is late if it is in the last eighth of the sessions, or one of the last eight.
        late = number >= len(sessions) - max(8, len(sessions) // 8)
        for time in times:
            topic = topic if random.random() < p_same else int(random.choice(topics, p=taste))
            is_new = _new_interest_holds(kind, time, location, late) and random.random() < purity
            history.append(_event(str(random.choice(NEW_TOPICS)) if is_new else f"Topic {topic}", time, location))
    if kind.startswith("session"):
        begin = history[-1].time + DAY_SECONDS / 2
        for step in range(int(random.integers(5, 10))):
            is_new = random.random() < purity
            name = str(random.choice(NEW_TOPICS)) if is_new else f"Topic {random.choice(topics, p=taste)}"
            history.append(_event(name, begin + 90 * step, "home"))
    (after,) = random.spawn(1)  # a generator of its own, so that the logs stay as they were without a next event
    is_new = KINDS[kind] != "none" and after.random() < purity
    next_topic = str(after.choice(NEW_TOPICS)) if is_new else f"Topic {after.choice(topics, p=taste)}"
    situation = {"place": "work"} if kind == "place" or kind.startswith("stationary") else {}
    if kind.endswith("without times"):
        timeless = [Item(item_id=event.item_id, title=event.title, topics=event.topics) for event in history]
        return PlantedLog(timeless, None, {}, next_topic)
    return PlantedLog(history, _query_time(kind, history[-1].time, random), situation, next_topic)


def _new_interest_holds(kind: str, time: float, location: str, late: bool) -> bool:
    if kind == "place":
        return location == "work"
    holds = {"weekend": _on_weekend(time), "evening": time % DAY_SECONDS >= 19 * 3600, "trend": late}
    return holds.get(kind, False)


def _query_time(kind: str, last: float, random: np.random.Generator) -> float:
    """Return a moment after the last event at which the new interest applies."""
    if kind == "weekend":
        return float(next(day for day in last + DAY_SECONDS * np.arange(0.5, 8) if _on_weekend(day)))
    if kind == "evening":
        return (last // DAY_SECONDS + 1) * DAY_SECONDS + 20.5 * 3600
    if kind == "session":
        return last + 60
    return last + (DAY_SECONDS / 2 if kind == "trend" else float(random.choice([600, DAY_SECONDS / 2])))


def _on_weekend(time: float) -> bool:
    return bool(is_weekend(np.array([time]))[0])


def _session_times(random: np.random.Generator, *, days: int) -> Iterator[list[float]]:
    """Draw at most one session a day. A session has one to five events, two minutes apart."""
    for day in range(days):
        if random.random() < 0.8:
            begin = START + day * DAY_SECONDS + random.uniform(6, 23) * 3600
            yield [begin + 120.0 * step for step in range(int(random.integers(1, 6)))]


def _event(topic: str, time: float, location: str) -> Interaction:
    return Interaction(
        user_id="u", item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": location}
    )
