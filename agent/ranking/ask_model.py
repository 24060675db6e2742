"""Ask a language model about the best candidates, and return what it says in figures that the ranker weighs."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.graded_order import OrderQuestion, order_options
from whimbrel.agent.language_models.model_answer import ModelAnswer
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.reading.events_shown import events_shown, item_line, moment_words
from whimbrel.agent.reading.read_person import NO_READING, Reading
from whimbrel.tools.arrays import standardise
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.titles import TITLE_LENGTH, short_titles

Floats = NDArray[np.float64]

ORDER_EVENTS = 15
"""The latest distinct events that the order prompt shows. The reading tells of the earlier ones."""
LEAST_TOGETHER = 3
"""The log is quoted on two items if at least this many people have both. Fewer may be chance."""


@dataclass(frozen=True)
class Wish:
    """A stated wish: its words, and one unit vector of the words and of the items that the user wants more like."""

    words: str = ""
    vector: Vectors | None = None


@dataclass(frozen=True)
class Person:
    """What ranking knows of the person who asks.

    Attributes:
        history: The events in order of time.
        wish: What the person said they want.
        reading: What a capable model read.
        at: The moment in Unix seconds, or None if no times are known.
        situation: The situation at that moment.
        p_topic_change: The probability that the next event has none of the latest topics; None if unknown.
    """

    history: Sequence[Item] = ()
    wish: Wish = field(default_factory=Wish)
    reading: Reading = NO_READING
    at: float | None = None
    situation: Mapping[str, str] = field(default_factory=dict)
    p_topic_change: float | None = None


def ask_model(candidates: Sequence[Candidate], person: Person, model: ModelAccess, *, directions: int) -> ModelAnswer:
    """Ask a model which of some candidates comes next.

    A small model that gives likelihoods is asked for those of the titles. Any other model is asked for an order.

    Args:
        candidates: The best candidates, the best first.
        person: The person who asks.
        model: The language model. It must be there.
        directions: In how many directions a model that orders is shown the candidates.
    """
    if model.llm is None:
        return ModelAnswer()
    if not model.orders:
        scores = score_options(
            model.llm,
            history=short_titles(person.history),
            wish=person.wish.words,
            options=short_titles([candidate.item for candidate in candidates]),
            likelihood_cache=model.likelihood_cache,
            language=model.language,
        )
        return ModelAnswer(scores.figures(), scores.usage, scores.warnings)
    shuffled = _shuffled(candidates)
    question = OrderQuestion(
        history=events_shown(person.history, most=ORDER_EVENTS, zone=model.zone).text,
        reading=person.reading.words,
        moment=moment_words(person.at, person.situation, zone=model.zone),
        wish=person.wish.words,
    )
    titles = {item.item_id: item.title for item in person.history}
    options = [_option(candidates[row], titles) for row in shuffled]
    order = order_options(model.llm, question, options, directions=directions, language=model.language)
    return replace(order, figures={name: values[np.argsort(shuffled)] for name, values in order.figures.items()})


def reading_figures(vectors: Vectors, reading: Reading) -> dict[str, Floats]:
    """Return how near the text vector of each candidate is to the phrases of a reading, standardised.

    Args:
        vectors: Shape (candidates, 384).
        reading: What a model read of the person.

    Returns:
        Shape (candidates,) each.
    """
    phrases = {"phrases": reading.phrase_vectors, "unwanted": reading.unwanted_vectors}
    return {
        name: standardise((vectors @ of_phrases.T).max(axis=1).astype(np.float64))
        for name, of_phrases in phrases.items()
        if of_phrases is not None
    }


def _shuffled(candidates: Sequence[Candidate]) -> NDArray[np.int64]:
    """Return an order of the candidates that says nothing, since a model takes the order that it is shown as a hint.

    It depends on the set of candidates alone, and not on how they are ranked. A repeated request is then answered from
    the cache of replies, even if weights have changed in between.
    """
    ids = [candidate.item.item_id for candidate in candidates]
    seed = " ".join(sorted(ids))
    return np.argsort([zlib.crc32(f"{item_id} {seed}".encode()) for item_id in ids], kind="stable")


def _option(candidate: Candidate, titles: Mapping[str, str]) -> str:
    """Return a candidate in one line, with what the log says of it. `titles` are those of the history, keyed by id."""
    facts = [item_line(candidate.item)]
    if candidate.item.item_id in titles:
        facts.append("had before")
    popularity = int(candidate.statistics.get("popularity", 0))
    if popularity:
        facts.append(f"chosen by {popularity}")
    together = {item_id: count for item_id, count in candidate.seed_users.items() if item_id in titles}
    nearest = max(together, key=lambda item_id: candidate.seed_cosines.get(item_id, 0.0), default=None)
    if nearest is not None and together[nearest] >= LEAST_TOGETHER:
        facts.append(f"{together[nearest]} of them also chose {titles[nearest][:TITLE_LENGTH]!r}")
    return "; ".join(facts)
