"""Boundaries of intent learned in one domain and found in another: `whimbrel eval cross-domain ONE OTHER`.

Labels of the domain tested on are read by the metrics alone. Of its sessions the spread of features is known, which
takes no labels; weights and thresholds come from the domain learned in, a threshold from sessions that the weights it
is chosen for were not learned from.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.cases import BoundaryCase, Problem, read_boundary_cases
from whimbrel.agent.profile.segment import (
    Segmenter,
    Spread,
    drawn_together,
    likenesses,
    probabilities,
    switch_features,
)
from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.decisions import measured
from whimbrel.evals.runs.results import without_nan
from whimbrel.evals.studies.boundaries import BOUNDARY_SYSTEMS
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.text.item_vectors import title_vectors

Floats = NDArray[np.float64]

METRICS = ("precision", "recall", "f1", "average_precision", "brier", "ece")
LIST = "Shopping list:\n-"
"""What a language model reads before the titles of a session, one a line."""
FOLDS = 5
LEAST = 1e-9
"""Added to deviations that may be none."""
NEWTON_STEPS = 12
RULES = ("always", "topic-change", "similarity")
"""Systems that learn nothing, but for the threshold of similarity."""
SHRINK_LIKENESSES, SHRINK_FEATURES = 1.0, 10.0
"""Of the ridge of either regression, on standardised columns."""


@dataclass(frozen=True)
class Domain:
    """Sessions of a file. Of all pairs of neighbours, one behind the other: whether the intent switches there (where
    `known`), which session they are of, and what a title gains by the session before it (shape (pairs, 0) where no
    language model was asked)."""

    name: str
    cases: tuple[BoundaryCase, ...]
    alike: tuple[Floats, ...]
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]
    session: NDArray[np.int64]
    gains: Floats


def read_domain(path: Path, *, model: LanguageModel | None = None, limit: int | None = None) -> Domain:
    """The sessions of a file that have a labelled pair, the first `limit` of them.

    Raises:
        DataError: the file cannot be read, a line is wrong, or no pair is labelled.
        ModelError: the language model gives no likelihoods.
    """
    cases: list[BoundaryCase] = []
    for read in read_boundary_cases(path):
        if isinstance(read, Problem):
            raise DataError(f"{str(path)!r}, {read}")
        if any(label is not None for label in read.switch):
            cases.append(read)
        if len(cases) == limit:
            break
    if not cases:
        raise DataError(f"{str(path)!r} holds no labelled pair")
    return domain_of(path.stem, cases, [title_gains(model, case) for case in cases] if model else None)


def domain_of(name: str, cases: Sequence[BoundaryCase], gains: Sequence[Floats] | None = None) -> Domain:
    """Sessions as a domain; `gains` has an array a session, as long as its `switch`. Absent ones are taken as usual."""
    title_vectors([item for case in cases for item in case.items])  # encoded together, then remembered
    labels = [label for case in cases for label in case.switch]
    gained = np.concatenate(gains)[:, None] if gains is not None else np.empty((len(labels), 0))
    return Domain(
        name,
        tuple(cases),
        tuple(likenesses(case.items) for case in cases),
        np.array([label is True for label in labels]),
        np.array([label is not None for label in labels]),
        np.repeat(np.arange(len(cases)), [len(case.switch) for case in cases]),
        np.where(np.isnan(gained), np.nanmean(gained, axis=0), gained) if gains is not None else gained,
    )


def title_gains(model: LanguageModel, case: BoundaryCase) -> Floats:
    """How much likelier the session so far makes each title but the first, in nats a token, shape (pairs,); NaN where
    no label is known: nothing is asked there.

    Raises:
        ModelError: the model gives no likelihoods.
    """
    titles = [f" {item.title}" for item in case.items]
    asked = [place for place, label in enumerate(case.switch, start=1) if label is not None]
    alone = model.log_likelihood(LIST, [titles[place] for place in asked]).values
    found = np.full(len(case.switch), np.nan)
    for place, before in zip(asked, alone, strict=True):
        (behind,) = model.log_likelihood(LIST + "\n-".join(titles[:place]) + "\n-", [titles[place]]).values
        found[place - 1] = (behind - before) / max(model.count_tokens(titles[place]), 1)
    return found


def learn(*domains: Domain) -> Segmenter:
    """A segmenter of the labelled pairs of domains, each seen by its own spread. Its threshold gives the best F1 on
    them where each session's probabilities come from weights learned without it."""
    folds = [(np.random.default_rng(0).permutation(len(domain.cases)) % FOLDS)[domain.session] for domain in domains]
    unseen = [np.zeros(len(domain.truth)) for domain in domains]
    for number in range(FOLDS):
        seen = [domain.known & (fold != number) for domain, fold in zip(domains, folds, strict=True)]
        weights = _learned(domains, seen)
        for domain, fold, said in zip(domains, folds, unseen, strict=True):
            said[fold == number] = find(domain, weights)[fold == number]
    known = [domain.known for domain in domains]
    switch = best_threshold(_joined([domain.truth for domain in domains], known), _joined(unseen, known))
    return replace(_learned(domains, known), switch=switch)


