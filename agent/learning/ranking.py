"""Learning what each signal is worth, from what people chose among the candidates that they had."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.ranking.features import FROM_LOG, SIGNALS
from whimbrel.agent.ranking.fusion import ANSWERS, Ranker
from whimbrel.tools.retrieval.candidates import LEARNED

Floats = NDArray[np.float64]

HELD_OUT = 0.25
"""Share of the people on whom it is decided how near weights stay to those begun with, and whether trees help."""
PULLS = (0.3, 0.03, 0.003, 0.0003)
LEAST_TOLD = 0.15
"""Log odds that a first place in the mean channel must bring."""
LEAST_CHOICES, LEAST_FOR_TREES = 100, 500
"""Choices without which nothing is learned, or no trees."""
ROUNDS, PATIENCE = 200, 20
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
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}
CUT = 10
SURE = 2.0
"""Standard errors by which trees must gain: how many of them there are was chosen on the same people."""
LIKELIHOOD_PULL = 0.03
"""Of seven, among the best for logs that weights were not learned from (600 choices of six logs)."""
LEAST_LIKELIHOOD = 0.01
"""Weight of what the history adds to a likelihood, below which it adds nothing."""
LIKENESS = ("similarity", "nearest", "last", "words", "topics", "shift")
"""Signals that never speak against an item, however few choices say so."""
LEAST = np.where(np.isin(SIGNALS, LIKENESS), 0.0, -np.inf)


@dataclass(frozen=True)
class ChoiceSet:
    """Candidates as the fusion sees them, standardised SIGNALS of shape (candidates, signals), which of them was chosen
    (a row), and by whom; the titles of the candidates and of the latest events, as a language model is shown them."""

    user: str
    signals: Floats
    chosen: int
    titles: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    def without_log(self) -> "ChoiceSet":
        """The same where no log knows of the candidates."""
        told = np.isin(SIGNALS, FROM_LOG, invert=True)
        return replace(self, signals=self.signals * told)


def learn(
    logs: Sequence[Sequence[ChoiceSet]], start: Ranker, *, seed: int = 0, trees: bool = True, least: int = LEAST_CHOICES
) -> Ranker:
    """Weights, and trees where they help people that they were not learned from; each log counts the same.

    Fewer than `least` choices leave `start` as it is.
    """
    told = [log for log in logs if len(log) >= least]
    if not told:
        return start
    first, second = _parted(told, seed)
    begun = np.array([start.weights.get(name, 0.0) for name in SIGNALS])
    pull = _pull(first, second, begun, LEAST)
    found = start.model_copy(update={"weights": _named(_logit(told, begun, pull, LEAST))}).with_trees("")
    if not trees or min(map(len, told)) < LEAST_FOR_TREES:
        return found
    weights = _logit(first, begun, pull, LEAST)
    model = _trees([c for log in first for c in log], [c for log in second for c in log], weights, seed)
    return found.with_trees(model)


def learn_channels(
    logs: Sequence[Sequence[ChoiceSet]], start: Mapping[str, float], *, seed: int = 0
) -> Mapping[str, float]:
    """What each channel of retrieval is worth, from `channel_choices`, 1 on average; each log counts the same."""
    told = [log for log in logs if len(log) >= LEAST_CHOICES]
    if not told:
        return start
    begun = np.array([start.get(name, 1.0) for name in LEARNED])
    found = _logit(told, begun, _pull(*_parted(told, seed), begun, 0.0), 0.0)
    if found.mean() < LEAST_TOLD:  # where no channel tells anything, their proportions are noise
        return start
    return {name: round(float(w / found.mean()), 3) for name, w in zip(LEARNED, found, strict=True)}


@dataclass(frozen=True)
class AnsweredChoiceSet:
    """What a language model says of the best candidates of a choice: their rows, what the fusion weighs of its answer
    (see `OptionScores.model_features`), and which of them was chosen."""

    choice: ChoiceSet
    rows: NDArray[np.int64]
    figures: Floats
    chosen: int


def ask(
    choices: Sequence[ChoiceSet],
    fused: Ranker,
    llm: LanguageModel,
    *,
    weighed: int = 20,
    advance: Callable[[int], None] = lambda count: None,
) -> list[AnsweredChoiceSet]:
    """Ask a language model about the `weighed` best candidates of each choice; where what was chosen is not among them
    nothing is to be learned."""
    found = []
    for choice in choices:
        rows = np.argsort(-_score(fused, choice.signals), kind="stable")[:weighed]
        place = np.flatnonzero(rows == choice.chosen)
        if len(place) and len(rows) > 1:
            titles = [choice.titles[row] for row in rows]
            figures = score_options(
                llm, history=choice.history, wish="", options=titles, permutations=2
            ).model_features()
            if figures is not None:
                found.append(AnsweredChoiceSet(choice, rows, figures, int(place[0])))
        advance(1)
    return found


def learn_likelihood(logs: Sequence[Sequence[AnsweredChoiceSet]], start: Ranker) -> Ranker:
    """What a language model's answer is worth beside the signals, whose weights stay; each log counts the same.

    That the history makes an item likelier, or a model puts it first, never speaks against it. Where it speaks for
    nothing the model's answer has no weight at all, and is not asked for.
    """
    logs = [log for log in logs if log]
    if not logs:
        return start
    names = ANSWERS if logs[0][0].figures.shape[1] == len(ANSWERS) else ("order",)
    begun = np.array([getattr(start, name) for name in names])
    told = [[(_score(start, a.choice.signals)[a.rows], a.figures, a.chosen) for a in log] for log in logs]

    def loss(weights: Floats) -> tuple[float, Floats]:
        away = weights - begun
        value, slope = LIKELIHOOD_PULL * float(away @ away), 2 * LIKELIHOOD_PULL * away
        for found in told:
            for base, figures, chosen in found:
                probability = _probability(base + figures @ weights)
                value -= float(np.log(probability[chosen] + 1e-300)) / len(found) / len(told)
                slope -= (figures[chosen] - probability @ figures) / len(found) / len(told)
        return value, slope

    best = _least(loss, begun, np.array([-np.inf if name == "prior" else 0.0 for name in names]))
    if best[0] <= LEAST_LIKELIHOOD:
        best = np.zeros(len(names))
    return start.model_copy(update={name: round(float(weight), 4) for name, weight in zip(names, best, strict=True)})


def gains(fused: Ranker, choices: Sequence[ChoiceSet]) -> Floats:
    """NDCG@10 of each choice, tied candidates sharing their mean rank."""
    return np.array([_gain(_score(fused, choice.signals), choice.chosen) for choice in choices])


def gains_asked(fused: Ranker, answers: Sequence[AnsweredChoiceSet]) -> Floats:
    """The same of the candidates that a language model was asked about, its answer weighed with the signals."""
    return np.array(
        [
            _gain(_score(fused, a.choice.signals)[a.rows] + sum(fused.of_answer(a.figures).values()), a.chosen)
            for a in answers
        ]
    )


def _score(fused: Ranker, signals: Floats) -> Floats:
    return np.asarray(sum(fused(signals).values(), np.zeros(len(signals))))


def _gain(scores: Floats, chosen: int) -> float:
    above, level = (scores > scores[chosen]).sum(), (scores == scores[chosen]).sum() - 1
    rank = 1 + above + level / 2
    return float(1 / np.log2(rank + 1)) if rank <= CUT else 0.0


def _named(weights: Floats) -> dict[str, float]:
    return {name: round(float(weight), 4) for name, weight in zip(SIGNALS, weights, strict=True) if abs(weight) > 1e-3}


def _parted(logs: Sequence[Sequence[ChoiceSet]], seed: int) -> tuple[list[list[ChoiceSet]], list[list[ChoiceSet]]]:
    """Each log's choices, and those of people held out."""
    first, second = list[list[ChoiceSet]](), list[list[ChoiceSet]]()
    for log in logs:
        users = sorted({choice.user for choice in log})
        drawn = np.random.default_rng(seed).permutation(len(users))[: max(int(len(users) * HELD_OUT), 1)]
        held = {users[number] for number in drawn}
        first.append([c for c in log if c.user not in held] or list(log))
        second.append([c for c in log if c.user in held])
    return first, second


