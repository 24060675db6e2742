"""Where people go from where they are."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.systems.protocol import NotApplicableError, Scorer, Settings


def markov(training: Training, settings: Settings) -> Scorer:
    """First-order Markov chain over topics, add-one smoothed: the probability of a candidate's likeliest topic after
    the topics of the last item."""
    names = sorted({topic for item in training.items for topic in item.topics})
    if not names:
        raise NotApplicableError("no item of the training log has topics")
    number = {name: place for place, name in enumerate(names)}
    topics = [[number[topic] for topic in item.topics] for item in training.items]
    counts = np.ones((len(names), len(names)))
    for session in training.sessions():
        for before, after in pairwise(session):
            for topic in topics[before]:
                counts[topic, topics[after]] += 1
    chain = counts / counts.sum(axis=1, keepdims=True)

    def score(case: BlindCase) -> NDArray[np.float64]:
        here = [number[topic] for topic in case.history[-1].topics if topic in number] if case.history else []
        there = chain[here].mean(axis=0) if here else counts.sum(axis=0) / counts.sum()
        return np.array(
            [max((there[number[t]] for t in item.topics if t in number), default=0.0) for item in case.candidates]
        )

    return score
