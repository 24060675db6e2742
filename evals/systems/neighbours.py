"""What goes together in the sessions of others."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import Scorer, Settings

SEEDS, HALF_LIFE = 20, 5
"""Latest items of the history that are asked, and the age at which one counts half as much."""
NEIGHBOURS, SAMPLED = 100, 1000
"""Nearest sessions taken, among the latest that share an item with the history."""


def itemknn(training: Training, settings: Settings) -> Scorer:
    """Cosine between the audiences of items (Sarwar et al., 2001), later items of the history weighing more."""
    columns, norms = training.columns, np.sqrt(np.maximum(np.asarray(training.matrix.sum(axis=0)).ravel(), 1.0))

    def score(case: BlindCase) -> NDArray[np.float64]:
        scores = np.zeros(len(training.items))
        seeds = list(dict.fromkeys(reversed(training.known_rows(case.history))))[:SEEDS]
        for age, seed in enumerate(seeds):
            together = np.asarray((training.matrix.T @ columns[:, seed]).todense()).ravel() / (norms[seed] * norms)
            together[seed] = 0.0
            scores += 0.5 ** (age / HALF_LIFE) * together
        return values_at(scores, training.rows_of(case.candidates))

    return score


def sessionknn(training: Training, settings: Settings) -> Scorer:
    """Items of the sessions most alike (V-SKNN; Ludewig & Jannach, 2018): cosine, later items weighing more."""
    matrix, columns = training.matrix, training.columns
    lengths = np.sqrt(np.maximum(np.diff(matrix.indptr), 1))

    def score(case: BlindCase) -> NDArray[np.float64]:
        seeds = list(dict.fromkeys(reversed(training.known_rows(case.history))))[:SEEDS]
        if not seeds:
            return np.zeros(len(case.candidates))
        weights = np.array([0.5 ** (age / HALF_LIFE) for age in range(len(seeds))], dtype=np.float32)
        sharing = np.unique(columns[:, seeds].indices)[-SAMPLED:]
        alike = (matrix[sharing][:, seeds] @ weights) / (lengths[sharing] * np.linalg.norm(weights))
        nearest = np.argsort(-alike, kind="stable")[:NEIGHBOURS]
        scores = np.asarray(matrix[sharing[nearest]].T @ alike[nearest]).ravel()
        return values_at(scores, training.rows_of(case.candidates))

    return score
