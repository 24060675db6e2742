"""Measure what a language model adds to the ranking of items, beside a log or as if no log had any of the items.

One log after the other is tested. There are three kinds of choices:

cold: 20 items, one of which the user chose. Half of the others are sampled uniformly and half by popularity. No log is
    known.
given: the same lists, beside the log up to the moment.
retrieved: the best candidates of the whole catalogue. Only choices whose item is among them are measured.

The weights of the features and of the model's figures first come from all logs except the one under test. In a second
step they are learned further from other people of the log under test, in PARTS folds, as `whimbrel fit` does. Replies
of the model are cached on disk, so a run that was stopped can resume.

Beside the lift of the model stands that of the text signals, which need no language model: the ranking with all
features against the ranking without those of text. Both lifts are also given by how often the chosen item occurred
before, and by the length of the history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.learning.learn import Draw, draw_choices, shipped_before
from whimbrel.agent.learning.model_weights import (
    AnsweredChoiceSet,
    gains_with_model,
    learn_model_weights,
)
from whimbrel.agent.learning.ranking import NEVER_NEGATIVE, ChoiceSet, gain, gains, learn_ranker
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.evals.runs.plan import Part
from whimbrel.evals.studies.asked_choices import AskConfig, ask_log, open_asked_model
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.progress import NoProgress, Progress

NOTHING = Ranker(weights={})
"""The ranker that learning starts from."""
OTHERS, OWN = "other logs", "own people"
"""Where weights come from: only from other logs, or also from other people of the same log."""
TEXT = "text signals"
"""The lift of the features of text, on all drawn choices, with weights from other logs."""
WITHOUT_TEXT = np.isin(FEATURES, NEVER_NEGATIVE, invert=True)
PARTS = 5

Lifts = Mapping[str, Mapping[str, "Lift"]]
"""Lifts keyed by log, then by where the weights come from, or by TEXT."""


@dataclass(frozen=True)
class Lift:
    """What a model adds to the ranking of one log's choices.

    Attributes:
        without: NDCG@10 without the model.
        alone: NDCG@10 by the model's own order or likelihoods.
        with_: NDCG@10 with the model.
        lift: The paired difference of the two.
        p: The p-value of the difference.
        weights: The mean weights of the model's signals.
        slices: The paired difference for parts of the choices (see `_slices`).
    """

    without: Interval
    alone: Interval
    with_: Interval
    lift: Interval
    p: float
    weights: Mapping[str, float]
    slices: Mapping[str, Interval] = field(default_factory=dict)


def measure_lifts(
    sources: Sequence[str], config: AskConfig, *, progress: Progress | None = None
) -> dict[str, dict[str, Lift]]:
    """Measure what a model adds to each log's ranking.

    Args:
        sources: At least two logs as `NAME=SOURCE`; see `evals.data.catalogues.read_library`.
        config: The model, the number of choices, and the seed.
        progress: Where progress is shown.

    Raises:
        ConfigError: there are fewer than two logs, or no model.
        DataError: a log cannot be read.
    """
    progress = progress or NoProgress()
    if len(sources) < 2:
        raise ConfigError("give two logs or more")
    model = open_asked_model(config)
    choices: dict[str, list[ChoiceSet]] = {}
    answers: dict[str, list[AnsweredChoiceSet]] = {}
    for name, source in named_sources(sources).items():
        draw = Draw(config.choices, config.seed, progress)
        library = read_library(source, progress)
        choices[name] = draw_choices(library, config.kind, shipped_before(library, draw), draw)
    for name, of_log in choices.items():
        # What is asked about is chosen by weights of other logs. The reply cannot have decided it then.
        ranker = _learn_features([choices[other] for other in choices if other != name], config.seed)
        answers[name] = ask_log(name, of_log, ranker, model, config, progress)
    return {name: lifts_of(name, choices, answers, model, seed=config.seed) for name in choices if answers[name]}


def lifts_of(
    name: str,
    choices: Mapping[str, Sequence[ChoiceSet]],
    answers: Mapping[str, Sequence[AnsweredChoiceSet]],
    model: ModelAccess,
    *,
    seed: int,
) -> dict[str, Lift]:
    """Measure one log with weights from all other logs, then with weights learned further from its own people.

    No weights are learned from the people that they are tested on.
    """
    others = [other for other in choices if other != name]
    tested = answers[name]
    # The weights of the features are learned first, then those of the model's figures.
    ranker = _learn_features([choices[other] for other in others], seed)
    from_others = learn_model_weights([answers[other] for other in others], ranker, model.tier)
    parts = [Part(number, PARTS, seed) for number in range(PARTS)]
    from_own = {part: _learn_outside(part, from_others, choices[name], tested, model, seed=seed) for part in parts}
    ranker_of = {
        answer.choice.user: next(from_own[part] for part in parts if part.holds(answer.choice.user))
        for answer in tested
    }
    return {
        OTHERS: _lift(tested, [from_others] * len(tested), model, seed),
        OWN: _lift(tested, [ranker_of[answer.choice.user] for answer in tested], model, seed),
        TEXT: _text_lift(name, choices, ranker, seed),
    }


def _learn_features(logs: Sequence[Sequence[ChoiceSet]], seed: int) -> Ranker:
    return learn_ranker(logs, NOTHING, seed=seed, trees=False)


def _learn_outside(
    part: Part,
    start: Ranker,
    choices: Sequence[ChoiceSet],
    answers: Sequence[AnsweredChoiceSet],
    model: ModelAccess,
    *,
    seed: int,
) -> Ranker:
    """Learn further from the people of a log who are not in `part`."""
    outside = [choice for choice in choices if not part.holds(choice.user)]
    ranker = learn_ranker([outside], start, seed=seed, trees=False)
    return learn_model_weights([[a for a in answers if not part.holds(a.choice.user)]], ranker, model.tier)


def _text_lift(name: str, choices: Mapping[str, Sequence[ChoiceSet]], ranker: Ranker, seed: int) -> Lift:
    """Measure what the features of text add to all drawn choices of a log.

    Args:
        name: The log.
        choices: The choices of all logs.
        ranker: Learned from all features of all other logs.
        seed: Seed of the random numbers.
    """
    plain = {other: [_without_text(choice) for choice in of_log] for other, of_log in choices.items()}
    text = {other: [choice.without_log() for choice in of_log] for other, of_log in choices.items()}
    others = [other for other in choices if other != name]
    without = gains(_learn_features([plain[other] for other in others], seed), plain[name])
    alone = gains(_learn_features([text[other] for other in others], seed), text[name])
    return _compared(choices[name], without, alone, gains(ranker, choices[name]), {}, seed)


def _without_text(choice: ChoiceSet) -> ChoiceSet:
    return replace(choice, features=choice.features * WITHOUT_TEXT)


def _lift(answers: Sequence[AnsweredChoiceSet], rankers: Sequence[Ranker], model: ModelAccess, seed: int) -> Lift:
    """Measure the answers, each with the ranker at the same position."""
    pairs = list(zip(answers, rankers, strict=True))
    # Answers are measured one at a time, since each may have a different ranker.
    without = np.concatenate([gains(ranker, [answer.choice]) for answer, ranker in pairs])
    with_ = np.concatenate([gains_with_model(ranker, [answer], model) for answer, ranker in pairs])
    alone = np.array([gain(answer.alone, answer.choice.chosen) for answer in answers])
    names = {name for ranker in rankers for name in ranker.model_weights(model)}
    weights = {name: float(np.mean([r.model_weights(model).get(name, 0.0) for r in rankers])) for name in sorted(names)}
    return _compared([answer.choice for answer in answers], without, alone, with_, weights, seed)


def _compared(
    choices: Sequence[ChoiceSet],
    without: Floats,
    alone: Floats,
    with_: Floats,
    weights: Mapping[str, float],
    seed: int,
) -> Lift:
    """Return the means of NDCG@10 of some choices, shape (choices,) each, and their paired difference."""
    users = np.unique([choice.user for choice in choices], return_inverse=True)[1]
    gained = with_ - without
    return Lift(
        interval(without, users, seed=seed),
        interval(alone, users, seed=seed),
        interval(with_, users, seed=seed),
        interval(gained, users, seed=seed),
        sign_flip_p(gained, users, seed=seed),
        weights,
        {part: interval(gained[rows], users[rows], seed=seed) for part, rows in _slices(choices).items()},
    )


def _slices(choices: Sequence[ChoiceSet]) -> dict[str, NDArray[np.bool_]]:
    """Split choices at the medians, shape (choices,) each.

    tail, head: how often the chosen item occurred before the moment. A log without the item gives no such parts.
    short, long: the length of the history.
    """
    met = np.array([_events_before(choice) for choice in choices])
    events = np.array([len(choice.asked.request.history or ()) if choice.asked else 0 for choice in choices])
    parts = {"short history": events <= np.median(events), "long history": events > np.median(events)}
    if met.any():
        parts = {"tail": met <= np.median(met), "head": met > np.median(met)} | parts
    return parts


def _events_before(choice: ChoiceSet) -> int:
    """Return how many events the chosen item had before the moment."""
    if choice.asked is None:
        return 0
    log, at = choice.asked.resources.catalogue.log, choice.asked.request.at
    (row,) = log.rows([choice.asked.chosen_id])
    return int(log.popularity(before=np.inf if at is None else at)[row]) if row >= 0 else 0


def markdown(lifts: Lifts) -> str:
    """Return lifts as a Markdown table."""
    lines = [
        "| log | weights from | n | NDCG@10 without | the model alone | both | lift | p | weights |",
        "|---" * 9 + "|",
    ]
    for name, by_origin in lifts.items():
        for origin, lift in by_origin.items():
            weights = ", ".join(f"{name} {weight:.2f}" for name, weight in lift.weights.items())
            lines.append(
                f"| {name} | {origin} | {lift.lift.n} | {lift.without.value:.3f} | {lift.alone.value:.3f} | "
                f"{lift.with_.value:.3f} | {lift.lift.words('+')} | {lift.p:.3f} | {weights} |"
            )
    parts = list(dict.fromkeys(part for of_log in lifts.values() for lift in of_log.values() for part in lift.slices))
    lines += ["", f"| log | lift of | {' | '.join(parts)} |", "|---" * (2 + len(parts)) + "|"]
    for name, by_origin in lifts.items():
        for origin, lift in by_origin.items():
            if origin != OWN:
                values = [lift.slices.get(part) for part in parts]
                cells = [f"{value.words('+')} (n={value.n})" if value else "" for value in values]
                lines.append(f"| {name} | {'the model' if origin == OTHERS else origin} | {' | '.join(cells)} |")
    return "\n".join(lines)


def document_of(lifts: Lifts) -> dict[str, Any]:
    """Return lifts as JSON values."""
    return {
        name: {
            origin: {
                "without": vars(lift.without),
                "alone": vars(lift.alone),
                "with": vars(lift.with_),
                "lift": vars(lift.lift),
                "p": lift.p,
                "weights": dict(lift.weights),
                "slices": {part: vars(value) for part, value in lift.slices.items()},
            }
            for origin, lift in by_origin.items()
        }
        for name, by_origin in lifts.items()
    }
