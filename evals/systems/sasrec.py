"""Self-attention over the sequence of a history (`rectools`, extra `whimbrel[sasrec]`)."""

import logging
import math
import warnings

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems.protocol import Scorer, Settings

FACTORS, LONGEST, BATCH = 64, 50, 128
UPDATES, MOST_EPOCHS = 1000, 100
"""Training takes UPDATES gradient steps, whatever the size of the log, but at most MOST_EPOCHS epochs."""
WHOLE_SOFTMAX, NEGATIVES = 10_000, 128
"""Up to WHOLE_SOFTMAX items, the loss is the softmax over all of them. Above, it uses NEGATIVES sampled items."""


def sasrec(training: Training, settings: Settings) -> Scorer:
    """Score by SASRec (Kang & McAuley, 2018) with a softmax loss, as in RecTools. Unknown candidates come last.

    A session longer than the model's input is cut into pieces, so that the model learns from the whole session.
    """
    pieces = _pieces(training)
    steps = math.ceil((int(pieces[-1]) + 1) / BATCH) if len(pieces) else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        import torch
        from pytorch_lightning import seed_everything
        from rectools.dataset import Dataset
        from rectools.models import SASRecModel

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        seed_everything(settings.seed, verbose=False)
        torch.use_deterministic_algorithms(True)  # equal manifests must give equal rankings
        model = SASRecModel(
            epochs=min(math.ceil(UPDATES / steps), MOST_EPOCHS),
            loss="softmax" if len(training.items) <= WHOLE_SOFTMAX else "sampled_softmax",
            n_negatives=NEGATIVES,
            batch_size=BATCH,
            n_factors=FACTORS,
            session_max_len=LONGEST,
            n_blocks=2,
            n_heads=2,
            deterministic=True,
            verbose=0,
        )
        # RecTools sorts by time. The position in the log replaces the time, so that a log without times works too.
        order = np.arange(len(training.rows))
        interactions = pd.DataFrame({"user_id": pieces, "item_id": training.rows, "weight": 1.0, "datetime": order})
        interactions["datetime"] = pd.to_datetime(interactions["datetime"], unit="s")
        model.fit(Dataset.construct(interactions))
    learned = set(np.unique(training.rows).tolist())

    def score(case: BlindCase) -> NDArray[np.float64]:
        rows = training.known_rows(case.history)[-LONGEST:]
        candidates = training.rows_of(case.candidates)
        known = [int(row) for row in candidates if row in learned]
        scores = np.full(len(candidates), -np.inf)
        if not rows or not known:
            return scores
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = pd.DataFrame(
                {
                    "user_id": 0,
                    "item_id": rows,
                    "weight": 1.0,
                    "datetime": pd.to_datetime(np.arange(len(rows)), unit="s"),
                }
            )
            recommended = model.recommend(
                [0], Dataset.construct(history), k=len(known), filter_viewed=False, items_to_recommend=known
            )
        score_of = dict(zip(recommended["item_id"], recommended["score"], strict=True))
        return np.array([score_of.get(int(row), -np.inf) for row in candidates], dtype=np.float64)

    return score


def _pieces(training: Training) -> NDArray[np.int64]:
    """Return the piece of each interaction. A session is cut into pieces of LONGEST + 1 items."""
    within = np.arange(len(training.rows)) - training.offsets[training.session_of]
    starts = (within % (LONGEST + 1)) == 0
    return np.asarray(np.cumsum(starts) - 1, dtype=np.int64)
