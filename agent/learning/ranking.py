"""Learn the weight of each feature from the choices that people made among candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.conditional_logit import Labelled, best_ridge, fit_weights
from whimbrel.agent.ranking.features import FEATURES, LOG_FEATURES
from whimbrel.agent.ranking.rankers import LIKELIHOOD_FEATURES, Ranker
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.retrieval.channels import LEARNED_CHANNELS

HELD_OUT = 0.25
"""Share of the people held out. The ridge is chosen on them, and trees are kept only if they help them."""
LEAST_CHANNEL_WEIGHT = 0.15
"""Channel weights are learned only if a first rank adds at least this much to the log odds on average.

Below it, the proportions between the channels would be noise.
"""
LEAST_CHOICES, LEAST_FOR_TREES = 100, 500
"""Fewest choice sets to learn weights from, and fewest to learn trees from."""
ROUNDS, PATIENCE = 200, 20
"""Most trees, and the number of trees in a row without a gain that ends training."""
TREES = {
    "objective": "lambdarank",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 20,
    "metric": "ndcg",
    "eval_at": [10],
    "num_threads": 1,  # a repeated fit must give the same trees
    "deterministic": True,
    "verbose": -1,
}
CUT_OFF = 10
TREES_GAIN = 2.0
"""Trees must gain more than this many standard errors.

