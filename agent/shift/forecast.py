"""Forecast the topics of a user's next window of time, with a probability for each.

Gradient-boosted trees (LightGBM, Ke et al., 2017) turn the features of a user and a topic into a probability.
`whimbrel.agent.learning.forecast` fits the trees to a log. This module loads them and predicts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.shift.forecast_features import FORECAST_FEATURES, Ints, Population, TopicWindows, forecast_features
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import DAY_SECONDS

FORECASTER_FILE, SETTINGS_FILE = "forecast.txt", "outlook.json"
WINDOW_DAYS = (1, 3, 7, 14, 30, 91)
"""Lengths that a window may have, from a day to a quarter of a year."""
MOST_WINDOWS = 27
"""Number of latest windows that are read."""
MOST_FORECAST_TOPICS, MOST_FORECAST_USERS = 400, 5000
"""How many topics and users are read: the most frequent topics, and the users who were active last. The numbers bound
the size of the arrays."""
LEAST_EVENTS_A_USER = 8
"""A user is read only with at least this number of events before the moment. The user asked about is always read."""


class TopicForecast(BaseModel):
    """The topics that will probably occur in the next `days`, each with its probability, the likeliest first.

    Attributes:
        days: The length of the window ahead, in days.
        topics: The topics whose probability reaches the fitted threshold.
        new: Topics that occurred in none of the recent windows. Their probability reaches the threshold for new topics.
    """

    model_config = ConfigDict(frozen=True)

    days: int
    topics: dict[str, float]
    new: dict[str, float]


class ForecastSettings(BaseModel):
    """The settings of a fitted forecaster. In JSON the keys are `days`, `said`, `said_of_new` and `forecast`.

    Attributes:
        days: The length of a window, in days.
        threshold: A topic is forecast if its probability is at least this.
        new_topic_threshold: The threshold for a topic that occurred in none of the recent windows.
        forecaster_sha256: The digest of the forecaster's file. It is checked before the file is loaded, because
            LightGBM ends the process if a file is damaged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)

    days: Literal[WINDOW_DAYS]  # type: ignore[valid-type]
    threshold: Annotated[float, Field(ge=0, le=1, alias="said")]
    new_topic_threshold: Annotated[float, Field(ge=0, le=1, alias="said_of_new")]
    forecaster_sha256: Annotated[str, Field(alias="forecast")]


@dataclass(frozen=True)
class LogWindows:
    """The windows of a log before a moment, and each user's row in them."""

    windows: TopicWindows
    row_of: dict[str, int]


class Forecaster:
    """Fitted trees that predict the probability of each topic in a user's next window."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def probabilities(
        self, windows: TopicWindows, population: Population, *, themselves: Ints | None = None
    ) -> NDArray[np.float64]:
        """Predict the probability of every topic for every user. It takes the arguments of `forecast_features`.

        Returns:
            Shape (users, topics), each value in [0, 1].
        """
        columns = forecast_features(windows, population, themselves=themselves)
        flat = columns.reshape(-1, columns.shape[2])
        return np.asarray(self._booster.predict(flat), dtype=np.float64).reshape(columns.shape[:2])

    def save(self, path: Path) -> None:
        """Write the trees as text."""
        path.write_text(self._booster.model_to_string())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the trees from a file that `save` wrote.

        Raises:
            ConfigError: LightGBM is not installed.
            DataError: The file holds no forecaster, or a forecaster of another version.
        """
        lightgbm = import_lightgbm()
        try:
            booster = lightgbm.Booster(model_str=path.read_text("utf-8"))
        except Exception as error:  # LightGBMError, or an error of reading or decoding the text
            raise DataError(f"{str(path)!r} holds no forecast ({str(error)[:80]}): run `whimbrel fit` again") from error
        if booster.num_feature() != len(FORECAST_FEATURES):
            raise DataError(f"{str(path)!r} was made by another version: run `whimbrel fit` again")
        return cls(booster)


