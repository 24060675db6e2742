"""Nearest neighbours: items that are similar to the history, and sessions or people that are similar to it."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import Scorer, Settings

SEEDS, HALF_LIFE = 20, 5
"""SEEDS is the number of latest history items used. An item HALF_LIFE items back counts half as much as the last."""
NEIGHBOURS, SAMPLED = 100, 1000
"""NEIGHBOURS nearest sessions or people are used. Sessions are searched among the SAMPLED latest that share an item."""


def itemknn(training: Training, settings: Settings) -> Scorer:
    """Score by the cosine of items over sessions (Sarwar et al., 2001). Later items of the history weigh more."""
    columns, norms = training.columns, np.sqrt(np.maximum(np.asarray(training.matrix.sum(axis=0)).ravel(), 1.0))

    def score(case: BlindCase) -> NDArray[np.float64]:
        scores = np.zeros(len(training.items))
        seeds = list(dict.fromkeys(reversed(training.known_rows(case.history))))[:SEEDS]
        for age, seed in enumerate(seeds):
            similar = np.asarray((training.matrix.T @ columns[:, seed]).todense()).ravel() / (norms[seed] * norms)
            similar[seed] = 0.0  # every item is most similar to itself, so this carries no information
            scores += 0.5 ** (age / HALF_LIFE) * similar
        return values_at(scores, training.rows_of(case.candidates))

    return score


def sessionknn(training: Training, settings: Settings) -> Scorer:
    """Score by the most similar sessions (V-SKNN; Ludewig & Jannach, 2018), by cosine. Later items weigh more."""
    matrix, columns = training.matrix, training.columns
    lengths = np.sqrt(np.maximum(np.diff(matrix.indptr), 1))

    def score(case: BlindCase) -> NDArray[np.float64]:
        seeds = list(dict.fromkeys(reversed(training.known_rows(case.history))))[:SEEDS]
        if not seeds:
            return np.zeros(len(case.candidates))
        weights = np.array([0.5 ** (age / HALF_LIFE) for age in range(len(seeds))], dtype=np.float32)
        # Sessions are in the order of the log, so the last ones are the latest.
        sharing = np.unique(columns[:, seeds].indices)[-SAMPLED:]
        similar = (matrix[sharing][:, seeds] @ weights) / (lengths[sharing] * np.linalg.norm(weights))
        nearest = np.argsort(-similar, kind="stable")[:NEIGHBOURS]
        scores = np.asarray(matrix[sharing[nearest]].T @ similar[nearest]).ravel()
        return values_at(scores, training.rows_of(case.candidates))

    return score


def userknn(training: Training, settings: Settings) -> Scorer:
    """Score by what similar people chose (user-based collaborative filtering; Herlocker et al., 1999).

    People are compared by the cosine of the sets of items they interacted with. The whole history counts, in any order.
    """
    matrix = training.matrix.copy()
    matrix.data[:] = 1.0
    sizes = np.sqrt(np.maximum(np.diff(matrix.indptr), 1))

    def score(case: BlindCase) -> NDArray[np.float64]:
        person = np.zeros(len(training.items), dtype=matrix.dtype)
        person[training.known_rows(case.history)] = 1.0
        similar = np.asarray(matrix @ person) / (sizes * max(np.sqrt(person.sum()), 1.0))
        nearest = np.argsort(-similar, kind="stable")[:NEIGHBOURS]
        scores = np.asarray(matrix[nearest].T @ similar[nearest]).ravel()
        return values_at(scores, training.rows_of(case.candidates))

    return score
