"""Measure forecasts of the topics that a person's next time window will hold.

For every person and topic, the question is whether the next window holds the topic. The harder form asks only about
topics that are in none of the person's recent windows.

Systems are tested on the last windows. The window before these is used to choose the threshold of each system. Systems
learn only from still earlier windows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.forecast import best_threshold, train_forecaster
from whimbrel.agent.shift.forecast import Forecaster
from whimbrel.agent.shift.forecast_features import (
    FORECAST_FEATURES,
    RECENT_WINDOWS,
    Population,
    TopicWindows,
    forecast_features,
)
from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.intervals import DRAWS, bootstrap_sums, percentile_interval
from whimbrel.evals.metrics.significance import holm
from whimbrel.evals.studies.topic_windows import Meetings
from whimbrel.tools.errors import DataError
from whimbrel.tools.progress import NoProgress, Progress

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

TESTED, LEARNED_FROM = 3, 5
"""The last TESTED windows are tested. Systems learn from at most LEARNED_FROM windows."""
FORMS = ("all", "new")
"""The question is asked about all topics, or only about topics of no recent window."""
BASELINE = "user-cf"
CALIBRATED = ("whimbrel", "boosted counts")
"""Systems whose scores are probabilities."""
HABIT_PRIOR = 5
"""Number of meetings, at the person's overall shares, that are added to the meetings in the same part of the week."""
SMALLEST = 1e-12
"""The smallest denominator of a ratio, so that the ratio stays finite."""


@dataclass(frozen=True)
class Pairs:
    """One window with the scores of every system and the truth. Arrays have the shape (users, topics).

    Attributes:
        scores: The scores of each system, keyed by its name.
        truth: Whether the window has the topic.
        new: Whether no recent window of the user has the topic.
        users: The user of each row.
    """

    scores: dict[str, Floats]
    truth: Truth
    new: Truth
    users: NDArray[np.int64]

    def asked(self, form: str) -> Truth:
        """Return for each pair whether a form asks about it."""
        return self.new if form == "new" else np.ones_like(self.new)


