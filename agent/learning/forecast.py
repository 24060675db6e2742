"""Fit the topic forecast to a log: the trees, and the probability thresholds for naming a topic."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.shift.forecast import (
    FORECASTER_FILE,
    MOST_WINDOWS,
    SETTINGS_FILE,
    WINDOW_DAYS,
    Forecaster,
    ForecastSettings,
    cut_into_windows,
    import_lightgbm,
    sha256,
)
from whimbrel.agent.shift.forecast_features import (
    FORECAST_FEATURES,
    Float32s,
    Population,
    TopicWindows,
    forecast_features,
)
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import DAY_SECONDS

LEAST_WINDOWS = 5
"""A forecast is fitted only if the log spans at least this many windows."""
MOST_TARGET_WINDOWS = 5
"""Trees are fitted to at most this many of the latest windows. Each is predicted from the windows before it."""
UNMET_SHARE = 0.15
"""Share of the unmet pairs that trees are fitted to.

A pair is a user and a topic. It is unmet if the user has had no event of the topic up to the end of the target window.
Nearly all pairs are unmet, so a sample is drawn. The drawn pairs are weighted to stand for all of them.
"""
MOST_ROUNDS, STOP_AFTER_ROUNDS = 600, 30
"""Most trees, and the number of trees in a row without a gain on the validation window that stops boosting."""
TREE_SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,  # with force_row_wise, the same log gives the same trees on every machine
    "force_row_wise": True,
    "verbose": -1,
}


def fit_forecast(log: InteractionLog, folder: Path, *, seed: int = 0) -> bool:
    """Fit a forecaster to a log and write it to a folder, where `forecast_topics` finds it.

    The last window decides when boosting stops, and which thresholds have the highest F1.

    Args:
        log: The events of all users.
        folder: The folder to write to. It is created if it is absent.
        seed: The seed of the sampled pairs and of the trees.

    Returns:
        Whether a forecaster was written. It is False if the log is too short for a forecast.

    Raises:
        ConfigError: LightGBM is not installed.
    """
    days = window_days(log)
    if days is None:
        return False
    windows = cut_into_windows(log, before=np.inf, days=days).windows
    last = len(windows.counts) - 1
    targets = list(range(last - 1, 1, -1))[:MOST_TARGET_WINDOWS]
    try:
        forecaster = train_forecaster(windows, targets=targets, validation=last, seed=seed)
    except DataError:
        return False
    past = windows.until(last)
    probability = forecaster.probabilities(past, Population.of(past), themselves=np.arange(past.counts.shape[1]))
    met, new = windows.counts[last] > 0, ~past.recent
    folder.mkdir(parents=True, exist_ok=True)
    # The forecaster is written first. The settings hold its digest, and a forecaster without settings is not read.
    with atomic_write(folder / FORECASTER_FILE) as partial:
        forecaster.save(partial)
    settings = ForecastSettings(
        days=days,
        threshold=best_threshold(probability.ravel(), met.ravel()),
        new_topic_threshold=best_threshold(probability[new], met[new]),
        forecaster_sha256=sha256(folder / FORECASTER_FILE),
    )
    with atomic_write(folder / SETTINGS_FILE) as partial:
        partial.write_text(settings.model_dump_json(), "utf-8")
    return True


def window_days(log: InteractionLog) -> int | None:
    """Return the shortest window length that cuts a log into at most MOST_WINDOWS windows.

    Returns:
        The length in days. None if it cuts the log into fewer than LEAST_WINDOWS windows.
    """
    if not len(log.time):
        return None
    span = (log.time[-1] - log.time[0]) / DAY_SECONDS
    days = next((days for days in WINDOW_DAYS if span / days <= MOST_WINDOWS), WINDOW_DAYS[-1])
    return days if span / days >= LEAST_WINDOWS else None


def train_forecaster(windows: TopicWindows, *, targets: Sequence[int], validation: int, seed: int = 0) -> Forecaster:
    """Fit trees that predict a window from the windows before it.

    Args:
        windows: The windows of all users.
        targets: The numbers of the windows to fit to.
        validation: The number of the window that decides when boosting stops. It should be later than the targets.
        seed: The seed of the sampled pairs and of the trees.

    Raises:
        ConfigError: LightGBM is not installed.
        DataError: Fewer than two windows lie before a target, or no user had an event of any topic in the targets.
    """
    lightgbm = import_lightgbm()
    if min(targets, default=0) < 2 or validation < 2:
        raise DataError("a forecast of topics needs at least two windows before each that it learns from")
    random = np.random.default_rng(seed)
    rows, labels, weights = [], [], []
    for target in targets:
        row, label = training_pairs(windows, target)
        # All pairs that were met are kept. Unmet pairs are sampled.
        known = label | (row[:, FORECAST_FEATURES.index("share of windows")] > 0)
        drawn = known | (random.random(len(label)) < UNMET_SHARE)
        rows.append(row[drawn])
        labels.append(label[drawn])
        weights.append(np.where(known[drawn], 1.0, 1 / UNMET_SHARE))
    if not np.concatenate(labels).any():
        raise DataError("nobody met any topic in the windows to learn from")
    data = lightgbm.Dataset(np.concatenate(rows), np.concatenate(labels), weight=np.concatenate(weights))
    return Forecaster(
        lightgbm.train(
            TREE_SETTINGS | {"seed": seed},
            data,
            MOST_ROUNDS,
            valid_sets=[data.create_valid(*training_pairs(windows, validation))],
            callbacks=[lightgbm.early_stopping(STOP_AFTER_ROUNDS, verbose=False)],
        )
    )


def training_pairs(windows: TopicWindows, target: int) -> tuple[Float32s, NDArray[np.bool_]]:
    """Return the features of every user and topic before a window, and whether the user had the topic in the window.

    Returns:
        Two arrays of shapes (users * topics, features) and (users * topics,).
    """
    past = windows.until(target)
    all_users = np.arange(past.counts.shape[1])
    columns = forecast_features(past, Population.of(past), themselves=all_users)
    return columns.reshape(-1, columns.shape[2]), (windows.counts[target] > 0).reshape(-1)


def best_threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the threshold with the highest F1; 0.5 if there are no scores.

    A decision is positive if its score is at least the threshold. On ties, the highest threshold is returned.

    >>> best_threshold(np.array([0.9, 0.6, 0.2]), np.array([True, True, False]))
    0.6
    """
    if not len(scores):
        return 0.5
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(labels[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + labels.sum())
    # A threshold cannot separate equal scores, so only the last of each run of equal scores is a candidate.
    candidates = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return float(scores[order][candidates[f1[candidates].argmax()]])
