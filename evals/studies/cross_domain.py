"""Learn boundaries of intent in one domain and find them in another.

Only the metrics read the labels of the domain under test. The spread of its features is used, which needs no labels.
Weights and thresholds come from the domain that is learned from. The threshold is chosen by cross-validation: the
sessions that choose it are held out from the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.cases import BoundaryCase, Problem, read_boundary_cases
from whimbrel.agent.profile.segment import (
    Segmenter,
    Spread,
    likenesses,
    probabilities,
    shrunk_spread,
    switch_features,
)
from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.decisions import measure_decisions
from whimbrel.evals.runs.document import without_nan
from whimbrel.evals.studies.boundaries import BOUNDARY_SYSTEMS
from whimbrel.tools.errors import DataError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.text.item_vectors import title_vectors

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

METRICS = ("precision", "recall", "f1", "average_precision", "brier", "ece")
LIST = "Shopping list:\n-"
"""A language model reads this before the titles of a session, which follow one per line."""
FOLDS = 5
"""Number of folds of sessions when the threshold is chosen."""
SMALLEST = 1e-9
"""Added to standard deviations, since they may be 0."""
NEWTON_STEPS = 12
RULES = ("always", "topic-change", "similarity")
"""Systems that do not learn. Only the threshold of `similarity` is learned."""
RIDGE_LIKENESSES, RIDGE_FEATURES = 1.0, 10.0
"""Ridge penalties of the two regressions, whose columns are standardised."""


@dataclass(frozen=True)
class Domain:
    """The labelled sessions of a file.

    Attributes:
        name: Name of the domain.
        cases: The sessions.
        likenesses: The likenesses of all pairs of items, one array for each session.
        truth: Whether the intent switches, for each pair of neighbouring items of all sessions, shape (pairs,).
        known: Whether each pair is labelled, shape (pairs,).
        session: The session of each pair, shape (pairs,).
        gains: How much likelier the second title of each pair becomes after the session so far, shape (pairs, 1). The
            shape is (pairs, 0) if no language model was asked.
    """

    name: str
    cases: tuple[BoundaryCase, ...]
    likenesses: tuple[Floats, ...]
    truth: Truth
    known: Truth
    session: NDArray[np.int64]
    gains: Floats

    def without_gains(self) -> "Domain":
        """Return the domain as if no language model had been asked."""
        return replace(self, gains=self.gains[:, :0])


def read_domain(
    path: Path, *, model: LanguageModel | None = None, limit: int | None = None, progress: Progress | None = None
) -> Domain:
    """Read the sessions of a file that have a labelled pair, at most the first `limit`.

    Raises:
        DataError: the file cannot be read, a line is invalid, or no pair is labelled.
        ModelError: the language model gives no likelihoods.
    """
    progress = progress or NoProgress()
    cases: list[BoundaryCase] = []
    for case in read_boundary_cases(path):
        if isinstance(case, Problem):
            raise DataError(f"{str(path)!r}, {case}")
        if any(label is not None for label in case.switch):
            cases.append(case)
        if len(cases) == limit:
            break
    if not cases:
        raise DataError(f"{str(path)!r} has no labelled pair")
    gains = None
    if model is not None:
        gains = []
        progress.step(f"Asking the language model ({path.stem})", len(cases))
        for case in cases:
            gains.append(title_gains(model, case))
            progress.advance(1)
    return domain_of(path.stem, cases, gains)


def domain_of(name: str, cases: Sequence[BoundaryCase], gains: Sequence[Floats] | None = None) -> Domain:
    """Build a domain.

    Args:
        name: Name of the domain.
        cases: The sessions.
        gains: For each session an array as long as its `switch`. NaN is replaced by the mean.
    """
    title_vectors([item for case in cases for item in case.items])  # encodes all titles in one batch; then cached
    labels = [label for case in cases for label in case.switch]
    column = np.concatenate(gains)[:, None] if gains is not None else np.empty((len(labels), 0))
    return Domain(
        name,
        tuple(cases),
        tuple(likenesses(case.items) for case in cases),
        np.array([label is True for label in labels]),
        np.array([label is not None for label in labels]),
        np.repeat(np.arange(len(cases)), [len(case.switch) for case in cases]),
        np.where(np.isnan(column), np.nanmean(column, axis=0), column) if gains is not None else column,
    )


def title_gains(model: LanguageModel, case: BoundaryCase) -> Floats:
    """Ask a model how much likelier each title becomes after the session so far. The first title is left out.

    Returns:
        Nats per token, shape (pairs,). NaN for pairs without a label, since the model is not asked about them.

    Raises:
        ModelError: the model gives no likelihoods.
    """
    titles = [f" {item.title}" for item in case.items]
    asked = [position for position, label in enumerate(case.switch, start=1) if label is not None]
    alone = model.log_likelihood(LIST, [titles[position] for position in asked]).values
    gains = np.full(len(case.switch), np.nan)
    for position, without_session in zip(asked, alone, strict=True):
        prompt = LIST + "\n-".join(titles[:position]) + "\n-"
        (with_session,) = model.log_likelihood(prompt, [titles[position]]).values
        gains[position - 1] = (with_session - without_session) / max(model.count_tokens(titles[position]), 1)
    return gains


def learn_without_gains(domains: Sequence[Domain]) -> Segmenter:
    """Learn a segmenter from several domains without a language model, like the one that is shipped."""
    return learn(*(domain.without_gains() for domain in domains))


def learn(*domains: Domain) -> Segmenter:
    """Learn a segmenter from the labelled pairs of domains. Each domain is standardised by its own spread.

    The threshold gives the best F1 on these pairs. For this, the probabilities of each session come from weights that
    were learned without that session.
    """
    folds = [(np.random.default_rng(0).permutation(len(domain.cases)) % FOLDS)[domain.session] for domain in domains]
    held_out = [np.zeros(len(domain.truth)) for domain in domains]
    for number in range(FOLDS):
        training = [domain.known & (fold != number) for domain, fold in zip(domains, folds, strict=True)]
        segmenter = _learn_weights(domains, training)
        for domain, fold, probability in zip(domains, folds, held_out, strict=True):
            probability[fold == number] = find(domain, segmenter)[fold == number]
    known = [domain.known for domain in domains]
    switch = best_threshold(_joined([domain.truth for domain in domains], known), _joined(held_out, known))
    return replace(_learn_weights(domains, known), switch=switch)


def _learn_weights(domains: Sequence[Domain], rows: Sequence[Truth]) -> Segmenter:
    """Learn from these pairs of each domain: first the weights of likenesses, then the weights of their features."""
    truth = _joined([domain.truth for domain in domains], rows)
    neighbours = [np.concatenate([np.diagonal(alike, 1).T for alike in domain.likenesses]) for domain in domains]
    training = [pairs[wanted] for pairs, wanted in zip(neighbours, rows, strict=True)]
    # Each domain is centred by itself. All domains share a scale, so that their likenesses can be compared.
    scale = np.mean([pairs.std(axis=0) for pairs in training], axis=0) + SMALLEST
    centred = np.concatenate([(pairs - pairs.mean(axis=0)) / scale for pairs in training])
    _, weights_of_switch = _regression(centred, truth, RIDGE_LIKENESSES)
    likeness = tuple((-weights_of_switch / scale).tolist())  # likeness is evidence against a switch
    features = [features_of(domain, likeness) for domain in domains]
    means = [columns.mean(axis=0) for columns in features]
    deviations = [columns.std(axis=0) + SMALLEST for columns in features]
    standard = [
        (columns - mean) / deviation for columns, mean, deviation in zip(features, means, deviations, strict=True)
    ]
    bias, weights = _regression(_joined(standard, rows), truth, RIDGE_FEATURES)
    usual = Spread(tuple(np.mean(means, axis=0).tolist()), tuple(np.mean(deviations, axis=0).tolist()))
    return Segmenter(likeness, bias, tuple(weights.tolist()), usual, binary.THRESHOLD)


def _joined(arrays: Sequence[NDArray[Any]], rows: Sequence[Truth]) -> NDArray[Any]:
    return np.concatenate([array[wanted] for array, wanted in zip(arrays, rows, strict=True)])


def features_of(domain: Domain, likeness: Sequence[float]) -> Floats:
    """Return the features of all pairs. If the gains of titles are known, they are the last column."""
    features = np.concatenate([switch_features(alike @ np.array(likeness)) for alike in domain.likenesses])
    return np.concatenate([features, domain.gains], axis=1)


def find(domain: Domain, segmenter: Segmenter) -> Floats:
    """Return the probability of a switch for each pair of a domain. Features are standardised by their own spread."""
    features = features_of(domain, segmenter.likeness)
    return probabilities(features, shrunk_spread(features, segmenter.spread), segmenter)


def _regression(columns: Floats, truth: Truth, ridge: float) -> tuple[float, Floats]:
    """Return the bias and weights of a logistic regression whose penalty is half of `ridge` times the squared weights.

    It is solved here by Newton's method, since scikit-learn refuses outcomes that are all equal. The outcomes of a few
    sessions may be all equal.
    """
    inputs = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    # The bias has a tiny penalty, which keeps the system solvable if all outcomes are equal.
    penalty = np.diag([1e-6, *[ridge] * columns.shape[1]])
    weights = np.zeros(inputs.shape[1])
    for _ in range(NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (probability - truth) + penalty @ weights
        curvature = (inputs.T * (probability * (1 - probability))) @ inputs + penalty
        weights -= np.linalg.solve(curvature, slope)
    return float(weights[0]), weights[1:]


def best_threshold(truth: Truth, probability: Floats) -> float:
    """Return the threshold with the best F1, the highest one on ties. At or above it, the answer is yes.

    Example:
        >>> best_threshold(np.array([True, True, False]), np.array([0.9, 0.6, 0.1]))
        0.6
    """
    thresholds = np.unique(probability)[::-1]
    positives = len(probability) - np.searchsorted(np.sort(probability), thresholds)
    true_positives = truth.sum() - np.searchsorted(np.sort(probability[truth]), thresholds)
    return float(thresholds[np.argmax(2 * true_positives / (positives + truth.sum()))])


def measure_both_directions(
    first: Domain, second: Domain, *, seed: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Learn in each of the two domains and test in the other one."""
    progress = progress or NoProgress()
    progress.step("Learning and testing", 2)
    transfers = []
    for learned_in, tested_on in ((first, second), (second, first)):
        transfers.append(measure_transfer(learned_in, tested_on, seed=seed))
        progress.advance(1)
    return {"transfer": transfers}


