"""Transitions between topics."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems.protocol import NotApplicableError, Scorer, Settings


def markov(training: Training, settings: Settings) -> Scorer:
    """Score by a first-order Markov chain over topics, with add-one smoothing.

    The score of a candidate is the probability of its likeliest topic, given the topics of the last item.
    """
    names = sorted({topic for item in training.items for topic in item.topics})
    if not names:
        raise NotApplicableError("no item of the training log has topics")
    number = {name: column for column, name in enumerate(names)}
    topics = [[number[topic] for topic in item.topics] for item in training.items]
    counts = np.ones((len(names), len(names)))  # add-one smoothing: every transition is possible
    for session in training.sessions():
        for before, after in pairwise(session):
            for topic in topics[before]:
                counts[topic, topics[after]] += 1
    chain = counts / counts.sum(axis=1, keepdims=True)

    def score(case: BlindCase) -> NDArray[np.float64]:
        last = [number[topic] for topic in case.history[-1].topics if topic in number] if case.history else []
        probability = chain[last].mean(axis=0) if last else counts.sum(axis=0) / counts.sum()
        return np.array(
            [max((probability[number[t]] for t in item.topics if t in number), default=0.0) for item in case.candidates]
        )

    return score