One is not enough, because the number of trees was chosen on the same people.
"""
LIKELIHOOD_RIDGE = 0.03
"""Strength of the ridge. Of seven tried, it was among the best on held-out logs (600 choice sets of six logs)."""
LEAST_LIKELIHOOD = 0.01
"""A language model is asked only if its weight `likelihood` (or `order`) in the ranker is above this."""
NEVER_NEGATIVE = ("similarity", "nearest", "last", "words", "topics", "shift")
"""Features of similarity. A few choices may suggest a negative weight by chance, so none is allowed."""
LOWEST_WEIGHTS = np.where(np.isin(FEATURES, NEVER_NEGATIVE), 0.0, -np.inf)
Advance = Callable[[int], None]


@dataclass(frozen=True)
class ChoiceSet:
    """A list of candidates, of which one was chosen.

    Attributes:
        user: The id of the user.
        features: Standardised features, shape (candidates, FEATURES), or values of ranks, shape (candidates, channels).
        chosen: The row of the chosen item.
        titles: The titles of the candidates, in the form that a language model is shown.
        history: The latest titles before the choice, in the form that a language model is shown.
    """

    user: str
    features: Floats
    chosen: int
    titles: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    def without_log(self) -> "ChoiceSet":
        """Return the choice set as it looks if the log does not know the candidates."""
        return replace(self, features=self.features * np.isin(FEATURES, LOG_FEATURES, invert=True))

    @property
    def labelled(self) -> Labelled:
        """The choice in the form that the conditional logit reads."""
        return Labelled(self.features, self.chosen)


def learn_ranker(
    logs: Sequence[Sequence[ChoiceSet]], start: Ranker, *, seed: int = 0, trees: bool = True, least: int = LEAST_CHOICES
) -> Ranker:
    """Learn weights and trees. The trees are kept only if they help held-out people.

    Args:
        logs: The choice sets of each log. Each log counts the same. Logs with fewer than `least` are left out.
        start: The ranker to start from. Its weights are what the ridge draws towards. It is returned unchanged if no
            log has enough choice sets.
        seed: The seed of the draw of held-out people and of the trees.
        trees: Whether trees may be learned.
        least: The fewest choice sets that a log needs.
    """
    usable = [log for log in logs if len(log) >= least]
    if not usable:
        return start
    learned_from, held_out = _split_people(usable, seed)
    begin = np.array([start.weights.get(name, 0.0) for name in FEATURES])
    ridge = best_ridge(_labelled(learned_from), _labelled(held_out), begin, bound=LOWEST_WEIGHTS)
    weights = fit_weights(_labelled(usable), begin, ridge=ridge, bound=LOWEST_WEIGHTS)
    ranker = start.model_copy(update={"weights": _by_name(weights)}).with_trees("")
    if not trees or min(map(len, usable)) < LEAST_FOR_TREES:
        return ranker
    # The trees are tested on the held-out people, so they build on weights that are fitted without these people.
    weights = fit_weights(_labelled(learned_from), begin, ridge=ridge, bound=LOWEST_WEIGHTS)
    return ranker.with_trees(
        _grow_trees([c for log in learned_from for c in log], [c for log in held_out for c in log], weights, seed)
    )


def learn_channel_weights(
    logs: Sequence[Sequence[ChoiceSet]], start: Mapping[str, float], *, seed: int = 0
) -> Mapping[str, float]:
    """Learn the weight of each retrieval channel from `channel_choice_sets`.

    The weights are scaled to a mean of 1. Each log counts the same.
    """
    usable = [log for log in logs if len(log) >= LEAST_CHOICES]
    if not usable:
        return start
    learned_from, held_out = _split_people(usable, seed)
    begin = np.array([start.get(name, 1.0) for name in LEARNED_CHANNELS])
    ridge = best_ridge(_labelled(learned_from), _labelled(held_out), begin, bound=0.0)
    weights = fit_weights(_labelled(usable), begin, ridge=ridge, bound=0.0)
    if weights.mean() < LEAST_CHANNEL_WEIGHT:
        return start
    return {name: round(float(w / weights.mean()), 3) for name, w in zip(LEARNED_CHANNELS, weights, strict=True)}


@dataclass(frozen=True)
class AnsweredChoiceSet:
    """A language model's answer about the best candidates of a choice set.

    Attributes:
        choice: The choice set.
        rows: The rows of the candidates that the model was asked about.
        model_features: The features of the answer that the ranker weighs (see `OptionScores.model_features`).
        chosen: The position in `rows` of the chosen item.
    """

    choice: ChoiceSet
    rows: NDArray[np.int64]
    model_features: Floats
    chosen: int


def ask_model(
    choices: Sequence[ChoiceSet],
    ranker: Ranker,
    llm: LanguageModel,
    *,
    weighed: int = 20,
    advance: Advance = lambda count: None,
) -> list[AnsweredChoiceSet]:
    """Ask a language model about the `weighed` best candidates of each choice set.

    A choice set is left out if the chosen item is not among them, or if the answer cannot be read.
    """
    answered = []
    for choice in choices:
        rows = np.argsort(-_scores(ranker, choice.features), kind="stable")[:weighed]
        position = np.flatnonzero(rows == choice.chosen)
        if len(position) and len(rows) > 1:
            titles = [choice.titles[row] for row in rows]
            answer = score_options(llm, history=choice.history, wish="", options=titles, permutations=2)
            model_features = answer.model_features()
            if model_features is not None:
                answered.append(AnsweredChoiceSet(choice, rows, model_features, int(position[0])))
        advance(1)
    return answered


def learn_model_weights(logs: Sequence[Sequence[AnsweredChoiceSet]], start: Ranker) -> Ranker:
    """Learn the weights of a language model's answer, in addition to the features. Each log counts the same.

    The weights of the features stay. The weight `likelihood` (or `order`) is never negative. If it is about 0, the
    whole answer gets weight 0, and the ranker no longer asks the model.
    """
    logs = [log for log in logs if log]
    if not logs:
        return start
    likelihoods = logs[0][0].model_features.shape[1] == len(LIKELIHOOD_FEATURES)
    names = LIKELIHOOD_FEATURES if likelihoods else ("order",)
    begin = np.array([getattr(start, name) for name in names])
    labelled = [
        [Labelled(a.model_features, a.chosen, _scores(start, a.choice.features)[a.rows]) for a in log] for log in logs
    ]
    bound = np.array([-np.inf if name == "prior" else 0.0 for name in names])
    weights = fit_weights(labelled, begin, ridge=LIKELIHOOD_RIDGE, bound=bound)
    if weights[0] <= LEAST_LIKELIHOOD:
        weights = np.zeros(len(names))
    return start.model_copy(update={name: round(float(w), 4) for name, w in zip(names, weights, strict=True)})


def gains(ranker: Ranker, choices: Sequence[ChoiceSet]) -> Floats:
    """Return NDCG@10 of each choice set, shape (choices,). Tied candidates share their mean rank."""
    return np.array([_gain(_scores(ranker, choice.features), choice.chosen) for choice in choices])


def gains_with_model(ranker: Ranker, answers: Sequence[AnsweredChoiceSet]) -> Floats:
    """Return NDCG@10 of each answered choice set, with the language model's answer counted, shape (answers,).

    Only the candidates that the model was asked about are ranked.
    """
    return np.array(
        [
            _gain(
                _scores(ranker, a.choice.features)[a.rows] + sum(ranker.of_answer(a.model_features).values()), a.chosen
            )
            for a in answers
        ]
    )


def _labelled(logs: Sequence[Sequence[ChoiceSet]]) -> list[list[Labelled]]:
    return [[choice.labelled for choice in log] for log in logs]


def _scores(ranker: Ranker, features: Floats) -> Floats:
    return np.asarray(sum(ranker(features).values(), np.zeros(len(features))))


def _gain(scores: Floats, chosen: int) -> float:
    above, level = (scores > scores[chosen]).sum(), (scores == scores[chosen]).sum() - 1
    # Half of the tied candidates count as ranked above, which gives the mean rank of the tie.
    rank = 1 + above + level / 2
    return float(1 / np.log2(rank + 1)) if rank <= CUT_OFF else 0.0


def _by_name(weights: Floats) -> dict[str, float]:
    return {name: round(float(weight), 4) for name, weight in zip(FEATURES, weights, strict=True) if abs(weight) > 1e-3}


def _split_people(
    logs: Sequence[Sequence[ChoiceSet]], seed: int
) -> tuple[list[list[ChoiceSet]], list[list[ChoiceSet]]]:
    """Split each log's choice sets into those to learn from and those of held-out people."""
    learned_from, held_out = list[list[ChoiceSet]](), list[list[ChoiceSet]]()
    for log in logs:
        users = sorted({choice.user for choice in log})
        drawn = np.random.default_rng(seed).permutation(len(users))[: max(int(len(users) * HELD_OUT), 1)]
        held = {users[number] for number in drawn}
        learned_from.append([choice for choice in log if choice.user not in held] or list(log))
        held_out.append([choice for choice in log if choice.user in held])
    return learned_from, held_out


def _grow_trees(learned_from: Sequence[ChoiceSet], held_out: Sequence[ChoiceSet], weights: Floats, seed: int) -> str:
    """Return trees that improve on the order by weights; "" if they do not surely help the held-out people."""
    import lightgbm

    def table(choices: Sequence[ChoiceSet]) -> Any:
        sizes = [len(choice.features) for choice in choices]
        labels = np.concatenate([np.arange(len(c.features)) == c.chosen for c in choices]).astype(int)
        features = np.concatenate([choice.features for choice in choices])
        return lightgbm.Dataset(features, labels, group=sizes, init_score=features @ weights, free_raw_data=False)

    training, validation = table(learned_from), table(held_out)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(TREES | {"seed": seed}, training, ROUNDS, valid_sets=[validation], callbacks=[stop])
    if not booster.best_iteration:
        return ""
    trees = str(booster.model_to_string(num_iteration=booster.best_iteration))
    plain = Ranker(weights=_by_name(weights))
    gained = gains(plain.with_trees(trees), held_out) - gains(plain, held_out)
    return trees if gained.mean() > TREES_GAIN * gained.std() / max(len(gained), 1) ** 0.5 else ""
