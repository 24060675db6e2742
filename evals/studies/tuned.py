"""Measure what a language model that was tuned on a log adds to the ranking of held-out people's choices.

The log is cut at a moment near its end (see `tuning_moment`). The model is tuned on events before it, without the
people who are asked about. Their choices after it are ranked three times: without a model, with the untuned model, and
with the tuned one. All weights, of the other signals and of either model's figures, are learned in PARTS folds from the
other people among them, beginning with the shipped weights.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.adapter import Adapter, tuned
from whimbrel.agent.language_models.option_scores import LikelihoodMemory
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.learn import Draw, draw_choices, shipped_before
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet, ask_about, gains_with_model, learn_model_weights
from whimbrel.agent.learning.ranking import ChoiceSet, gain, gains, learn_ranker
from whimbrel.agent.learning.tuning.fit_tuned import require_tunable
from whimbrel.agent.learning.tuning.train import TuneConfig
from whimbrel.agent.learning.tuning.tune import LEARNED_SHARE, tune, tuning_moment
from whimbrel.agent.learning.tuning.worth import later_choices
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.evals.runs.plan import Part
from whimbrel.evals.studies.asked_choices import AskConfig, latest_choices, open_asked_model
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.store.in_memory import InMemory

PARTS = 5


@dataclass(frozen=True)
class TunedLift:
    """NDCG@10 of a log's held-out choices.

    Attributes:
        none: Without a model.
        untuned: With the untuned model.
        tuned: With the tuned one.
        alone: By the likelihoods of the untuned and of the tuned model alone.
        over_untuned: The paired difference of tuned and untuned.
        over_none: The paired difference of tuned and none.
        p: The p-value of `over_untuned`.
        steps: The steps of the training.
        tokens: The tokens that were read in it.
        seconds: How long it took.
    """

    none: Interval
    untuned: Interval
    tuned: Interval
    alone: tuple[Interval, Interval]
    over_untuned: Interval
    over_none: Interval
    p: float
    steps: int
    tokens: int
    seconds: float


def measure_tuned(
    sources: Sequence[str],
    config: AskConfig,
    tuning: TuneConfig,
    *,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, TunedLift]:
    """Measure what tuning adds on each log.

    Args:
        sources: Logs as `NAME=SOURCE`; see `evals.data.catalogues.read_library`.
        config: The model, the kind of candidates, the number of choices, and the seed.
        tuning: How the model is tuned.
        keep: Where the adapters are kept, in a folder for each log. One that is there is not trained again.
        progress: Where progress is shown.

    Raises:
        ConfigError: A package is missing, or the model cannot be tuned.
        DataError: A log cannot be read, or is too short.
    """
    progress = progress or NoProgress()
    llm = open_asked_model(config).llm
    assert llm is not None  # noqa: S101  # `open_asked_model` refuses none
    require_tunable(llm)
    lifts = {}
    for name, source in named_sources(sources).items():
        library = read_library(source, progress)
        draw = Draw(config.choices, config.seed, progress, warm_up=LEARNED_SHARE)
        until, start = tuning_moment(library.log), shipped_before(library, draw)
        tested = latest_choices(later_choices(draw_choices(library, config.kind, start, draw), until))[: config.asked]
        if not tested:
            raise DataError(f"{name!r}: no choice after the first part of the log, so nothing tests a tuned model")
        ranker = start.fusion.of(config.kind)
        with TemporaryDirectory() as work:
            folder = keep / name if keep else Path(work)
            folder.mkdir(parents=True, exist_ok=True)
            adapter = Adapter.load(folder) or _trained(library, llm, folder, tuning, until, tested, progress)
            of_tuned = tuned(llm, adapter)
            answers = {model.digest: _asked(name, tested, ranker, model, config, progress) for model in (llm, of_tuned)}
        lifts[name] = _lift(ranker, answers, (llm, of_tuned), adapter, config.seed)
    return lifts


def _trained(
    library: InMemory,
    llm: LanguageModel,
    folder: Path,
    tuning: TuneConfig,
    until: float,
    tested: Sequence[ChoiceSet],
    progress: Progress,
) -> Adapter:
    people = {choice.user for choice in tested}
    with TemporaryDirectory() as work:  # a stopped training leaves nothing
        adapter = tune(library, llm, Path(work), tuning, before=until, without=people, progress=progress)
        adapter.save(folder)
    saved = Adapter.load(folder)
    if saved is None:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(f"the adapter could not be kept in {str(folder)!r}: give another --keep")
    return saved


def _asked(
    name: str,
    choices: Sequence[ChoiceSet],
    ranker: Ranker,
    llm: LanguageModel,
    config: AskConfig,
    progress: Progress,
) -> list[AnsweredChoiceSet]:
    access = ModelAccess(llm, likelihood_cache=LikelihoodMemory())
    progress.step(f"Asking the language model ({name})", min(len(choices), config.asked))
    return ask_about(choices, ranker, access, most=config.asked, advance=progress.advance)


def _lift(
    ranker: Ranker,
    answers: Mapping[str, Sequence[AnsweredChoiceSet]],
    models: tuple[LanguageModel, LanguageModel],
    adapter: Adapter,
    seed: int,
) -> TunedLift:
    untuned, of_tuned = (answers[model.digest] for model in models)
    if [answer.choice.user for answer in untuned] != [answer.choice.user for answer in of_tuned]:
        raise DataError("the two models answered different choices: leave out the likelihoods that are not finite")
    users = np.unique([answer.choice.user for answer in untuned], return_inverse=True)[1]
    none, with_untuned = _crossfitted(ranker, untuned, models[0], seed)
    with_tuned = _crossfitted(ranker, of_tuned, models[1], seed)[1]
    alone = [np.array([gain(a.alone, a.choice.chosen) for a in of_model]) for of_model in (untuned, of_tuned)]

    def mean(values: Floats) -> Interval:
        return interval(values, users, seed=seed)

    return TunedLift(
        mean(none),
        mean(with_untuned),
        mean(with_tuned),
        (mean(alone[0]), mean(alone[1])),
        mean(with_tuned - with_untuned),
        mean(with_tuned - none),
        sign_flip_p(with_tuned - with_untuned, users, seed=seed),
        adapter.facts.steps,
        adapter.facts.tokens,
        adapter.facts.seconds,
    )


def _crossfitted(
    start: Ranker, answers: Sequence[AnsweredChoiceSet], llm: LanguageModel, seed: int
) -> tuple[Floats, Floats]:
    """Return NDCG@10 of each answer without and with the model, by weights of other people, shape (answers,) each."""
    without, with_, access = np.zeros(len(answers)), np.zeros(len(answers)), ModelAccess(llm)
    for part in (Part(number, PARTS, seed) for number in range(PARTS)):
        outside = [answer for answer in answers if not part.holds(answer.choice.user)]
        ranker = learn_ranker([[answer.choice for answer in outside]], start, seed=seed, trees=False)
        learned = learn_model_weights([outside], ranker, llm.digest)
        for row, answer in enumerate(answers):
            if part.holds(answer.choice.user):
                without[row] = gains(ranker, [answer.choice])[0]
                with_[row] = gains_with_model(learned, [answer], access)[0]
    return without, with_


def markdown(lifts: Mapping[str, TunedLift], kind: CandidateKind) -> str:
    """Return lifts as a Markdown table."""
    lines = [
        f"Candidates: {kind}. NDCG@10.",
        "",
        "| log | n | no model | untuned | tuned | untuned alone | tuned alone "
        "| tuned − untuned | p | tuned − none | training |",
        "|---" * 11 + "|",
    ]
    for name, lift in lifts.items():
        values = " | ".join(f"{part.value:.3f}" for part in (lift.none, lift.untuned, lift.tuned, *lift.alone))
        lines.append(
            f"| {name} | {lift.none.n} | {values} | {lift.over_untuned.words('+')} | {lift.p:.3f} | "
            f"{lift.over_none.words('+')} | {lift.steps} steps, {lift.tokens:,} tokens, {lift.seconds:.0f} s |"
        )
    return "\n".join(lines)


def document_of(lifts: Mapping[str, TunedLift]) -> dict[str, Any]:
    """Return lifts as JSON values."""
    return {
        name: {
            "none": vars(lift.none),
            "untuned": vars(lift.untuned),
            "tuned": vars(lift.tuned),
            "untuned_alone": vars(lift.alone[0]),
            "tuned_alone": vars(lift.alone[1]),
            "tuned_over_untuned": vars(lift.over_untuned),
            "tuned_over_none": vars(lift.over_none),
            "p": lift.p,
            "steps": lift.steps,
            "tokens": lift.tokens,
            "seconds": lift.seconds,
        }
        for name, lift in lifts.items()
    }
