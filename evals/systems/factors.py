"""Matrix factorisation of sessions and items (`implicit`, `lightfm`).

The user of a case may be missing from the training log. ALS solves for the user's vector from the history. BPR and
LightFM learn the vectors of users in training. For an unknown user they take the mean vector of the history's items.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import Scorer, Settings

FACTORS = 64
ALS_ITERATIONS, BPR_ITERATIONS, LIGHTFM_EPOCHS = 15, 100, 20

Floats = NDArray[np.float64]


def als(training: Training, settings: Settings) -> Scorer:
    """Score by alternating least squares for implicit feedback (Hu et al., 2008), 64 factors."""
    from scipy.sparse import csr_matrix

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # implicit warns about the number of BLAS threads
        from implicit.cpu.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=FACTORS, iterations=ALS_ITERATIONS, random_state=settings.seed, num_threads=1
        )
        model.fit(training.matrix, show_progress=False)

    def score(case: BlindCase) -> Floats:
        rows = sorted(set(training.known_rows(case.history)))
        if not rows:
            return np.zeros(len(case.candidates))
        ones = np.ones(len(rows), dtype=np.float32)
        history = csr_matrix((ones, ([0] * len(rows), rows)), shape=(1, len(training.items)))
        person = np.asarray(model.recalculate_user(0, history)).ravel()
        return values_at(np.asarray(model.item_factors) @ person, training.rows_of(case.candidates))

    return score


def bpr(training: Training, settings: Settings) -> Scorer:
    """Score by Bayesian personalised ranking (Rendle et al., 2009), 64 factors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=FACTORS - 1,  # implicit adds a column of biases
            iterations=BPR_ITERATIONS,
            random_state=settings.seed,
            num_threads=1,
        )
        model.fit(training.matrix, show_progress=False)
    return _scorer(training, np.asarray(model.user_factors), np.asarray(model.item_factors))


def lightfm(training: Training, settings: Settings) -> Scorer:
    """Score by LightFM with the WARP loss and topics as item features (Kula, 2015), 64 factors."""
    from lightfm import LightFM

    features = _features(training)
    model = LightFM(no_components=FACTORS, loss="warp", random_state=settings.seed)
    model.fit(training.matrix, item_features=features, epochs=LIGHTFM_EPOCHS, num_threads=1)
    biases, factors = model.get_item_representations(features)
    _, users = model.get_user_representations()
    # The bias of an item is one more factor, which is 1 for every user.
    ones = np.ones((len(users), 1))
    return _scorer(training, np.hstack([users, ones]), np.hstack([factors, biases[:, None]]))


def _features(training: Training) -> Any:
    """Return the features of each item as a CSR matrix of ones, shape (items, items + topics).

    The features of an item are the item itself and its topics.
    """
    from scipy.sparse import csr_matrix

    names = sorted({topic for item in training.items for topic in item.topics})
    number = {name: len(training.items) + column for column, name in enumerate(names)}
    pairs = [(row, row) for row in range(len(training.items))]
    pairs += [(row, number[topic]) for row, item in enumerate(training.items) for topic in item.topics]
    rows, columns = zip(*pairs, strict=True)
    ones = np.ones(len(pairs), dtype=np.float32)
    return csr_matrix((ones, (rows, columns)), shape=(len(training.items), len(training.items) + len(names)))


def _scorer(training: Training, users: Floats, items: Floats) -> Scorer:
    """Score by the inner product of the user's vector and the item's vector.

    Of somebody unknown, the mean vector of the history's items stands in, without a history that of all users.
    """
    known = {user_id: session for session, user_id in enumerate(training.user_ids) if user_id}

    def score(case: BlindCase) -> Floats:
        session = known.get(case.user_id)
        rows = training.known_rows(case.history)
        unknown = items[rows].mean(axis=0) if rows else users.mean(axis=0)
        person = unknown if session is None else users[session]
        return values_at(items @ person, training.rows_of(case.candidates))

    return score
