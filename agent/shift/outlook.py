"""What the next stretch of time will hold for a person: topics with their probabilities, from a forecast fitted to the
log."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import replaced
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import DAY_SECONDS

if TYPE_CHECKING:
    from whimbrel.agent.shift.forecast import Windows

FORECAST, SETTINGS = "forecast.txt", "outlook.json"
DAYS = (1, 3, 7, 14, 30, 91)
"""Lengths that a window may have."""
MOST_WINDOWS, LEAST_WINDOWS = 27, 5
MOST_TOPICS, MOST_USERS = 400, 5000
LEAST_EVENTS = 8
LEARNED_FROM = 5
"""Windows at most that are learned from."""


class Outlook(BaseModel):
    """Topics that the next `days` will probably hold; `new` are those that none of the latest windows held."""

    model_config = ConfigDict(frozen=True)

    days: int
    topics: dict[str, float]
    new: dict[str, float]


class Settings(BaseModel):
    """What belongs to a fitted forecast: the length of its windows, from which probability on a topic is said, and the
    digest of its file: LightGBM ends the process over a damaged one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: Literal[DAYS]  # type: ignore[valid-type]
    said: float = Field(ge=0, le=1)
    said_of_new: float = Field(ge=0, le=1)
    forecast: str


@dataclass(frozen=True)
class Windowed:
    """A log in windows before a moment, and the row of each user that is among them."""

    windows: "Windows"
    row: dict[str, int]


def window_days(log: InteractionLog) -> int | None:
    """The shortest length that cuts the log into no more than MOST_WINDOWS; None where it makes too few."""
    if not len(log.time):
        return None
    span = (log.time[-1] - log.time[0]) / DAY_SECONDS
    days = next((days for days in DAYS if span / days <= MOST_WINDOWS), DAYS[-1])
    return days if span / days >= LEAST_WINDOWS else None


def windowed(log: InteractionLog, *, before: float, days: int, of: str | None = None) -> Windowed:
    """Windows of so many days, the last of them ending before a moment; at most MOST_USERS people with LEAST_EVENTS,
    and the one asked for, and the MOST_TOPICS most frequent topics."""
    from whimbrel.agent.shift.forecast import Windows

    stop = int(np.searchsorted(log.time, before))
    end = min(before, float(log.time[stop - 1]) + 1) if stop else before
    back = ((end - log.time[:stop]) // (days * DAY_SECONDS)).astype(np.int64)
    latest = np.zeros(len(log.user_ids), dtype=np.int64)
    latest[log.user[:stop]] = np.arange(stop)  # rows run from early to late
    often = np.flatnonzero(np.bincount(log.user[:stop], minlength=len(log.user_ids)) >= LEAST_EVENTS)
    often = often[np.argsort(-latest[often], kind="stable")[:MOST_USERS]]
    asked = [log.user_ids.index(of)] if of in log.user_ids else []
    users = np.unique([*often.tolist(), *asked]).astype(np.int64)
    row = np.full(len(log.user_ids), -1)
    row[users] = np.arange(len(users))
    chosen = np.flatnonzero((row[log.user[:stop]] >= 0) & (back < MOST_WINDOWS))
    topic, event = log.topics_of(log.item[chosen])
    kept, column = log.frequent_topics(topic, MOST_TOPICS)
    told = column[topic] >= 0
    count = int(back[chosen].max()) + 1 if len(chosen) else 0
    found = Windows.of(
        row[log.user[chosen[event[told]]]],
        column[topic[told]],
        count - 1 - back[chosen[event[told]]],
        users=len(users),
        topics=[log.topics[n] for n in kept],
        windows=count,
    )
    return Windowed(found, {log.user_ids[user]: place for place, user in enumerate(users)})


def fit_outlook(log: InteractionLog, folder: Path, *, seed: int = 0) -> bool:
    """Fit a forecast to a log and keep it in a folder; False where the log is too short for one."""
    from whimbrel.agent.shift.forecast import Forecast, Population

    days = window_days(log)
    if days is None:
        return False
    windows = windowed(log, before=np.inf, days=days).windows
    last = len(windows.counts) - 1
    ends = list(range(last - 1, 1, -1))[:LEARNED_FROM]
    try:
        forecast = Forecast.learn(windows, ends=ends, validation=last, seed=seed)
    except DataError:
        return False
    past = windows.until(last)
    found = forecast.probabilities(past, Population.of(past), themselves=np.arange(past.counts.shape[1]))
    truth, new = windows.counts[last] > 0, ~past.recent
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(folder / FORECAST) as partial:
        forecast.save(partial)
    settings = Settings(
        days=days,
        said=best_threshold(found.ravel(), truth.ravel()),
        said_of_new=best_threshold(found[new], truth[new]),
        forecast=_digest(folder / FORECAST),
    )
    with replaced(folder / SETTINGS) as partial:
        partial.write_text(settings.model_dump_json(), "utf-8")
    return True


def outlook(log: InteractionLog, folder: Path, user_id: str, *, before: float) -> Outlook | None:
    """What the forecast in a folder expects of a user; None where none was fitted, or nothing is known of the user.

    Raises:
        DataError: what lies in the folder is damaged.
    """
    from whimbrel.agent.shift.forecast import Forecast, Population

    if not (folder / FORECAST).is_file() or not (folder / SETTINGS).is_file():
        return None
    try:
        settings = Settings.model_validate_json((folder / SETTINGS).read_bytes())
        if settings.forecast != _digest(folder / FORECAST):
            raise ValueError("the forecast is another")
    except (OSError, ValueError) as error:
        raise DataError(f"{str(folder)!r} is damaged or of another version: run `whimbrel fit` again") from error
    known = windowed(log, before=before, days=settings.days, of=user_id)
    if len(known.windows.counts) < 2 or user_id not in known.row:
        return None
    row = np.array([known.row[user_id]])
    forecast = Forecast.load(folder / FORECAST)
    own = known.windows.of_users(row)
    probability = forecast.probabilities(own, Population.of(known.windows), themselves=row)[0]
    order = np.argsort(-probability, kind="stable")
    recent = own.recent[0]
    told = {known.windows.topics[n]: round(float(probability[n]), 4) for n in order if probability[n] >= settings.said}
    fresh = [n for n in order if not recent[n] and probability[n] >= settings.said_of_new]
    return Outlook(
        days=settings.days, topics=told, new={known.windows.topics[n]: round(float(probability[n]), 4) for n in fresh}
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def best_threshold(scores: "np.typing.NDArray[np.float64]", truth: "np.typing.NDArray[np.bool_]") -> float:
    """The score from which F1 is highest; .5 where there are none."""
    if not len(scores):
        return 0.5
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + truth.sum())
    last = np.append(np.diff(scores[order]) != 0, True)  # of those with equal scores
    at = np.flatnonzero(last)
    return float(scores[order][at[f1[at].argmax()]])
