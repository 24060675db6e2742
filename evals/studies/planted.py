"""Are shifts that were planted named, and are none named where nothing shifts? `whimbrel eval planted`.

People of made-up logs draw topics from tastes of their own. In a planted log a new interest takes over at weekends, in
the evening, at work, since some days, or in the session under way, with a purity between .7 and 1; in a stationary one
nothing changes, whether each event or each session draws its topic."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.evals.metrics.intervals import spread
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.timestamps import DAY_SECONDS, is_weekend

START = 1_600_000_000 // DAY_SECONDS * DAY_SECONDS
NEW = ("Climbing", "Maps", "Tents")
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
"""What is planted, and the kind that names it."""


@dataclass(frozen=True)
class Planted:
    """A log of one person, and when and in what situation they are asked about."""

    history: Sequence[Item]
    at: float | None
    situation: Mapping[str, str]


def planted(what: str, random: np.random.Generator) -> Planted:
    """A log with one of KINDS in it."""
    topics = int(random.choice([4, 8, 16, 30]))
    taste = random.dirichlet(np.full(topics, 0.7))
    purity = random.uniform(0.7, 1.0)
    sessions = list(_sessions(random, days=int(random.choice([60, 90, 120]))))
    stays = {"stationary, a topic a session": 1.0, "stationary, runs of a topic": 0.7}.get(what, 0.0)
    history: list[Interaction] = []
    for number, times in enumerate(sessions):
        place, own = PLACES[int(random.random() < 0.3)], int(random.choice(topics, p=taste))
        late = number >= len(sessions) - max(8, len(sessions) // 8)
        for time in times:
            own = own if random.random() < stays else int(random.choice(topics, p=taste))
            taken = _is_new(what, time, place, late) and random.random() < purity
            history.append(_event(str(random.choice(NEW)) if taken else f"Topic {own}", time, place))
    if what.startswith("session"):
        begun = history[-1].time + DAY_SECONDS / 2
        for step in range(int(random.integers(5, 10))):
            topic = str(random.choice(NEW)) if random.random() < purity else f"Topic {random.choice(topics, p=taste)}"
            history.append(_event(topic, begun + 90 * step, "home"))
    situation = {"place": "work"} if what == "place" or what.startswith("stationary") else {}
    if what.endswith("without times"):
        timeless = [Item(item_id=event.item_id, title=event.title, topics=event.topics) for event in history]
        return Planted(timeless, None, {})
    return Planted(history, _asked_at(what, history[-1].time, random), situation)


def _is_new(what: str, time: float, place: str, late: bool) -> bool:
    """Whether the new interest holds at a time, in a place."""
    held = {"weekend": _weekend(time), "evening": time % DAY_SECONDS >= 19 * 3600, "trend": late}
    return held.get(what, what == "place" and place == "work")


def _asked_at(what: str, last: float, random: np.random.Generator) -> float:
    """When somebody asks, behind the last event."""
    if what == "weekend":
        return float(next(day for day in last + DAY_SECONDS * np.arange(0.5, 8) if _weekend(day)))
    if what == "evening":
        return (last // DAY_SECONDS + 1) * DAY_SECONDS + 20.5 * 3600
    if what == "session":
        return last + 60
    return last + (DAY_SECONDS / 2 if what == "trend" else float(random.choice([600, DAY_SECONDS / 2])))


def _weekend(time: float) -> bool:
    return bool(is_weekend(np.array([time]))[0])


def _sessions(random: np.random.Generator, *, days: int) -> Iterator[list[float]]:
    for day in range(days):
        if random.random() < 0.8:
            begun = START + day * DAY_SECONDS + random.uniform(6, 23) * 3600
            yield [begun + 120.0 * step for step in range(int(random.integers(1, 6)))]


def _event(topic: str, time: float, place: str) -> Interaction:
    return Interaction(
        user_id="u", item_id=f"{topic} {time}", title=topic, topics=(topic,), time=time, context={"place": place}
    )


def named(log: Planted) -> str:
    """The kind that is named."""
    context = Context.model_validate(dict(log.situation))
    return predict_shift(log.history, ShiftQuery(at=log.at, context=context)).shift.kind


def measure_planted(logs: int, seed: int = 0, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Of each thing planted the kinds named, and the share that is right with its 95% bootstrap interval."""
    document: dict[str, Any] = {}
    for what, kind in KINDS.items():
        random = np.random.default_rng([seed, *what.encode()])
        kinds = [named(planted(what, random)) for _ in range(logs)]
        right = np.array([one == kind for one in kinds], dtype=np.float64)
        draws = np.random.default_rng(seed).choice(right, (2000, logs)).mean(axis=1)
        low, high = spread(draws)
        document[what] = {"n": logs, "kind": kind, "right": float(right.mean()), "right_ci": [low, high]}
        document[what]["named"] = dict(Counter(kinds))
        tell(f"| {what} | {kind} | {logs} | {right.mean():.3f} [{low:.3f}, {high:.3f}] | {dict(Counter(kinds))} |")
    return document


def main(
    logs: Annotated[int, typer.Option("--logs", min=1, help="Logs of each kind.")] = 300,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Plant shifts and see what is named."""
    print("| planted | kind | n | right | named |\n|---|---|---|---|---|")
    measure_planted(logs, seed, print)


if __name__ == "__main__":
    typer.run(main)