def _learned(domains: Sequence[Domain], rows: Sequence[NDArray[np.bool_]]) -> Segmenter:
    truth = _joined([domain.truth for domain in domains], rows)
    pairs = [np.concatenate([np.diagonal(alike, 1).T for alike in domain.alike]) for domain in domains]
    seen = [found[wanted] for found, wanted in zip(pairs, rows, strict=True)]
    scale = np.mean([found.std(axis=0) for found in seen], axis=0) + LEAST
    centred = np.concatenate([(found - found.mean(axis=0)) / scale for found in seen])
    _, unlike = _regression(centred, truth, SHRINK_LIKENESSES)
    likeness = tuple((-unlike / scale).tolist())
    features = [features_of(domain, likeness) for domain in domains]
    means = [found.mean(axis=0) for found in features]
    deviations = [found.std(axis=0) + LEAST for found in features]
    standard = [(found - mean) / by for found, mean, by in zip(features, means, deviations, strict=True)]
    bias, weights = _regression(_joined(standard, rows), truth, SHRINK_FEATURES)
    usual = Spread(tuple(np.mean(means, axis=0).tolist()), tuple(np.mean(deviations, axis=0).tolist()))
    return Segmenter(likeness, bias, tuple(weights.tolist()), usual, binary.THRESHOLD)


def _joined(arrays: Sequence[NDArray[Any]], rows: Sequence[NDArray[np.bool_]]) -> NDArray[Any]:
    return np.concatenate([array[wanted] for array, wanted in zip(arrays, rows, strict=True)])


def features_of(domain: Domain, likeness: Sequence[float]) -> Floats:
    """Features of all pairs and, in the last column, what the titles gain where that is known."""
    found = np.concatenate([switch_features(alike @ np.array(likeness)) for alike in domain.alike])
    return np.concatenate([found, domain.gains], axis=1)


def find(domain: Domain, segmenter: Segmenter) -> Floats:
    """Probabilities of all pairs of a domain, among the spread of its own features."""
    features = features_of(domain, segmenter.likeness)
    return probabilities(features, drawn_together(features, segmenter.spread), segmenter)


def _regression(columns: Floats, truth: NDArray[np.bool_], shrink: float) -> tuple[float, Floats]:
    """Bias and weights of a logistic regression with half of `shrink` times the squared weights as its penalty."""
    inputs = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    ridge = np.diag([1e-6, *[shrink] * columns.shape[1]])
    found = np.zeros(inputs.shape[1])
    for _ in range(NEWTON_STEPS):
        said = 1 / (1 + np.exp(-inputs @ found))
        slope = inputs.T @ (said - truth) + ridge @ found
        found -= np.linalg.solve((inputs.T * (said * (1 - said))) @ inputs + ridge, slope)
    return float(found[0]), found[1:]


def best_threshold(truth: NDArray[np.bool_], probability: Floats) -> float:
    """The probability from which yes gives the best F1; the greatest of several."""
    thresholds = np.unique(probability)[::-1]
    order = np.sort(probability)
    said = len(probability) - np.searchsorted(order, thresholds)
    hit = truth.sum() - np.searchsorted(np.sort(probability[truth]), thresholds)
    return float(thresholds[np.argmax(2 * hit / (said + truth.sum()))])