def measure_transfer(learned_in: Domain, tested_on: Domain, *, seed: int) -> dict[str, Any]:
    """Measure each system in one domain after it learned in the other.

    Returns:
        Metrics with 95% bootstrap intervals over sessions. The system `whimbrel with likelihoods` is included if a
        language model was asked in both domains.
    """
    known = tested_on.known
    rows = np.arange(known.sum())
    groups = [rows[tested_on.session[known] == session] for session in range(len(tested_on.cases))]
    truth = tested_on.truth[known]
    systems = {}
    for name in RULES:
        threshold = binary.THRESHOLD
        if name == "similarity":
            threshold = best_threshold(learned_in.truth[learned_in.known], _rule(name, learned_in))
        systems[name] = measure_decisions(truth, _rule(name, tested_on), groups, seed=seed, threshold=threshold)
    variants = {"whimbrel": (learned_in.without_gains(), tested_on.without_gains())}
    if learned_in.gains.shape[1] and tested_on.gains.shape[1]:
        variants["whimbrel with likelihoods"] = (learned_in, tested_on)
    for name, (training, test) in variants.items():
        segmenter = learn(training)
        probability = find(test, segmenter)[known]
        systems[name] = measure_decisions(truth, probability, groups, seed=seed, threshold=segmenter.switch)
    document: dict[str, Any] = without_nan(
        {
            "learned in": learned_in.name,
            "tested on": tested_on.name,
            "sessions": len(tested_on.cases),
            "labelled pairs": len(truth),
            "switches": int(truth.sum()),
            "system": systems,
        }
    )
    return document


