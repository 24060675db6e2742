"""Measure whether predictions come true: the next event's topics, the shift, its kind, and the confidence.

Every predictor is tested at the same moments of held-out people. Its weights come from other people of the same log, or
from other logs. If the log has times, these people's moments are also earlier. A predicted shift is right if the event
has one of `to_topics`. "No shift" is right if the event has a topic of the five events before it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.topics import LEAST_MOMENTS, TopicMoment, fit_next_topics, outcome_of
from whimbrel.agent.shift.next_topics import TOPIC_FEATURES, NextTopics, TopicDistribution, topic_features
from whimbrel.evals.metrics.decisions import abstention, measure_decisions
from whimbrel.evals.metrics.intervals import bootstrap_means, interval, percentile_interval
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.evals.studies.shift_moments import Split
from whimbrel.tools.errors import DataError
from whimbrel.tools.progress import NoProgress, Progress

Floats = NDArray[np.float64]

SHORTCUTS: Mapping[str, tuple[str, ...]] = {
    "frequency": ("ever",),
    "lately": ("ever", "lately"),
    "persistence": ("ever", "lately", "last event", "session"),
    "everybody": ("everybody", "everybody lately"),
    "markov": ("everybody", "everybody's sequence"),
    "habits of the hour": ("ever", "hour", "weekend"),
}
"""Simple predictors. Each is a sum of TOPIC_FEATURES with the weight 1."""
ELSEWHERE = "whimbrel, learned elsewhere"
TOPICS_WEIGHTED = 8
"""The language model is asked about this many of the likeliest topics."""
LLM_WEIGHTS, DEFAULT_LLM_WEIGHT = (0.0, 0.1, 0.2, 0.3, 0.5), 0.2
"""The weight of the model's likelihood is chosen from LLM_WEIGHTS on the moments that are learned from. Without such
moments, it is DEFAULT_LLM_WEIGHT."""
LEAST_LLM_WEIGHT = 0.1
"""If the best weight is 0, the lift is reported with this weight, since the weight 0 always has the lift 0."""
LEAST_PROBABILITY = 1e-6
"""Smallest probability of a topic, so that the log loss is finite for a topic that a predictor does not know."""


def measure_shifts(
    split: Split,
    elsewhere: NextTopics,
    *,
    llm: LanguageModel | None = None,
    limit: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure predictions of topics, of whether the interest moves, and of the shift, with 95% intervals over users.

    Args:
        split: Moments to learn from and to test.
        elsewhere: A predictor that was learned from other logs.
        llm: A language model. If given, what its likelihood of topics adds is measured too.
        limit: Number of moments that the language model is asked about.
        seed: Seed of learning, of draws and of intervals.
        progress: Where progress is shown.

    Raises:
        DataError: no tested moment has topics.
    """
    progress = progress or NoProgress()
    tested = [moment for moment in split.tested if moment.label and len(moment.history.pair_topic)]
    if not tested:
        raise DataError("no event to predict has topics and a history with topics")
    # All predictors are compared with the first one.
    predictors = {ELSEWHERE: elsewhere}
    if len(split.learned_from) >= LEAST_MOMENTS:
        progress.step("Learning", None)
        predictors = {"whimbrel": fit_next_topics([split.learned_from], seed=seed)} | predictors
    _, users = np.unique([moment.user for moment in tested], return_inverse=True)
    main = next(iter(predictors))
    scores = {name: _topic_scores(predictor, tested) for name, predictor in predictors.items()}
    # Without any situation, a predictor would be compared with itself.
    if any(moment.situation for moment in tested):
        scores["without the situation"] = _scores_without_situation(split, tested, predictors[main], seed)
    scores |= {name: _shortcut_scores(features, tested) for name, features in SHORTCUTS.items()}
    document: dict[str, Any] = {
        "moments": len(tested),
        "users": int(users.max()) + 1,
        "learned from": len(split.learned_from),
        "topics": {name: _compare(values, scores[main], users, seed) for name, values in scores.items()},
        "system": {},
    }
    if llm is not None:
        asked = _draw_asked(split, tested, users, limit, seed)
        document["llm lift"] = _llm_lift(llm, predictors[main], asked, seed, progress)
    progress.step("Predicting shifts", len(tested) * len(predictors))
    # Moments of one user are drawn together.
    groups = [np.flatnonzero(users == user) for user in range(int(users.max()) + 1)]
    for name, predictor in predictors.items():
        predictions = _predict(predictor, tested, progress)
        right, confidence = predictions.right, predictions.confidence
        document["system"][name] = {
            "kinds": dict(Counter(predictions.kinds)),
            "moves": measure_decisions(predictions.moved, predictions.p_move, groups, seed=seed),
            "said": measure_decisions(right, confidence, groups, seed=seed)
            | {"right": float(right.mean()), "abstention": abstention(right, confidence)},
            "named": _by_kind(predictions, users, seed),
        }
    return document


