"""What speaks for a candidate: a figure a signal, which the fusion weighs."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.item_statistics import FIGURES
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate, Interest
from whimbrel.tools.text.title_index import TitleIndex

Floats = NDArray[np.float64]

SIGNALS = (
    "similarity",
    "nearest",
    "last",
    "words",
    "topics",
    "shift",
    "itemknn",
    "user_knn",
    "next_item",
    "co_occurrence",
    "embedding",
    "nearest_embedding",
    "recent_popularity",
    "popularity",
    "age",
    "price",
    "repeat",
    "click_rate",
)
"""Cosine of the text vector with the interest of the short and the long term, with the nearest of the latest items, and
with the last one; how much of its title the latest TITLES hold (see `TitleIndex`); logarithm of the probability of its
topics next; cosine with the topics that a shift goes to, times its confidence; what the statistics says (see
`ItemStatistics`): the
counts as logarithms; how far the price is from the usual one, in logarithms, less than 0; whether the history holds
it; logarithm of how often it was chosen when it was shown (see `ClickRates`)."""
FROM_LOG = (
    "itemknn",
    "user_knn",
    "next_item",
    "co_occurrence",
    "embedding",
    "nearest_embedding",
    "recent_popularity",
    "popularity",
    "age",
)
"""Those that tell nothing of an item that the log does not know."""
TITLES = 10
LEAST_SHARE = 1e-4
"""Probability of a topic of which nothing is expected."""


def signals_of(
    candidates: Sequence[Candidate],
    *,
    history: Sequence[Item],
    interest: Interest,
    expected: Mapping[str, float],
    moved: float = 0.0,
    click_rates: ClickRates | None = None,
) -> Floats:
    """Standardised SIGNALS of candidates, shape (candidates, signals): mean 0 and deviation 1 over those of whom a
    signal tells something, 0 where it tells nothing. `moved` is the confidence in a named shift, else 0."""
    vectors = np.stack([candidate.vector for candidate in candidates]).astype(np.float64)
    figures = {name: np.full(len(candidates), np.nan) for name in SIGNALS}
    if interest.short is not None and interest.long is not None:
        figures["similarity"] = vectors @ (interest.short + interest.long)
    if interest.latest is not None:
        near = vectors @ interest.latest.T
        figures["nearest"], figures["last"] = near.max(axis=1), near[:, 0]
    if history:
        titles = TitleIndex([candidate.item.title for candidate in candidates])
        figures["words"] = titles.shared([item.title for item in history[-TITLES:]])
    if expected:
        figures["topics"] = np.array([_topics(candidate.item, expected) for candidate in candidates])
    if interest.predicted is not None and moved:
        figures["shift"] = vectors @ interest.predicted
    told = {name: np.array([c.statistics.get(name, np.nan) for c in candidates], dtype=np.float64) for name in FIGURES}
    figures |= {name: told[name] for name in ("user_knn", "age", "embedding", "nearest_embedding")}
    figures |= {name: np.log1p(1000 * told[name]) for name in ("itemknn", "next_item", "co_occurrence")}
    figures["recent_popularity"], figures["popularity"] = (
        np.log1p(told["recent_popularity"]),
        np.log1p(told["popularity"]),
    )
    paid = [item.price for item in history if item.price]
    if paid:
        usual = float(np.median(np.log(paid)))
        prices = [candidate.item.price for candidate in candidates]
        figures["price"] = np.array([-abs(np.log(price) - usual) if price else np.nan for price in prices])
    met = {item.item_id for item in history}
    figures["repeat"] = np.array([float(candidate.item.item_id in met) for candidate in candidates])
    if click_rates is not None:
        figures["click_rate"] = click_rates.rates([candidate.item.item_id for candidate in candidates])
    found = np.stack([standardise(figures[name]) for name in SIGNALS], axis=1)
    found[:, SIGNALS.index("shift")] *= moved
    return found


def _topics(item: Item, expected: Mapping[str, float]) -> float:
    """Logarithm of the mean probability of its topics."""
    if not item.topics:
        return np.nan
    return float(np.log(max(sum(expected.get(topic, 0.0) for topic in item.topics) / len(item.topics), LEAST_SHARE)))
