"""Learn how the statistics and a language model that reads a person become one probability of a shift.

Both say how likely the next event has one of some topics (see `agent.reading.fuse_shift`). What came next in the log
tells who is right. One log after the other is tested with weights that were learned from all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.learning.learn import Draw, draw_choices, shipped_before
from whimbrel.agent.learning.ranking import Asked
from whimbrel.agent.pipeline import SHIFT, run
from whimbrel.agent.reading.fuse_shift import ShiftFusion, log_odds, probability_of_any
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.studies.asked_choices import AskConfig, latest_choices, open_asked_model, require_reading
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue

RIDGE = 0.02
"""Strength of the pull towards the statistics alone, in mean log loss. With 40 readings of a log, it counts little."""
STATISTICS_ALONE = np.array([0.0, 1.0, 0.0])
"""Bias, weight of the statistics, and weight of the model, from which learning starts."""


@dataclass(frozen=True)
class ReadMoment:
    """A moment that a model has read.

    Attributes:
        user: The id of the person.
        statistics: The probability of the model's topics by the statistics.
        model: The probability that the model states.
        outcome: The share of the next events that has one of the topics. Events with one time come next together.
    """

    user: str
    statistics: float
    model: float
    outcome: float


@dataclass(frozen=True)
class FusedShifts:
    """How good the probabilities are on one log, with weights from all other logs.

    Attributes:
        statistics: Brier score of the statistics.
        model: Brier score of the model.
        fused: Brier score of the fused probability.
        gain: How much smaller `fused` is than `statistics`.
        fusion: The weights from the other logs.
    """

    statistics: Interval
    model: Interval
    fused: Interval
    gain: Interval
    fusion: ShiftFusion


def learn_shift_fusion(
    sources: Sequence[str], out: Path, config: AskConfig, *, progress: Progress | None = None
) -> dict[str, FusedShifts]:
    """Learn the fusion from all logs and write it to `out`. Measure each log with weights from the others.

    Args:
        sources: At least two logs as `NAME=SOURCE`.
        out: The file to write, in the form of `shift_fusion.json`.
        config: The model, the choices and the seed.
        progress: Where progress is shown.

    Raises:
        ConfigError: there are fewer than two logs, no model, or a model that does not read.
        DataError: a log cannot be read, or no reading names a topic.
    """
    progress, named = progress or NoProgress(), named_sources(sources)
    if len(named) < 2:
        raise ConfigError("give two logs or more")
    model = open_asked_model(config)
    require_reading(model, config.llm)
    # All logs are read before the model is asked, so a log that cannot be read costs no replies.
    libraries = {name: read_library(source, progress) for name, source in named.items()}
    moments: dict[str, list[ReadMoment]] = {}
    for name, library in libraries.items():
        draw = Draw(config.choices, config.seed, progress)
        drawn = draw_choices(library, config.kind, shipped_before(library, draw), draw)
        asked = [(choice.user, choice.asked) for choice in latest_choices(drawn) if choice.asked is not None]
        progress.step(f"Asking the language model ({name})", min(len(asked), config.asked))
        if read := read_moments_of(library, asked, model, most=config.asked, progress=progress):
            moments[name] = read
    if len(moments) < 2:
        raise DataError("give two logs or more whose events have topics and times")
    fusion = fit_fusion(list(moments.values()), learned_from=", ".join(moments))
    out.write_text(fusion.model_dump_json(indent=1) + "\n", "utf-8")
    return {
        name: _measured(tested, fit_fusion([m for other, m in moments.items() if other != name]), config.seed)
        for name, tested in moments.items()
    }


def read_moments_of(
    library: Catalogue, asked: Sequence[tuple[str, Asked]], model: ModelAccess, *, most: int, progress: Progress
) -> list[ReadMoment]:
    """Let a model read people at the moments of choices.

    A moment counts if the reading names topics and the log has later events of the person.

    Raises:
        ModelError: the model cannot be reached.
    """
    moments = list[ReadMoment]()
    for user, choice in asked:
        if len(moments) == most:
            break
        following = _next_events(library, user, choice.request.at)
        if following:
            state = run(choice.request, replace(choice.resources, model=model), SHIFT)
            if state.failure is not None:
                raise state.failure
            if (shift := state.reading.shift) is not None:
                statistics = probability_of_any(shift.to_topics, state.prediction.topics)
                outcome = float(np.mean([bool({*event.topics} & {*shift.to_topics}) for event in following]))
                moments.append(ReadMoment(user, statistics, shift.probability, outcome))
                progress.advance(1)
    return moments


def fit_fusion(logs: Sequence[Sequence[ReadMoment]], *, learned_from: str = "") -> ShiftFusion:
    """Learn the weights by a logistic regression on the two log odds. Each log counts the same."""
    from scipy.optimize import minimize

    inputs = [_inputs(log) for log in logs]
    outcomes = [np.array([moment.outcome for moment in log]) for log in logs]

    def loss(weights: Floats) -> tuple[float, Floats]:
        moved = weights - STATISTICS_ALONE
        total, slope = RIDGE * float(moved @ moved), 2 * RIDGE * moved
        for columns, outcome in zip(inputs, outcomes, strict=True):
            odds = columns @ weights
            total += float(np.mean(np.logaddexp(0, odds) - outcome * odds)) / len(logs)
            slope = slope + columns.T @ (1 / (1 + np.exp(-odds)) - outcome) / len(outcome) / len(logs)
        return total, slope

    bounds = [(-5.0, 5.0), (0.0, 5.0), (0.0, 5.0)]
    bias, statistics, model = minimize(loss, STATISTICS_ALONE, jac=True, bounds=bounds).x.round(3).tolist()
    return ShiftFusion(bias=bias, statistics=statistics, model=model, learned_from=learned_from)


def _inputs(moments: Sequence[ReadMoment]) -> Floats:
    return np.array([[1.0, log_odds(moment.statistics), log_odds(moment.model)] for moment in moments])


def _next_events(library: Catalogue, user: str, at: float | None) -> Sequence[Item]:
    """Return the person's events at the first time from `at` on."""
    if at is None:
        return []
    later = [event for event in library.history(user) if event.time is not None and event.time >= at]
    return [event for event in later if event.time == later[0].time]


