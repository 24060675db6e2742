"""Learn what a language model's figures are worth, from choices that it was asked about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.learning.conditional_logit import Labelled, fit_weights
from whimbrel.agent.learning.ranking import Asked, ChoiceSet, gain, scores
from whimbrel.agent.pipeline import RANK, run
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.ranking.rankers import LIKELIHOOD_FIGURES, MODEL_FIGURES, OTHERS, Ranker
from whimbrel.agent.state import Resources, State
from whimbrel.tools.log.interaction_log import Floats

RIDGE = 0.03
"""Strength of the ridge. Of seven tried for likelihoods, it was among the best on held-out logs (600 choice sets of six
logs)."""
ORDER_RIDGE = 0.003
"""Strength of the ridge for the figures of a model that orders, whose weights are larger."""
LEAST_WEIGHT = 0.01
"""A language model is asked only if its first weight in the ranker is above this."""
SMALLEST = 1e-9
"""A weight that makes the pipeline ask the model and that changes no order."""
Advance = Callable[[int], None]


@dataclass(frozen=True)
class AnsweredChoiceSet:
    """A choice with what a language model said of the best candidates.

    Attributes:
        choice: The choice among the candidates that the model was asked about.
        figures: The model's figures, keyed by name, shape (candidates,) each.
        usage: What the replies cost.
    """

    choice: ChoiceSet
    figures: Mapping[str, Floats]
    usage: Usage = NO_USAGE

    @property
    def orders(self) -> bool:
        """Whether the model was asked for an order, and not for likelihoods."""
        return "order" in self.figures

    @property
    def alone(self) -> Floats:
        """The model's own order, or the gain in likelihood, shape (candidates,)."""
        return self.figures["order" if self.orders else "likelihood"]


def ask_about(
    choices: Sequence[ChoiceSet],
    ranker: Ranker,
    model: ModelAccess,
    *,
    most: int,
    config: RankConfig | None = None,
    advance: Advance = lambda count: None,
) -> list[AnsweredChoiceSet]:
    """Ask a language model about the best candidates of choice sets, by the pipeline that serves users.

    A choice set is left out if the chosen item is not among the best candidates, or if no reply can be read.

    Args:
        choices: The choice sets. Those that the model cannot be asked about are left out.
        ranker: The weights by which the best candidates are chosen.
        model: The language model.
        most: The most choice sets that the model is asked about.
        config: The settings of ranking.
        advance: Called with 1 after each choice set that the model is asked about.

    Raises:
        ModelError: The model cannot be reached.
    """
    asking = ranker.model_copy(update={"models": {model.tier: dict.fromkeys(MODEL_FIGURES, SMALLEST)}})
    answered, count = list[AnsweredChoiceSet](), 0
    for choice in choices:
        if choice.asked is None or count == most:
            continue
        resources = _resources(choice.asked, asking, config or RankConfig())
        # The model is not asked where its answer cannot be measured.
        if not _finds(choice.asked, resources, model):
            continue
        state = run(choice.asked.request, replace(resources, model=model), RANK)
        if state.failure is not None:
            raise state.failure
        count += 1
        advance(1)
        rows = list(state.ranking.asked)
        ids = [state.candidates.items[row].item_id for row in rows]
        if choice.asked.chosen_id in ids and state.ranking.answer.figures:
            answered.append(_answered(choice, state, ids.index(choice.asked.chosen_id)))
    return answered


def _resources(asked: Asked, ranker: Ranker, config: RankConfig) -> Resources:
    """Return the resources of a choice with this ranker for all kinds of candidates."""
    fitted = asked.resources.fitted
    fusion = fitted.fusion.model_copy(update=dict.fromkeys(("retrieved", "given", "cold"), ranker))
    settings = asked.resources.config.model_copy(update={"rank": config})
    return replace(asked.resources, config=settings, fitted=replace(fitted, fusion=fusion))


def _finds(asked: Asked, resources: Resources, model: ModelAccess) -> bool:
    """Return whether the chosen item is among the candidates that the model would be asked about."""
    if asked.request.candidates is not None:
        return True
    ranked = run(asked.request, resources, RANK).ranking.ranked
    weighed = resources.config.rank.for_list(asked.request.k, orders=model.tier != "fills").weighed
    return asked.chosen_id in [entry.candidate.item.item_id for entry in ranked[:weighed]]