def measure_transfer(learned_in: Domain, tested_on: Domain, *, seed: int) -> dict[str, Any]:
    """Metrics of each system on one domain, what it has to learn learned in the other, with 95% bootstrap intervals
    over sessions. `whimbrel with likelihoods` is there where a language model was asked in both."""
    known = tested_on.known
    rows = np.arange(known.sum())
    groups = [rows[tested_on.session[known] == session] for session in range(len(tested_on.cases))]
    truth = tested_on.truth[known]
    systems = {}
    for name in RULES:
        at = binary.THRESHOLD
        if name == "similarity":
            before = _said(name, learned_in)
            at = best_threshold(learned_in.truth[learned_in.known], before)
        systems[name] = measured(truth, _said(name, tested_on), groups, seed=seed, threshold=at)
    asked = bool(learned_in.gains.shape[1] and tested_on.gains.shape[1])
    for name, wanted in (("whimbrel", False), ("whimbrel with likelihoods", True))[: 1 + asked]:
        one, other = (
            domain if wanted else replace(domain, gains=domain.gains[:, :0]) for domain in (learned_in, tested_on)
        )
        segmenter = learn(one)
        found = find(other, segmenter)[known]
        systems[name] = measured(truth, found, groups, seed=seed, threshold=segmenter.switch)
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


def _said(name: str, domain: Domain) -> Floats:
    return np.concatenate(BOUNDARY_SYSTEMS[name]([case.items for case in domain.cases]))[domain.known]


def markdown(document: dict[str, Any]) -> str:
    """Tables of both directions."""
    lines = []
    for found in document["transfer"]:
        lines += [
            f"### Learned in {found['learned in']}, tested on {found['tested on']}: {found['labelled pairs']} pairs in "
            f"{found['sessions']} sessions, {found['switches']} switches",
            "",
            "| system | n | yes from | " + " | ".join(metric.replace("_", " ") for metric in METRICS) + " |",
            "|---" * (len(METRICS) + 3) + "|",
        ]
        for name, row in found["system"].items():
            cells = [_cell(row, metric) for metric in METRICS]
            lines.append(f"| {name} | {row['n']} | {_figure(row['threshold'])} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, "Intervals: 95%, bootstrap over sessions. Thresholds come from the domain learned in."])


def _cell(row: dict[str, Any], metric: str) -> str:
    ends = row.get(f"{metric}_ci")
    return _figure(row[metric]) + (f" [{_figure(ends[0])}, {_figure(ends[1])}]" if ends else "")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0") if value >= 0 else f"{value:.3f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m whimbrel.evals.studies.cross_domain", description=__doc__)
    parser.add_argument("one", type=Path, help="cases of boundaries, JSON lines")
    parser.add_argument("other", type=Path, help="the same of another domain")
    parser.add_argument(
        "--llm", default="none", help="whose likelihoods of titles to add as a row (slow), as `bundled`"
    )
    parser.add_argument("--limit", type=int, help="first sessions of each file")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--weights", action="store_true", help="print instead what is learned from both together")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of Markdown")
    return parser.parse_args()


def main() -> None:
    """Learn in one and test on the other, and the reverse."""
    given = _arguments()
    try:
        model = open_model(given.llm, tell=lambda told: print(told, file=sys.stderr))
        if model is not None and not model.scores:
            raise ConfigError(f"{given.llm!r} gives no likelihoods: give a local model, such as bundled")
        one, other = (read_domain(path, model=model, limit=given.limit) for path in (given.one, given.other))
        if given.weights:
            print(learn(*(replace(domain, gains=domain.gains[:, :0]) for domain in (one, other))))
            return
        document = {"transfer": [measure_transfer(*pair, seed=given.seed) for pair in ((one, other), (other, one))]}
    except WhimbrelError as error:
        sys.exit(f"whimbrel: {error}")
    print(json.dumps(document, indent=1, ensure_ascii=False) if given.json else markdown(document))


if __name__ == "__main__":
    main()