def forecast_topics(log: InteractionLog, folder: Path, user_id: str, *, before: float) -> TopicForecast | None:
    """Forecast the topics of a user's next window.

    Args:
        log: The events of all users.
        folder: Where `fit_forecast` kept the forecaster.
        user_id: The user whose next window is forecast.
        before: The moment in Unix seconds. Events at or after it are not read.

    Returns:
        None if no forecaster was fitted, or if the log holds no event of the user before the moment.

    Raises:
        DataError: The files in the folder are damaged or of another version.
    """
    if not (folder / FORECASTER_FILE).is_file() or not (folder / SETTINGS_FILE).is_file():
        return None
    try:
        settings = ForecastSettings.model_validate_json((folder / SETTINGS_FILE).read_bytes())
        if settings.forecaster_sha256 != sha256(folder / FORECASTER_FILE):
            raise ValueError("the forecaster is not the one that was fitted with these settings")
    except (OSError, ValueError) as error:
        raise DataError(f"{str(folder)!r} is damaged or of another version: run `whimbrel fit` again") from error
    cut = cut_into_windows(log, before=before, days=settings.days, user_id=user_id)
    # The trees were only fitted to windows that had at least two windows before them.
    if len(cut.windows.counts) < 2 or user_id not in cut.row_of:
        return None
    user_row = np.array([cut.row_of[user_id]])
    windows, population = cut.windows.of_users(user_row), Population.of(cut.windows)
    forecaster = Forecaster.load(folder / FORECASTER_FILE)
    probability = forecaster.probabilities(windows, population, themselves=user_row)[0]
    order, recent = np.argsort(-probability, kind="stable"), windows.recent[0]

    def named(topics: Sequence[int]) -> dict[str, float]:
        return {windows.topics[topic]: round(float(probability[topic]), 4) for topic in topics}

    return TopicForecast(
        days=settings.days,
        topics=named([topic for topic in order if probability[topic] >= settings.threshold]),
        new=named(
            [topic for topic in order if not recent[topic] and probability[topic] >= settings.new_topic_threshold]
        ),
    )


def cut_into_windows(log: InteractionLog, *, before: float, days: int, user_id: str | None = None) -> LogWindows:
    """Cut a log into windows of equal length that end before a moment.

    Args:
        log: The events of all users.
        before: The moment in Unix seconds. The last window ends then, or a second after the last earlier event if that
            is sooner.
        days: The length of a window, in days.
        user_id: A user who is always kept, even with few events.
    """
    stop = int(np.searchsorted(log.time, before))
    # The last window ends with the log, so that a log that ended long ago has no empty windows at its end.
    end = min(before, float(log.time[stop - 1]) + 1) if stop else before
    windows_back = ((end - log.time[:stop]) // (days * DAY_SECONDS)).astype(np.int64)
    user_row = _user_rows(log, stop, user_id)
    kept = np.flatnonzero((user_row[log.user[:stop]] >= 0) & (windows_back < MOST_WINDOWS))
    topic, event = log.topics_of(log.item[kept])
    frequent, column = log.frequent_topics(topic, MOST_FORECAST_TOPICS)
    counted = column[topic] >= 0
    meeting = kept[event[counted]]
    count = int(windows_back[kept].max()) + 1 if len(kept) else 0
    windows = TopicWindows.of(
        user_row[log.user[meeting]],
        column[topic[counted]],
        count - 1 - windows_back[meeting],
        users=int(user_row.max(initial=-1)) + 1,
        topics=[log.topics[number] for number in frequent],
        windows=count,
    )
    users = np.flatnonzero(user_row >= 0)
    return LogWindows(windows, {log.user_ids[user]: row for row, user in enumerate(users)})


def _user_rows(log: InteractionLog, stop: int, user_id: str | None) -> Ints:
    """Return each user's row in the windows, shape (users,). It is -1 for users who are left out."""
    latest = np.zeros(len(log.user_ids), dtype=np.int64)
    latest[log.user[:stop]] = np.arange(stop)  # later events overwrite earlier ones, so each user's last event stays
    counts = np.bincount(log.user[:stop], minlength=len(log.user_ids))
    active = np.flatnonzero(counts >= LEAST_EVENTS_A_USER)
    active = active[np.argsort(-latest[active], kind="stable")[:MOST_FORECAST_USERS]]
    asked = [log.user_ids.index(user_id)] if user_id in log.user_ids else []
    users = np.unique([*active.tolist(), *asked]).astype(np.int64)
    row = np.full(len(log.user_ids), -1, dtype=np.int64)
    row[users] = np.arange(len(users))
    return row


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def import_lightgbm() -> Any:
    """Import LightGBM.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(f"LightGBM is not installed ({error}): run `make install`") from error
    return lightgbm