def _answered(asked: ChoiceSet, state: State, chosen: int) -> AnsweredChoiceSet:
    rows = list(state.ranking.asked)
    figures = {name: values[rows] for name, values in state.ranking.reading_figures.items()}
    choice = replace(asked, features=state.features[rows], chosen=chosen)
    usage = state.reading.usage + state.ranking.usage
    return AnsweredChoiceSet(choice, {**figures, **state.ranking.answer.figures}, usage)


def learn_model_weights(logs: Sequence[Sequence[AnsweredChoiceSet]], start: Ranker, key: str) -> Ranker:
    """Learn the weights of a model's figures, and the factor of all other contributions. Each log counts the same.

    The weights of the features stay. Only `prior` and `unwanted` may have a negative weight. If the first figure has a
    weight of about 0, all have the weight 0, and the ranker no longer asks the model.

    Args:
        logs: The answered choice sets of each log. Logs without any are left out.
        start: The ranker, whose weights of features are kept.
        key: The digest or the tier that the weights are for (see `Ranker.models`).
    """
    logs = [log for log in logs if log]
    if not logs:
        return start
    weights = _order_weights(logs, start) if logs[0][0].orders else _likelihood_weights(logs, start)
    return start.model_copy(update={"models": {**start.models, key: weights}})


def scores_with_model(ranker: Ranker, answer: AnsweredChoiceSet, model: ModelAccess) -> Floats:
    """Return the score of each candidate with the model's figures counted, shape (candidates,)."""
    factor = ranker.others(model) if answer.orders else 1.0
    contributions = ranker.of_model(model, answer.figures).values()
    return np.asarray(sum(contributions, factor * scores(ranker, answer.choice)))


def gains_with_model(ranker: Ranker, answers: Sequence[AnsweredChoiceSet], model: ModelAccess) -> Floats:
    """Return NDCG@10 of each answered choice set, with the model's figures counted, shape (answers,)."""
    return np.array([gain(scores_with_model(ranker, answer, model), answer.choice.chosen) for answer in answers])


def _likelihood_weights(logs: Sequence[Sequence[AnsweredChoiceSet]], ranker: Ranker) -> dict[str, float]:
    labelled = [
        [
            Labelled(_columns(answer, LIKELIHOOD_FIGURES), answer.choice.chosen, scores(ranker, answer.choice))
            for answer in log
        ]
        for log in logs
    ]
    weights = fit_weights(labelled, np.zeros(2), ridge=RIDGE, bound=np.array([0.0, -np.inf]))
    if weights[0] <= LEAST_WEIGHT:
        return {}
    return {name: round(float(weight), 4) for name, weight in zip(LIKELIHOOD_FIGURES, weights, strict=True)}


def _order_weights(logs: Sequence[Sequence[AnsweredChoiceSet]], ranker: Ranker) -> dict[str, float]:
    present = {name for log in logs for answer in log for name in answer.figures if answer.figures[name].any()}
    names = [name for name in MODEL_FIGURES if name in present]
    labelled = [
        [
            Labelled(np.column_stack([scores(ranker, answer.choice), _columns(answer, names)]), answer.choice.chosen)
            for answer in log
        ]
        for log in logs
    ]
    begin = np.append(1.0, np.zeros(len(names)))  # without the model, all other contributions count in full
    bound = np.array([0.0, *(-np.inf if name == "unwanted" else 0.0 for name in names)])
    weights = fit_weights(labelled, begin, ridge=ORDER_RIDGE, bound=bound)
    learned = dict(zip([OTHERS, *names], (round(float(weight), 4) for weight in weights), strict=True))
    return learned if max(learned.get(name, 0.0) for name in ("order", "grade")) > LEAST_WEIGHT else {}


def _columns(answer: AnsweredChoiceSet, names: Sequence[str]) -> Floats:
    """Return figures as columns. A figure that an answer lacks is 0."""
    nothing = np.zeros(len(answer.choice.features))
    return np.column_stack([answer.figures.get(name, nothing) for name in names])