def _pull(
    first: Sequence[Sequence[ChoiceSet]],
    second: Sequence[Sequence[ChoiceSet]],
    start: Floats,
    least: Floats | float = -np.inf,
) -> float:
    """How strongly weights are best drawn to `start`, by people held out."""
    return PULLS[int(np.argmin([_loss(second, _logit(first, start, pull, least)) for pull in PULLS]))]


def _logit(logs: Sequence[Sequence[ChoiceSet]], start: Floats, pull: float, least: Floats | float = -np.inf) -> Floats:
    """The weights, none below `least`, under which what was chosen is likeliest, drawn to `start`."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        away = weights - start
        value, slope = pull * float(away @ away), 2 * pull * away
        for log in logs:
            for choice in log:
                probability = _probability(choice.signals @ weights)
                value -= float(np.log(probability[choice.chosen] + 1e-300)) / len(log) / len(logs)
                slope -= (choice.signals[choice.chosen] - probability @ choice.signals) / len(log) / len(logs)
        return value, slope

    return _least(loss, start, least)


def _least(loss: Callable[[Floats], tuple[float, Floats]], start: Floats, bound: Floats | float = -np.inf) -> Floats:
    """Where a loss, given with its slope, is least, nowhere below a bound."""
    from scipy.optimize import minimize

    best: Any = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, None) for low in np.broadcast_to(bound, start.shape)],
        options={"maxiter": 200},
    )
    return np.asarray(best.x, dtype=np.float64)


def _loss(logs: Sequence[Sequence[ChoiceSet]], weights: Floats) -> float:
    of_log = [
        -np.mean([np.log(_probability(choice.signals @ weights)[choice.chosen] + 1e-300) for choice in log])
        for log in logs
        if log
    ]
    return float(np.mean(of_log)) if of_log else 0.0


def _probability(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def _trees(first: Sequence[ChoiceSet], second: Sequence[ChoiceSet], weights: Floats, seed: int) -> str:
    """Trees that mend the weights' order; "" where the people held out are not surely better off."""
    import lightgbm

    def table(choices: Sequence[ChoiceSet]) -> Any:
        sizes = [len(choice.signals) for choice in choices]
        truth = np.concatenate([np.arange(len(c.signals)) == c.chosen for c in choices]).astype(int)
        signals = np.concatenate([choice.signals for choice in choices])
        return lightgbm.Dataset(signals, truth, group=sizes, init_score=signals @ weights, free_raw_data=False)

    learned, held = table(first), table(second)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(TREES | {"seed": seed}, learned, ROUNDS, valid_sets=[held], callbacks=[stop])
    if not booster.best_iteration:
        return ""
    model = str(booster.model_to_string(num_iteration=booster.best_iteration))
    plain = Ranker(weights=_named(weights))
    gained = gains(plain.with_trees(model), second) - gains(plain, second)
    return model if gained.mean() > SURE * gained.std() / max(len(gained), 1) ** 0.5 else ""