def _rule(name: str, domain: Domain) -> Floats:
    """Return the probabilities of a system that does not learn, for the labelled pairs."""
    return np.concatenate(BOUNDARY_SYSTEMS[name]([case.items for case in domain.cases]))[domain.known]


def markdown(document: dict[str, Any]) -> str:
    """Return the results of `measure_both_directions` as Markdown tables."""
    lines = []
    for transfer in document["transfer"]:
        lines += [
            f"### Learned in {transfer['learned in']}, tested on {transfer['tested on']}: "
            f"{transfer['labelled pairs']} pairs in {transfer['sessions']} sessions, {transfer['switches']} switches",
            "",
            "| system | n | threshold | " + " | ".join(metric.replace("_", " ") for metric in METRICS) + " |",
            "|---" * (len(METRICS) + 3) + "|",
        ]
        for name, row in transfer["system"].items():
            cells = [_cell(row, metric) for metric in METRICS]
            lines.append(f"| {name} | {row['n']} | {_figure(row['threshold'])} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(
        [*lines, "Intervals: 95%, bootstrap over sessions. Thresholds come from the domain that is learned from."]
    )


def _cell(row: dict[str, Any], metric: str) -> str:
    ends = row.get(f"{metric}_ci")
    return _figure(row[metric]) + (f" [{_figure(ends[0])}, {_figure(ends[1])}]" if ends else "")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0") if value >= 0 else f"{value:.3f}"
