"""EASE: a ridge regression of each item on all others, in closed form."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import Scorer, Settings
from whimbrel.tools.log.ease import Ease, ease_weights


def ease(training: Training, settings: Settings) -> Scorer:
    """Score by EASE (Steck, 2019), with the penalty that held-out sessions choose. Later items weigh more."""
    weights = ease_weights(training.matrix, seed=settings.seed)
    model = Ease([item.item_id for item in training.items], weights, until=np.inf)

    def score(case: BlindCase) -> NDArray[np.float64]:
        latest_first = dict.fromkeys(reversed(training.known_rows(case.history)))
        return values_at(model.scores(np.array(list(latest_first), dtype=np.int64)), training.rows_of(case.candidates))

    return score