@dataclass(frozen=True)
class _Predictions:
    """The predictions of a predictor, one for each moment.

    Attributes:
        kinds: The kind of the predicted shift.
        confidence: The confidence in the predicted shift.
        right: Whether the predicted shift came true.
        p_move: The probability that the interest moves.
        moved: Whether the interest moved.
    """

    kinds: list[str]
    confidence: Floats
    right: NDArray[np.bool_]
    p_move: Floats
    moved: NDArray[np.bool_]


def _predict(predictor: NextTopics, tested: Sequence[TopicMoment], progress: Progress) -> _Predictions:
    rows = []
    for moment in tested:
        model = predictor.model_for(moment.habits)
        outcome = outcome_of(model, moment)
        p_stay = model.stay_calibration.probability(outcome.stay_features)
        if outcome.change and outcome.shift_features is not None:
            confidence = model.shift_calibration.probability(outcome.shift_features)
            right, kind = outcome.shifted, outcome.change.kind
        else:
            confidence, right = p_stay, outcome.stayed
            kind = outcome.change.kind if outcome.change else "none"
        rows.append((kind, confidence, right, 1 - p_stay, not outcome.stayed))
        progress.advance(1)
    kinds, confidences, rights, p_moves, moved = zip(*rows, strict=True)
    return _Predictions(list(kinds), np.array(confidences), np.array(rights), np.array(p_moves), np.array(moved))