def measure_migration(
    meetings: Meetings, *, seed: int = 0, tested: int = TESTED, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure every system in both forms, with 95% intervals over users.

    Returns:
        For each form, the metrics of the systems and the name of the best baseline. Each system is compared with
        `user-cf` and with `whimbrel`.

    Raises:
        DataError: the log has too few windows or no topic.
    """
    progress = progress or NoProgress()
    windows = meetings.windows
    count = len(windows.counts)
    # In a short log fewer windows are tested, since some are needed to learn from and one to choose thresholds.
    tested = min(tested, max(count - 4, 1))
    validation = count - tested - 1
    # The first two windows are never predicted, since predictions need a past.
    targets = list(range(validation - 1, 1, -1))[:LEARNED_FROM]
    if not targets or not windows.topics:
        raise DataError(f"{count} windows with {len(windows.topics)} topics are too few: give a shorter window")
    progress.step("Learning", 2)
    forecaster = train_forecaster(windows, targets=targets, validation=validation, seed=seed)
    progress.advance(1)
    boosted = _boosted_counts(windows, targets, validation, seed)
    progress.advance(1)
    progress.step("Predicting windows", tested + 1)
    pairs = []
    for end in range(validation, count):
        pairs.append(_score_window(meetings, end, forecaster, boosted))
        progress.advance(1)
    document: dict[str, Any] = {
        "windows": count,
        "users": int(windows.counts.shape[1]),
        "topics": len(windows.topics),
        "tested windows": tested,
        "recent windows": RECENT_WINDOWS,
    }
    return document | {form: _measure_form(form, pairs[0], pairs[1:], seed) for form in FORMS}


def _score_window(
    meetings: Meetings, end: int, forecaster: Forecaster, boosted: Callable[[TopicWindows], Floats]
) -> Pairs:
    """Score window `end` from all earlier windows, for users who were active in them."""
    past = meetings.windows.until(end)
    population = Population.of(past)
    everybody = np.arange(past.counts.shape[1])
    features = forecast_features(past, population, themselves=everybody)
    column = {name: features[:, :, number].astype(np.float64) for number, name in enumerate(FORECAST_FEATURES)}
    active = np.flatnonzero(past.counts.sum(axis=(0, 2)) > 0)
    recent = past.counts[-RECENT_WINDOWS:].sum(axis=0)
    scores = {
        "whimbrel": forecaster.probabilities(past, population, themselves=everybody),
        BASELINE: np.maximum(column["people alike, ever"], 0.0),
        "user-cf, recent": column["people alike, lately"],
        "frequency": column["share of windows"],
        "frequency, decayed": column["met, half-life 4"],
        "persistence": (recent / np.maximum(recent.sum(axis=1, keepdims=True), 1)).astype(np.float64),
        "markov": column["follows the last window"] + population.lately,
        "habits": _habits(meetings, end),
        "popularity": column["rate lately"],
        "boosted counts": boosted(past),
    }
    truth = meetings.windows.counts[end] > 0
    return Pairs({name: s[active] for name, s in scores.items()}, truth[active], ~past.recent[active], active)


def _boosted_counts(
    windows: TopicWindows, targets: Sequence[int], validation: int, seed: int
) -> Callable[[TopicWindows], Floats]:
    """Learn gradient-boosted trees whose only features are the counts of the last windows and overall."""
    import lightgbm

    def features(past: TopicWindows) -> NDArray[np.float32]:
        latest = past.counts[-RECENT_WINDOWS:]
        # An early target may have fewer than RECENT_WINDOWS windows before it, so zeros are added.
        padded = np.concatenate([np.zeros((RECENT_WINDOWS - len(latest), *latest.shape[1:]), np.float32), latest])
        stacked = np.concatenate([padded, past.counts.sum(axis=0)[None], past.met.sum(axis=0)[None]])
        return np.moveaxis(stacked, 0, 2).reshape(-1, RECENT_WINDOWS + 2)

    def label(window: int) -> Truth:
        return np.asarray(windows.counts[window] > 0).reshape(-1)

    data = lightgbm.Dataset(
        np.concatenate([features(windows.until(target)) for target in targets]),
        np.concatenate([label(target) for target in targets]),
    )
    held_out = data.create_valid(features(windows.until(validation)), label(validation))
    settings = {"objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "seed": seed, "verbose": -1}
    stop = [lightgbm.early_stopping(20, verbose=False)]
    booster = lightgbm.train(settings, data, 300, valid_sets=[held_out], callbacks=stop)

    def score(past: TopicWindows) -> Floats:
        return np.asarray(booster.predict(features(past)), dtype=np.float64).reshape(past.counts.shape[1:])

    return score


def _habits(meetings: Meetings, end: int) -> Floats:
    """Return the shares of topics among each user's meetings in one part of the week.

    It is the part of the week (day part, weekend or not) of the user's latest meeting. The shares are shrunk towards
    the shares among all meetings of the user.
    """
    users, topics = meetings.windows.counts.shape[1:]
    past = np.flatnonzero(meetings.window < end)
    latest_part = np.zeros(users, dtype=np.int64)
    latest_part[meetings.user[past]] = meetings.part[past]  # meetings run from early to late, so the last one stays
    same_part = past[meetings.part[past] == latest_part[meetings.user[past]]]
    in_part, in_all = np.zeros((users, topics)), np.zeros((users, topics))
    np.add.at(in_part, (meetings.user[same_part], meetings.topic[same_part]), 1.0)
    np.add.at(in_all, (meetings.user[past], meetings.topic[past]), 1.0)
    share = in_all / np.maximum(in_all.sum(axis=1, keepdims=True), 1)
    return np.asarray((in_part + HABIT_PRIOR * share) / (in_part.sum(axis=1, keepdims=True) + HABIT_PRIOR))


def _measure_form(form: str, validation: Pairs, tests: Sequence[Pairs], seed: int) -> dict[str, Any]:
    """Measure one form. Thresholds come from the validation window, and metrics from the tested windows."""
    systems: dict[str, dict[str, Any]] = {}
    draws: dict[str, Floats] = {}
    asked = validation.asked(form)
    for name in validation.scores:
        threshold = best_threshold(validation.scores[name][asked], validation.truth[asked])
        systems[name], draws[name] = _measure_system(form, tests, name, threshold, seed)
    p_values = {}
    for name, system in systems.items():
        ratio = draws[name] / np.maximum(draws[BASELINE], SMALLEST)
        system["f1 to user-cf"] = system["f1"] / max(systems[BASELINE]["f1"], SMALLEST)
        system["f1 to user-cf_ci"] = list(percentile_interval(ratio))
        if name != "whimbrel":
            difference = draws["whimbrel"] - draws[name]
            system["whimbrel minus this"] = systems["whimbrel"]["f1"] - system["f1"]
            system["whimbrel minus this_ci"] = list(percentile_interval(difference))
            # The two-sided p-value of the bootstrap counts how often the difference has the opposite sign.
            tail = min((difference <= 0).mean(), (difference >= 0).mean())
            p_values[name] = float(min(1.0, 2 * tail + 1 / DRAWS))
    for name, p in holm(p_values).items():
        systems[name]["p"] = p
    best = max((name for name in systems if name != "whimbrel"), key=lambda name: systems[name]["f1"])
    return {"best baseline": best, "system": systems}


@dataclass(frozen=True)
class _Counts:
    """Counts of a system's decisions over the tested windows, for each user.

    `asked` counts the topics that were asked about. `top_right` counts how often the topic with the highest score was
    right, among `top_asked` users and windows.
    """

    right: Floats
    predicted: Floats
    positive: Floats
    asked: Floats
    top_right: int
    top_asked: int


def _count(form: str, tests: Sequence[Pairs], name: str, threshold: float) -> _Counts:
    users = 1 + max(int(pairs.users.max()) for pairs in tests)
    right, predicted, positive, asked_of = (np.zeros(users) for _ in range(4))
    top_right = top_asked = 0
    for pairs in tests:
        asked, scores = pairs.asked(form), pairs.scores[name]
        yes = (scores >= threshold) & asked
        right[pairs.users] += (yes & pairs.truth).sum(axis=1)
        predicted[pairs.users] += yes.sum(axis=1)
        positive[pairs.users] += (pairs.truth & asked).sum(axis=1)
        asked_of[pairs.users] += asked.sum(axis=1)
        has_positive = (pairs.truth & asked).any(axis=1)
        # The topic with the highest score is judged for each user who has a topic to find.
        top = np.where(asked, scores, -np.inf).argmax(axis=1)
        top_right += int(pairs.truth[np.arange(len(top)), top][has_positive].sum())
        top_asked += int(has_positive.sum())
    return _Counts(right, predicted, positive, asked_of, top_right, top_asked)


def _measure_system(
    form: str, tests: Sequence[Pairs], name: str, threshold: float, seed: int
) -> tuple[dict[str, Any], Floats]:
    """Return the metrics of a system, and the bootstrap draws of its F1."""
    scores = np.concatenate([pairs.scores[name][pairs.asked(form)] for pairs in tests])
    truth = np.concatenate([pairs.truth[pairs.asked(form)] for pairs in tests])
    counts = _count(form, tests, name, threshold)
    right, predicted, positive = (float(column.sum()) for column in (counts.right, counts.predicted, counts.positive))
    draws = _draws(counts, seed)
    recall = right / max(positive, 1)
    specificity = 1 - (predicted - right) / max(truth.size - positive, 1)
    metrics = {
        "n": int(truth.size),
        "positive": int(truth.sum()),
        "users": int((counts.predicted + counts.positive > 0).sum()),
        "threshold": float(threshold),
        "accuracy": float(((scores >= threshold) == truth).mean()),
        "balanced accuracy": (recall + specificity) / 2,
        "top-1 accuracy": counts.top_right / max(counts.top_asked, 1),
        "precision": right / max(predicted, 1),
        "recall": recall,
        "f1": 2 * right / max(predicted + positive, 1),
        **{f"{metric}_ci": list(percentile_interval(values)) for metric, values in draws.items()},
        "average_precision": binary.average_precision(truth, scores),
    }
    if name in CALIBRATED:
        metrics["ece"] = binary.expected_calibration_error(truth, scores)
    return metrics, draws["f1"]


def _draws(counts: _Counts, seed: int) -> dict[str, Floats]:
    """Return the bootstrap draws of each metric over users."""
    columns = [counts.right, counts.predicted, counts.positive, counts.asked]
    right, predicted, positive, asked = bootstrap_sums(columns, seed=seed, draws=DRAWS)
    return {
        "f1": 2 * right / np.maximum(predicted + positive, SMALLEST),
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(positive, 1),
        "accuracy": 1 - (predicted + positive - 2 * right) / np.maximum(asked, 1),
    }


def migration_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_migration` as Markdown tables."""
    lines = []
    for form in FORMS:
        systems = document[form]["system"]
        first = next(iter(systems.values()))
        asked = "All topics" if form == "all" else f"Only topics that none of the last {RECENT_WINDOWS} windows has"
        lines += [
            f"{asked}: {first['n']:,} pairs, {first['positive']:,} positive, {document['users']:,} users, "
            f"{document['topics']} topics\n",
            "| system | F1 | to user-cf | precision | recall | balanced accuracy | top-1 | accuracy | AP | ECE |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name in sorted(systems, key=lambda name: -systems[name]["f1"]):
            lines.append(f"| {name} | {' | '.join(_cells(systems[name]))} |")
        lines.append("")
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    low, high = row["f1_ci"]
    ratio_low, ratio_high = row["f1 to user-cf_ci"]
    metrics = ("precision", "recall", "balanced accuracy", "top-1 accuracy", "accuracy", "average_precision")
    return [
        f"{row['f1']:.3f} [{low:.3f}, {high:.3f}]",
        f"{row['f1 to user-cf']:.2f} [{ratio_low:.2f}, {ratio_high:.2f}]",
        *(f"{row[metric]:.3f}" for metric in metrics),
        f"{row['ece']:.3f}" if "ece" in row else "",
    ]
