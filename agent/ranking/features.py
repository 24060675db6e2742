"""Compute the features of candidates. The learned ranker weighs them."""

from collections.abc import Mapping, Sequence

import numpy as np

from whimbrel.agent.ranking.modalities import Comparison
from whimbrel.agent.shift.predict import Prediction
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.log.item_statistics import STATISTICS
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidates
from whimbrel.tools.retrieval.interest import Interest
from whimbrel.tools.text.title_index import TitleIndex

FEATURES = (
    "similarity",
    "nearest",
    "last",
    "words",
    "topics",
    "shift",
    "itemknn",
    "ridge",
    "ease",
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
    "taught",
    "nearest_taught",
    "modality",
)
"""Names of the features, in the order of their columns.

similarity: cosine of the text with the short-term interest, plus its cosine with the long-term interest.
nearest, last: cosine of the text with the nearest of the latest items, and with the last item.
words: BM25 score of the title for the words of the latest TITLES titles (see `TitleIndex`).
topics: logarithm of the mean probability that the user's next event has the candidate's topics.
shift: cosine of the text with the topics that a named shift goes to, times the confidence in the shift.
itemknn ... age: statistics of the log (see `ItemStatistics`). Counts are taken as logarithms.
price: minus the distance between the logarithms of the price and of the median price paid.
repeat: 1 if the history holds the item, else 0.
click_rate: logarithm of how often the item was chosen when it was shown (see `ClickRates`).
taught, nearest_taught: cosines of taught vectors of the texts (see `ItemStatistics`).
modality: how near the item's image, sound or other vector is to those of the latest items (see `Comparison`).
"""
LOG_FEATURES = STATISTICS
"""Features that are unknown for an item that is not in the log."""
AS_THEY_ARE = ("user_knn", "age", "embedding", "nearest_embedding", "taught", "nearest_taught")
"""Statistics that are features as they are."""
TITLES = 10
"""How many of the latest titles the feature `words` reads."""
LEAST_PROBABILITY = 1e-4
"""Lowest mean probability of topics. It keeps the logarithm finite for topics that are not expected."""


def features_of(
    candidates: Candidates,
    *,
    history: Sequence[Item],
    interest: Interest,
    prediction: Prediction,
    click_rates: ClickRates | None = None,
    modalities: Mapping[str, Comparison] | None = None,
) -> Floats:
    """Compute the features of candidates.

    Args:
        candidates: At least one.
        history: The user's events in order.
        interest: The user's vectors of interest.
        prediction: The topics expected next, and the shift.
        click_rates: How often items were chosen when they were shown; None if that is unknown.
        modalities: The comparison by each modality (see `compare_modalities`).

    Returns:
        Shape (candidates, FEATURES). Each feature has mean 0 and standard deviation 1 over the candidates for which it
        is known. It is 0 for all other candidates.
    """
    items, vectors = candidates.items, candidates.vectors.astype(np.float64)
    values = {name: np.full(len(candidates), np.nan) for name in FEATURES}
    if interest.short is not None and interest.long is not None:
        values["similarity"] = vectors @ (interest.short + interest.long)
    if interest.latest is not None:
        cosines = vectors @ interest.latest.T
        values["nearest"], values["last"] = cosines.max(axis=1), cosines[:, 0]
    if history:
        titles = TitleIndex([item.title for item in items])
        values["words"] = titles.shared([item.title for item in history[-TITLES:]])
    if prediction.topics:
        values["topics"] = _topic_values(items, prediction.topics)
    shift = prediction.shift
    confidence = shift.confidence if shift.kind != "none" else 0.0
    if interest.predicted is not None and confidence:
        values["shift"] = vectors @ interest.predicted
    values |= _log_values(candidates.statistics)
    values["price"] = _price_values(items, history)
    met = {item.item_id for item in history}
    values["repeat"] = np.array([float(item.item_id in met) for item in items])
    if click_rates is not None:
        values["click_rate"] = click_rates.rates([item.item_id for item in items])
    if modalities:
        values["modality"] = np.mean([compared.figures for compared in modalities.values()], axis=0)
    features = np.stack([standardise(values[name]) for name in FEATURES], axis=1)
    # Standardising removes the factor of confidence, so the feature is multiplied by it again.
    features[:, FEATURES.index("shift")] *= confidence
    return features


def _topic_values(items: Sequence[Item], expected: Mapping[str, float]) -> Floats:
    means = {
        topics: sum(expected.get(topic, 0.0) for topic in topics) / len(topics) if topics else np.nan
        for topics in {item.topics for item in items}
    }
    return np.log(np.maximum([means[item.topics] for item in items], LEAST_PROBABILITY))


def _log_values(statistics: Floats) -> dict[str, Floats]:
    figures = dict(zip(STATISTICS, statistics.T, strict=True))
    values = {name: figures[name] for name in AS_THEY_ARE}
    # Sums of cosines are small. They are scaled up, since log1p of a small number is almost the number itself.
    values |= {name: np.log1p(1000 * figures[name]) for name in ("itemknn", "next_item", "co_occurrence")}
    # Regressions may predict less than nothing.
    values |= {name: np.log1p(1000 * np.maximum(figures[name], 0.0)) for name in ("ridge", "ease")}
    return values | {name: np.log1p(figures[name]) for name in ("recent_popularity", "popularity")}


def _price_values(items: Sequence[Item], history: Sequence[Item]) -> Floats:
    paid = [item.price for item in history if item.price]
    if not paid:
        return np.full(len(items), np.nan)
    usual = float(np.median(np.log(paid)))
    return np.array([-abs(np.log(item.price) - usual) if item.price else np.nan for item in items])