def _by_kind(predictions: _Predictions, users: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return for each kind of shift how often it was predicted, and how often it then came true."""
    rows = {}
    for kind in sorted(set(predictions.kinds)):
        is_kind = np.array([named == kind for named in predictions.kinds])
        mean = interval(np.where(is_kind, predictions.right.astype(float), np.nan), users, seed=seed)
        rows[kind] = {
            "n": int(is_kind.sum()),
            "right": mean.value,
            "right_ci": [mean.low, mean.high],
            "confidence": float(predictions.confidence[is_kind].mean()),
        }
    return rows


def _topic_scores(predictor: NextTopics, tested: Sequence[TopicMoment]) -> Floats:
    """Return the `_score` of each moment, shape (moments, 2)."""
    return np.array([_score(_distribution(predictor, moment).probability, moment) for moment in tested])


def _distribution(predictor: NextTopics, moment: TopicMoment) -> TopicDistribution:
    model = predictor.model_for(moment.habits)
    return model.predict(moment.history, at=moment.at, situation=moment.situation, habits=moment.habits)


def _scores_without_situation(split: Split, tested: Sequence[TopicMoment], predictor: NextTopics, seed: int) -> Floats:
    """Return the scores of a predictor that sees no situations, neither when it learns nor when it is tested."""
    learned_from = [replace(moment, situation={}) for moment in split.learned_from]
    if len(learned_from) >= LEAST_MOMENTS:
        predictor = fit_next_topics([learned_from], seed=seed)
    return _topic_scores(predictor, [replace(moment, situation={}) for moment in tested])


def _shortcut_scores(features: Sequence[str], tested: Sequence[TopicMoment]) -> Floats:
    """Return the scores of a predictor that is the softmax of a sum of features."""
    columns = [TOPIC_FEATURES.index(name) for name in features]
    rows = []
    for moment in tested:
        values = topic_features(moment.history, at=moment.at, situation=moment.situation, habits=moment.habits)
        total = values[:, columns].sum(axis=1)
        raised = np.exp(total - total.max())  # the maximum is subtracted, so that exp does not overflow
        rows.append(_score(raised / raised.sum(), moment))
    return np.array(rows)


def _score(probability: Floats, moment: TopicMoment) -> tuple[float, float]:
    """Return the log loss (a mean over the event's topics), and whether the likeliest topic is one of the topics."""
    rows = moment.label_rows()
    # A topic that is missing from the history has no row and the probability 0.
    of_label = np.concatenate([probability[rows], np.zeros(len(moment.label) - len(rows))])
    return float(-np.log(np.maximum(of_label, LEAST_PROBABILITY)).mean()), float(probability.argmax() in rows)


@dataclass(frozen=True)
class _Asked:
    """Moments that the language model is asked about.

    Attributes:
        learned_from: Moments on which the weight is chosen.
        tested: Moments on which the lift is measured.
        users: The user of each tested moment.
    """

    learned_from: list[TopicMoment]
    tested: list[TopicMoment]
    users: NDArray[np.int64]


@dataclass(frozen=True)
class _Reply:
    """The language model's reply for one moment.

    Attributes:
        moment: The moment.
        probability: The probability of each topic, without the model.
        rows: The likeliest topics, as positions in `probability`.
        likelihood: The model's standardised likelihood of each of these topics.
    """

    moment: TopicMoment
    probability: Floats
    rows: list[int]
    likelihood: Floats

    def score(self, weight: float) -> tuple[float, float]:
        """Return the `_score` if the likelihood has this weight.

        The likelihood moves probability only among the likeliest topics.
        """
        weighted = self.probability.copy()
        raised = self.probability[self.rows] * np.exp(weight * self.likelihood)
        weighted[self.rows] = raised / raised.sum() * self.probability[self.rows].sum()
        return _score(weighted, self.moment)


def _draw_asked(split: Split, tested: Sequence[TopicMoment], users: NDArray[np.int64], limit: int, seed: int) -> _Asked:
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(tested))[:limit])
    learned_from = [split.learned_from[n] for n in random.permutation(len(split.learned_from))[: limit // 2]]
    _, numbered = np.unique(users[rows], return_inverse=True)
    return _Asked(learned_from, [tested[row] for row in rows], numbered)


def _llm_lift(
    llm: LanguageModel, predictor: NextTopics, asked: _Asked, seed: int, progress: Progress
) -> dict[str, Any]:
    """Measure what the model's likelihood of the likeliest topics adds.

    The weight of the likelihood is the best one on the moments that are learned from.
    """
    progress.step("Asking the language model", len(asked.tested) + len(asked.learned_from))

    def replies(moments: Sequence[TopicMoment]) -> list[_Reply]:
        answered = []
        for moment in moments:
            answered.append(_ask(llm, predictor, moment))
            progress.advance(1)
        return answered

    def scores(answered: Sequence[_Reply], weight: float) -> Floats:
        return np.array([reply.score(weight) for reply in answered])

    to_choose = replies(asked.learned_from)
    weight = DEFAULT_LLM_WEIGHT
    if to_choose:
        weight = min(LLM_WEIGHTS, key=lambda w: float(scores(to_choose, w)[:, 0].mean()))
    to_test = replies(asked.tested)
    reported = weight or LEAST_LLM_WEIGHT
    comparison = _compare(scores(to_test, 0.0), scores(to_test, reported), asked.users, seed)
    return {"weight": weight, "reported with": reported, "without the model": comparison}


def _ask(llm: LanguageModel, predictor: NextTopics, moment: TopicMoment) -> _Reply:
    distribution = _distribution(predictor, moment)
    names = moment.history.topic_names
    rows = np.argsort(-distribution.probability, kind="stable")[:TOPICS_WEIGHTED].tolist()
    values = score_options(llm, history=moment.titles, wish="", options=[names[row] for row in rows]).values
    # If a model gives no likelihoods, the probabilities do not change.
    likelihood = np.zeros(len(rows)) if values is None else (values - values.mean()) / max(float(values.std()), 1e-9)
    return _Reply(moment, distribution.probability, rows, likelihood)


def _compare(scores: Floats, reference: Floats, users: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return the mean score of each system, and how much the reference scores above each; both with intervals."""
    document: dict[str, Any] = {"n": len(scores)}
    for column, name in enumerate(("log loss", "top-1 accuracy")):
        mean = interval(scores[:, column], users, seed=seed)
        difference = reference[:, column] - scores[:, column]
        draws = bootstrap_means(difference, users, seed=seed)
        document[name], document[f"{name}_ci"] = mean.value, [mean.low, mean.high]
        document[f"{name}, whimbrel minus this"] = float(difference.mean())
        document[f"{name}, whimbrel minus this_ci"] = list(percentile_interval(draws))
        document[f"{name}, p"] = sign_flip_p(difference, users, seed=seed)
    return document


def shifts_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_shifts` as Markdown tables."""
    count, users, learned = document["moments"], document["users"], document["learned from"]
    if learned >= LEAST_MOMENTS:
        source = f"Learned from {learned:,} events of other people."
    else:
        source = f"{learned} events of other people are too few to learn from. {LEAST_MOMENTS} are needed."
    sections = [
        [f"{count:,} events of {users:,} people. {source}"],
        _topics_table(document["topics"]),
        _shifts_table(document["system"]),
        _llm_line(document),
        _kinds_table(next(iter(document["system"].values()))),
        _abstention_table(next(iter(document["system"].values()))),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _cell(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_ci"]
    return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"


def _topics_table(topics: Mapping[str, Any]) -> list[str]:
    lines = [
        "| topics of the next event | log loss | whimbrel minus this | top-1 accuracy | whimbrel minus this |",
        "|---|---|---|---|---|",
    ]
    for name, row in sorted(topics.items(), key=lambda pair: pair[1]["log loss"]):
        cells = [
            _cell(row, metric + suffix)
            for metric in ("log loss", "top-1 accuracy")
            for suffix in ("", ", whimbrel minus this")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _shifts_table(systems: Mapping[str, Any]) -> list[str]:
    lines = [
        "| predicted shift | came true | ECE | Brier | share of moves | moves: average precision | moves: ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in systems.items():
        shift, moves = row["said"], row["moves"]
        base_rate = sum(observed * count for _, observed, count in moves["reliability"]) / moves["n"]
        lines.append(
            f"| {name} | {shift['right']:.3f} | {shift['ece']:.3f} | {_cell(shift, 'brier')} | {base_rate:.3f} | "
            f"{_cell(moves, 'average_precision')} | {moves['ece']:.3f} |"
        )
    return lines


def _llm_line(document: Mapping[str, Any]) -> list[str]:
    if "llm lift" not in document:
        return []
    lift = document["llm lift"]["without the model"]
    differences = ", ".join(
        f"{name} {_cell(lift, name + ', whimbrel minus this')}" for name in ("log loss", "top-1 accuracy")
    )
    weight = document["llm lift"]["reported with"]
    return [f"What the language model adds ({lift['n']} events, weight {weight}): {differences}"]


def _kinds_table(system: Mapping[str, Any]) -> list[str]:
    lines = ["| kind | n | came true | mean confidence |", "|---|---|---|---|"]
    return lines + [
        f"| {kind} | {row['n']} | {_cell(row, 'right')} | {row['confidence']:.3f} |"
        for kind, row in system["named"].items()
    ]


def _abstention_table(system: Mapping[str, Any]) -> list[str]:
    """Return every fourth point of the abstention curve."""
    lines = ["| answered, the most confident first | came true | least confidence |", "|---|---|---|"]
    return lines + [
        f"| {share:.0%} | {right:.3f} | {least:.3f} |" for share, right, least in system["said"]["abstention"][3::4]
    ]