def _measured(moments: Sequence[ReadMoment], fusion: ShiftFusion, seed: int) -> FusedShifts:
    outcome = np.array([moment.outcome for moment in moments])
    users = np.unique([moment.user for moment in moments], return_inverse=True)[1]
    probabilities = {
        "statistics": np.array([moment.statistics for moment in moments]),
        "model": np.array([moment.model for moment in moments]),
        "fused": np.array([fusion.probability(moment.statistics, moment.model) for moment in moments]),
    }
    errors = {name: (values - outcome) ** 2 for name, values in probabilities.items()}
    scores = {name: interval(values, users, seed=seed) for name, values in errors.items()}
    return FusedShifts(**scores, gain=interval(errors["statistics"] - errors["fused"], users, seed=seed), fusion=fusion)


def markdown(measured: Mapping[str, FusedShifts]) -> str:
    """Return the measurements as a Markdown table."""
    lines = ["| log | n | Brier of the statistics | of the model | fused | better by |", "|---" * 6 + "|"]
    for name, row in measured.items():
        figures = " | ".join(f"{score.value:.3f}" for score in (row.statistics, row.model, row.fused))
        lines.append(f"| {name} | {row.gain.n} | {figures} | {row.gain.words('+')} |")
    return "\n".join(lines)


def document_of(measured: Mapping[str, FusedShifts]) -> dict[str, Any]:
    """Return the measurements as JSON values."""
    return {
        name: {
            "statistics": vars(row.statistics),
            "model": vars(row.model),
            "fused": vars(row.fused),
            "gain": vars(row.gain),
            "fusion": row.fusion.model_dump(mode="json"),
        }
        for name, row in measured.items()
    }
