"""Item embeddings and topic models from `gensim`. A session serves as a sentence or a document."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training, values_at
from whimbrel.evals.systems.protocol import Scorer, Settings

FACTORS, EPOCHS = 64, 10
LATEST = 10
"""Latest items of the history that item2vec averages."""
TOPICS, PASSES = 50, 5


def item2vec(training: Training, settings: Settings) -> Scorer:
    """Score by the cosine with the mean skip-gram vector of the latest ten items (Barkan & Koenigstein, 2016)."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        [[str(row) for row in session] for session in training.sessions()],
        vector_size=FACTORS,
        window=5,
        min_count=1,
        sg=1,
        negative=10,
        epochs=EPOCHS,
        seed=settings.seed,
        workers=1,  # more would make the vectors depend on how threads are scheduled
        hashfxn=_hash,
    )
    vectors = np.zeros((len(training.items), FACTORS))
    # Items without interactions keep the zero vector, so they score 0.
    for row in np.flatnonzero(training.counts):
        vectors[row] = model.wv[str(row)] / max(float(np.linalg.norm(model.wv[str(row)])), 1e-12)

    def score(case: BlindCase) -> NDArray[np.float64]:
        rows = training.known_rows(case.history)[-LATEST:]
        if not rows:
            return np.zeros(len(case.candidates))
        return values_at(vectors @ vectors[rows].mean(axis=0), training.rows_of(case.candidates))

    return score


def _hash(text: str) -> int:
    """Hash a text to the same number in every run. Python's own `hash` differs between runs."""
    return zlib.crc32(text.encode())


def lda(training: Training, settings: Settings) -> Scorer:
    """Score by the probability of an item under the topics of the history (Blei et al., 2003)."""
    from gensim.models import LdaModel

    def words(rows: Any) -> list[tuple[int, int]]:
        unique, counts = np.unique(rows, return_counts=True)
        return [(int(row), int(count)) for row, count in zip(unique, counts, strict=True)]

    model = LdaModel(
        [words(session) for session in training.sessions()],
        id2word={row: str(row) for row in range(len(training.items))},
        num_topics=TOPICS,
        passes=PASSES,
        random_state=settings.seed,
    )
    items = model.get_topics()

    def score(case: BlindCase) -> NDArray[np.float64]:
        mixture = np.zeros(TOPICS)
        for topic, share in model.get_document_topics(words(training.known_rows(case.history)), minimum_probability=0):
            mixture[topic] = share
        return values_at(mixture @ items, training.rows_of(case.candidates))

    return score
