"""Learn the weights that are shipped with the agent. They come from several logs, which count equally."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from whimbrel.agent.learning.learn import (
    Draw,
    draw_channel_choices,
    draw_choices,
    learn_channels,
    learn_rankers,
    shipped_before,
)
from whimbrel.agent.learning.model_weights import learn_model_weights
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.learning.topics import fit_next_topics
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker, Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.studies.asked_choices import AskConfig, ask_log, open_asked_model
from whimbrel.evals.studies.shift_moments import read_moments
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.progress import NoProgress, Progress

KINDS: tuple[CandidateKind, ...] = ("retrieved", "given")
"""Choices are drawn for these kinds of candidates. The choices of `given` are also used to learn `cold`: for that, all
features that come from the log are removed."""
NOTHING = Rankers(retrieved=Ranker(weights={}), given=Ranker(weights={}), cold=Ranker(weights={}))
"""Rankers without weights, from which learning starts."""


@dataclass(frozen=True)
class FusionConfig:
    """The choices that rankers are learned from.

    Attributes:
        choices: The largest number of choices for each log and kind of candidates.
        seed: Seed of the random numbers.
    """

    choices: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class _Drawn:
    """The choices of one log: choices keyed by the kind of candidates, and choices for the retrieval channels."""

    by_kind: dict[CandidateKind, list[ChoiceSet]]
    channels: list[ChoiceSet]


def learn_topics(
    sources: Sequence[str],
    out: Path,
    *,
    mapped: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> NextTopics:
    """Learn the predictor of the next topics from the first part of each log, and write it to `out`.

    Args:
        sources: Logs as `NAME=SOURCE`.
        out: The file to write.
        mapped: Columns and their fields, as for `ingest`.
        seed: Seed of the random numbers.
        progress: Where progress is shown.

    Raises:
        DataError: a log cannot be read, or the logs are too short.
    """
    named = named_sources(sources)
    logs = [read_moments(source, mapped=mapped, seed=seed, progress=progress).learned_from for source in named.values()]
    learned = fit_next_topics(logs, learned_from=", ".join(named), seed=seed)
    out.write_text(learned.model_dump_json(indent=1) + "\n", "utf-8")
    return learned


def learn_fusions(
    sources: Sequence[str], out: Path, config: FusionConfig, *, progress: Progress | None = None
) -> list[Path]:
    """Learn rankers from all logs. For each log, also learn rankers from all other logs, to be tested on that log.

    Returns:
        The files that were written: `out`, and next to it one file for each log that was left out.

    Raises:
        ConfigError: the name of a log cannot be part of a file name.
        DataError: a log cannot be read.
    """
    progress = progress or NoProgress()
    named = named_sources(sources)
    for name in named:
        if Path(name).name != name:
            raise ConfigError(f"{name!r}: give each log a name without slashes, as NAME=SOURCE")
    drawn = {name: _draw(source, config, progress) for name, source in named.items()}
    files = []
    for left_out in [None, *drawn] if len(drawn) > 1 else [None]:
        used = [name for name in drawn if name != left_out]
        progress.step(f"Learning from {', '.join(used)}", None)
        rankers = _learn([drawn[name] for name in used], config.seed)
        learned = rankers.model_copy(update={"learned_from": ", ".join(used)})
        files.append(out if left_out is None else out.with_suffix(f".without-{left_out}.json"))
        files[-1].write_text(learned.model_dump_json(indent=1) + "\n", "utf-8")
    return files


def learn_model(
    sources: Sequence[str], weights: Path, config: AskConfig, *, progress: Progress | None = None
) -> dict[str, float]:
    """Learn what a language model's figures are worth, and write their weights into a file of rankers.

    The weights hold for all models of the same tier. Those of other tiers and kinds stay.

    Args:
        sources: Logs as `NAME=SOURCE`, which count equally.
        weights: The file of rankers, as `learn_fusions` writes it.
        config: The model, the choices and the seed.
        progress: Where progress is shown.

    Raises:
        ConfigError: there is no model.
        DataError: a log or the file cannot be read, or the logs are too short.
    """
    progress = progress or NoProgress()
    model, rankers = open_asked_model(config), _read_rankers(weights)
    ranker, answers = rankers.of(config.kind), []
    for name, source in named_sources(sources).items():
        draw = Draw(config.choices, config.seed, progress)
        library = read_library(source, progress)
        fitted = replace(shipped_before(library, draw), fusion=rankers)
        choices = draw_choices(library, config.kind, fitted, draw)
        if not choices:
            raise DataError(f"log {name!r} is too short: no choice can be drawn from it")
        answers.append(ask_log(name, choices, ranker, model, config, progress))
    learned = learn_model_weights(answers, ranker, model.tier)
    document = rankers.model_copy(update={config.kind: learned})
    weights.write_text(document.model_dump_json(indent=1) + "\n", "utf-8")
    return dict(learned.models.get(model.tier, {}))


def _read_rankers(path: Path) -> Rankers:
    try:
        return Rankers.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} holds no rankers: write it with `whimbrel eval defaults fusion`") from error


def _draw(source: str, config: FusionConfig, progress: Progress) -> _Drawn:
    library, draw = read_library(source, progress), Draw(config.choices, config.seed, progress)
    # The shipped topic weights are used. The rankers are not read while choices are drawn.
    fitted = shipped_before(library, draw)
    channels = draw_channel_choices(library, replace(fitted, fusion=NOTHING), draw)
    # Candidates are retrieved with channel weights that are learned from the log itself, as `whimbrel fit` does.
    weights = learn_channels([channels], {}, seed=config.seed)
    with_channels = NOTHING.model_copy(update={"channels": weights})
    by_kind = {kind: draw_choices(library, kind, replace(fitted, fusion=with_channels), draw) for kind in KINDS}
    return _Drawn(by_kind, channels)


def _learn(logs: Sequence[_Drawn], seed: int) -> Rankers:
    """Learn the weights of channels and features from several logs."""
    choices: dict[CandidateKind, Sequence[Sequence[ChoiceSet]]] = {
        kind: [log.by_kind[kind] for log in logs] for kind in KINDS
    }
    rankers = learn_rankers(NOTHING, choices, seed=seed, trees=False)
    return rankers.model_copy(update={"channels": learn_channels([log.channels for log in logs], {}, seed=seed)})
