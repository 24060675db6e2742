"""Measure what a language model adds to the ranking of items, as if no log had any of the items.

One log after the other is tested. A choice shows 20 items, one of which the user chose. Half of the remaining items are
sampled uniformly and half by popularity.

The weights of the features and of the model's likelihoods first come from all logs except the one under test. In a
second step they are learned further from other people of the log under test, in PARTS folds, as `whimbrel fit` does.
Replies of the model are cached on disk, so a run that was stopped can resume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.learn import Draw, draw_choices
from whimbrel.agent.learning.ranking import (
    AnsweredChoiceSet,
    ChoiceSet,
    ask_model,
    gains_with_model,
    learn_model_weights,
    learn_ranker,
)
from whimbrel.agent.ranking.rankers import LIKELIHOOD_FEATURES, Ranker
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.evals.runs.plan import Part
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import NoProgress, Progress

NOTHING = Ranker(weights={})
"""The ranker that learning starts from."""
WITHOUT_MODEL = dict.fromkeys((*LIKELIHOOD_FEATURES, "order"), 0.0)
"""Weights of a ranker that ignores the language model."""
OTHERS, OWN = "other logs", "own people"
"""Where weights come from: only from other logs, or also from other people of the same log."""
PARTS = 5

Lifts = Mapping[str, Mapping[str, "Lift"]]
"""Lifts keyed by log, then by where the weights come from."""


@dataclass(frozen=True)
class LiftConfig:
    """What is measured.

    Attributes:
        llm: Spec of the language model.
        choices: Number of choices of each log from which feature weights are learned.
        asked: Number of choices of each log that the model is asked about.
        seed: Seed of the random numbers.
    """

    llm: str = "bundled"
    choices: int = 1000
    asked: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Lift:
    """What a model adds to the ranking of one log's choices.

    Attributes:
        without: NDCG@10 without the model.
        with_: NDCG@10 with the model.
        lift: The paired difference of the two.
        p: The p-value of the difference.
        weights: The mean weights of the model's signals.
    """

    without: Interval
    with_: Interval
    lift: Interval
    p: float
    weights: Mapping[str, float]


def measure_lifts(
    sources: Sequence[str], config: LiftConfig, *, progress: Progress | None = None
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
    model = open_model(config.llm, remember=True)
    if model is None or len(sources) < 2:
        raise ConfigError("give two logs or more, and a model with --llm")
    choices: dict[str, list[ChoiceSet]] = {}
    answers: dict[str, list[AnsweredChoiceSet]] = {}
    for name, source in named_sources(sources).items():
        choices[name] = draw_choices(
            read_library(source, progress), "cold", Fitted.default(), Draw(config.choices, config.seed, progress)
        )
        progress.step(f"Asking the language model ({name})", min(len(choices[name]), config.asked))
        answers[name] = ask_model(choices[name][: config.asked], NOTHING, model, advance=progress.advance)
    return {name: lifts_of(name, choices, answers, seed=config.seed) for name in choices if answers[name]}


def lifts_of(
    name: str,
    choices: Mapping[str, Sequence[ChoiceSet]],
    answers: Mapping[str, Sequence[AnsweredChoiceSet]],
    *,
    seed: int,
) -> dict[str, Lift]:
    """Measure one log with weights from all other logs, then with weights learned further from its own people.

    No weights are learned from the people that they are tested on.
    """
    others = [other for other in choices if other != name]
    tested = answers[name]
    # The weights of the features are learned first, then those of the model's likelihoods.
    ranker = learn_ranker([choices[other] for other in others], NOTHING, seed=seed, trees=False)
    from_others = learn_model_weights([answers[other] for other in others], ranker)
    parts = [Part(number, PARTS, seed) for number in range(PARTS)]
    from_own = {part: _learn_outside(part, from_others, choices[name], tested, seed) for part in parts}
    ranker_of = {
        answer.choice.user: next(from_own[part] for part in parts if part.holds(answer.choice.user))
        for answer in tested
    }
    return {
        OTHERS: _lift(tested, [from_others] * len(tested), seed),
        OWN: _lift(tested, [ranker_of[answer.choice.user] for answer in tested], seed),
    }


def _learn_outside(
    part: Part, start: Ranker, choices: Sequence[ChoiceSet], answers: Sequence[AnsweredChoiceSet], seed: int
) -> Ranker:
    """Learn further from the people of a log who are not in `part`."""
    outside = [choice for choice in choices if not part.holds(choice.user)]
    ranker = learn_ranker([outside], start, seed=seed, trees=False)
    return learn_model_weights([[answer for answer in answers if not part.holds(answer.choice.user)]], ranker)


def _lift(answers: Sequence[AnsweredChoiceSet], rankers: Sequence[Ranker], seed: int) -> Lift:
    """Measure the answers, each with the ranker at the same position."""
    pairs = list(zip(answers, rankers, strict=True))
    # Answers are measured one at a time, since each may have a different ranker.
    without = np.concatenate(
        [gains_with_model(ranker.model_copy(update=WITHOUT_MODEL), [answer]) for answer, ranker in pairs]
    )
    with_ = np.concatenate([gains_with_model(ranker, [answer]) for answer, ranker in pairs])
    users = np.unique([answer.choice.user for answer in answers], return_inverse=True)[1]
    weights = {name: float(np.mean([getattr(ranker, name) for ranker in rankers])) for name in WITHOUT_MODEL}
    return Lift(
        interval(without, users, seed=seed),
        interval(with_, users, seed=seed),
        interval(with_ - without, users, seed=seed),
        sign_flip_p(with_ - without, users, seed=seed),
        {name: weight for name, weight in weights.items() if weight},
    )


def markdown(lifts: Lifts) -> str:
    """Return lifts as a Markdown table."""
    lines = [
        "| log | weights from | n | NDCG@10 without | with the model | lift | p | weights |",
        "|---" * 8 + "|",
    ]
    for name, by_origin in lifts.items():
        for origin, lift in by_origin.items():
            weights = ", ".join(f"{name} {weight:.2f}" for name, weight in lift.weights.items())
            lines.append(
                f"| {name} | {origin} | {lift.lift.n} | {lift.without.value:.3f} | {lift.with_.value:.3f} | "
                f"{lift.lift.value:+.3f} [{lift.lift.low:+.3f}, {lift.lift.high:+.3f}] | {lift.p:.3f} | {weights} |"
            )
    return "\n".join(lines)


def document_of(lifts: Lifts) -> dict[str, Any]:
    """Return lifts as JSON values."""
    return {
        name: {
            origin: {
                "without": vars(lift.without),
                "with": vars(lift.with_),
                "lift": vars(lift.lift),
                "p": lift.p,
                "weights": dict(lift.weights),
            }
            for origin, lift in by_origin.items()
        }
        for name, by_origin in lifts.items()
    }
