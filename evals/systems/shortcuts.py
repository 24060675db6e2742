"""Systems that know nothing about the user. They use only how often and how recently items were chosen."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import NotApplicableError, Scorer, Settings

RECENT = 0.1
"""Recent popularity counts this share of the training interactions, the latest ones."""


def popularity(training: Training, settings: Settings) -> Scorer:
    """Score by the number of interactions of an item."""
    return lambda case: values_at(training.counts, training.rows_of(case.candidates))


def inverse_popularity(training: Training, settings: Settings) -> Scorer:
    """Score the item with the fewest interactions highest. This wins only if candidates were sampled badly."""
    return lambda case: -values_at(training.counts, training.rows_of(case.candidates))


def recent_popularity(training: Training, settings: Settings) -> Scorer:
    """Score by the number of interactions in the last tenth of the training log."""
    if training.times is None:
        raise NotApplicableError("the training log has no times")
    latest = np.argsort(training.times, kind="stable")[-max(int(len(training.rows) * RECENT), 1) :]
    counts = np.bincount(training.rows[latest], minlength=len(training.items))
    return lambda case: values_at(counts, training.rows_of(case.candidates))


def newest(training: Training, settings: Settings) -> Scorer:
    """Score by the time of an item, the newest first. An item without a time has that of its first interaction."""
    first = np.full(len(training.items), np.inf)
    if training.times is not None:
        np.minimum.at(first, training.rows, training.times)
    if not (training.timed or np.isfinite(first).any()):
        raise NotApplicableError("no item has a time")

    def score(case: BlindCase) -> NDArray[np.float64]:
        first_met = values_at(first, training.rows_of(case.candidates), missing=np.inf)
        times = np.array([np.nan if item.time is None else item.time for item in case.candidates], dtype=np.float64)
        appeared = np.where(np.isnan(times), first_met, times)
        return np.where(np.isfinite(appeared), appeared, -np.inf)

    return score
