"""The conditional logit (McFadden, 1974): the weights under which what was chosen is likeliest.

A problem is a list of logs, each a list of choices. A choice is a matrix of features, one row an option, and the row
or rows that were chosen. Each log counts the same, however many choices it has. A ridge draws the weights towards those
that learning starts from, so that few choices change little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from whimbrel.tools.log.interaction_log import Floats

RIDGES = (0.3, 0.03, 0.003, 0.0003)
"""Strengths of the ridge that are tried on held-out people."""
SMALLEST = 1e-300
"""Added before a logarithm, so that a probability of 0 costs much instead of everything."""


@dataclass(frozen=True)
class Labelled:
    """Options with the one chosen.

    Attributes:
        features: Shape (options, features).
        chosen: The row that was chosen, or several rows, which share the choice equally.
        offset: A score that every option has beforehand, shape (options,), or 0.
    """

    features: Floats
    chosen: int | Sequence[int]
    offset: Floats | float = 0.0

    @cached_property
    def chosen_features(self) -> Floats:
        """The mean features of what was chosen, shape (features,)."""
        return np.asarray(self.features[np.atleast_1d(self.chosen)].mean(axis=0))

    def log_likelihood(self, probability: Floats) -> float:
        """Return the mean logarithm of the probability of what was chosen, from that of each option."""
        return float(np.log(probability[self.chosen] + SMALLEST).mean())


def fit_weights(
    logs: Sequence[Sequence[Labelled]], start: Floats, *, ridge: float, bound: Floats | float = -np.inf
) -> Floats:
    """Return the likeliest weights, shape (features,).

    Args:
        logs: The choices of each log; no log is empty.
        start: The weights that the ridge draws towards.
        ridge: How strongly it draws.
        bound: The lowest value of each weight.
    """

    def loss(weights: Floats) -> tuple[float, Floats]:
        away = weights - start
        value, slope = ridge * float(away @ away), 2 * ridge * away
        for log in logs:
            share = 1 / len(log) / len(logs)
            for choice in log:
                probability = softmax(choice.offset + choice.features @ weights)
                value -= share * choice.log_likelihood(probability)
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
    """Return the ridge of RIDGES whose weights make the held-out choices likeliest."""
    losses = [mean_loss(held_out, fit_weights(logs, start, ridge=ridge, bound=bound)) for ridge in RIDGES]
    return RIDGES[int(np.argmin(losses))]


def mean_loss(logs: Sequence[Sequence[Labelled]], weights: Floats) -> float:
    """Return the mean negative log likelihood of the choices, each log counting the same; 0 without any."""
    losses = [
        -np.mean([choice.log_likelihood(softmax(choice.offset + choice.features @ weights)) for choice in log])
        for log in logs
        if log
    ]
    return float(np.mean(losses)) if losses else 0.0


def softmax(scores: Floats) -> Floats:
    """Return probabilities in proportion to the exponentials of scores, shape as given."""
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
