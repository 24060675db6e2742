"""The conditional logit (McFadden, 1974): find the weights that make the observed choices most likely.

A problem is a list of logs. A log is a list of choices. A choice is a matrix of features with one row per option,
together with the row or rows that were chosen. Each log counts the same, however many choices it has. A ridge penalty
draws the weights towards their start values, so that a few choices change them little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from whimbrel.tools.log.interaction_log import Floats

RIDGES = (3.0, 0.3, 0.03, 0.003, 0.0003)
"""Strengths of the ridge penalty. The best one is chosen on held-out people."""
SMALLEST = 1e-300
"""Added to a probability before its logarithm is taken, so that the loss stays finite at a probability of 0."""


@dataclass(frozen=True)
class Labelled:
    """A choice: the options, and which of them was chosen.

    Attributes:
        features: Shape (options, features).
        chosen: The row that was chosen, or several rows. Several rows share the choice equally.
        offset: A fixed score of each option, to which the weighted features are added; shape (options,), or 0.
    """

    features: Floats
    chosen: int | Sequence[int]
    offset: Floats | float = 0.0

    @cached_property
    def chosen_features(self) -> Floats:
        """The mean features of the chosen rows, shape (features,)."""
        return np.asarray(self.features[np.atleast_1d(self.chosen)].mean(axis=0))

    def log_likelihood(self, probability: Floats) -> float:
        """Return the mean log probability of the chosen rows.

        Args:
            probability: The probability of each option, shape (options,).
        """
        return float(np.log(probability[self.chosen] + SMALLEST).mean())


def fit_weights(
    logs: Sequence[Sequence[Labelled]], start: Floats, *, ridge: float, bound: Floats | float = -np.inf
) -> Floats:
    """Return the weights that make the choices most likely, shape (features,).

    Args:
        logs: The choices of each log. No log is empty.
        start: The weights that the ridge penalty draws towards.
        ridge: The strength of the penalty.
        bound: The lowest allowed value of each weight.
    """

    def loss(weights: Floats) -> tuple[float, Floats]:
        away = weights - start
        value, slope = ridge * float(away @ away), 2 * ridge * away
        for log in logs:
            # Each log has the same total share, whatever its number of choices.
            share = 1 / len(log) / len(logs)
            for choice in log:
                probability = softmax(choice.offset + choice.features @ weights)
                value -= share * choice.log_likelihood(probability)
                # The gradient of the log likelihood is the chosen features minus the expected features.
                slope -= share * (choice.chosen_features - probability @ choice.features)
        return value, slope

    return _minimise(loss, start, bound)


def best_ridge(
    logs: Sequence[Sequence[Labelled]],
    held_out: Sequence[Sequence[Labelled]],
    start: Floats,
    *,
    bound: Floats | float = -np.inf,
) -> float:
    """Return the strength among RIDGES whose weights make the held-out choices most likely."""
    losses = [mean_loss(held_out, fit_weights(logs, start, ridge=ridge, bound=bound)) for ridge in RIDGES]
    return RIDGES[int(np.argmin(losses))]


def mean_loss(logs: Sequence[Sequence[Labelled]], weights: Floats) -> float:
    """Return the mean negative log likelihood of the choices. Each log counts the same. Without choices it is 0."""
    losses = [
        -np.mean([choice.log_likelihood(softmax(choice.offset + choice.features @ weights)) for choice in log])
        for log in logs
        if log
    ]
    return float(np.mean(losses)) if losses else 0.0


def softmax(scores: Floats) -> Floats:
    """Return probabilities proportional to the exponentials of the scores, in the shape of `scores`."""
    # The maximum is subtracted so that the exponential cannot overflow.
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def _minimise(loss: Callable[[Floats], tuple[float, Floats]], start: Floats, bound: Floats | float = -np.inf) -> Floats:
    from scipy.optimize import minimize

    best: Any = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, None) for low in np.broadcast_to(bound, start.shape)],
        options={"maxiter": 200},
    )
    return np.asarray(best.x, dtype=np.float64)
