"""Learn from the log of a store, from files of sessions, or from cases, with or without a language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from whimbrel.agent.fitted import FILES, FUSION, Fitted, save_calibrated
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.cases import Case, Problem
from whimbrel.agent.learning.choice_sets import GivenQuery, TrainingQuery, given_choice_sets
from whimbrel.agent.learning.fitted_log import write_fitted_log
from whimbrel.agent.learning.forecast import fit_forecast
from whimbrel.agent.learning.fusion import Fusion
from whimbrel.agent.learning.learn import Draw, Learning, calibrate, learn_from
from whimbrel.agent.learning.ranking import (
    LEAST_CHOICES,
    ChoiceSet,
    learn_ranker,
)
from whimbrel.agent.learning.sessions import catalogue_of, read_training, training_of_cases
from whimbrel.agent.learning.taught_encoder import TeachConfig
from whimbrel.agent.learning.taught_worth import TaughtWorth
from whimbrel.agent.learning.tuning.fit_tuned import fit_tuned
from whimbrel.agent.learning.tuning.train import TuneConfig
from whimbrel.agent.learning.tuning.worth import Worth
from whimbrel.agent.learning.weigh_model import ask_all, weigh
from whimbrel.agent.origin import Origin
from whimbrel.agent.ranking.rankers import CandidateKind
from whimbrel.agent.schema.context import as_context
from whimbrel.agent.shift.forecast import FORECASTER_FILE, SETTINGS_FILE
from whimbrel.agent.state import Resources
from whimbrel.agent.transfer import moved, read_fit
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.files.whole_files import whole_files
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.clients import DATABASE_FILE
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store

LEAST_CASES = 30
"""Weights are calibrated on cases only if there are at least this many. With fewer, the weights of the log stay."""
AMONG: Mapping[CandidateKind, str] = {
    "retrieved": "among all items",
    "given": "among the items of a shown list",
    "cold": "among items that nobody had chosen",
}
PARTS = 5
"""The users of cases are split into this many parts.

A case uses the click rates of the other parts only, because the rates of its own part would contain its choice.
"""


@dataclass(frozen=True)
class Extras:
    """What a fit learns from in addition to the log.

    Attributes:
        cases: Cases to calibrate on. Problems among them are reported.
        llm: The language model whose weight is learned; None for no model.
        answers: How many choice sets of each kind the model is asked about.
        source: A folder that `whimbrel fit --out` wrote for another store. Its weights are where learning begins.
        tune: How the model is tuned on the log; None if it is not.
        teach: How the text encoder is tuned; None if it is not.
    """

    cases: Sequence[Case | Problem] = ()
    llm: LanguageModel | None = None
    answers: int = 300
    source: Path | None = None
    tune: TuneConfig | None = None
    teach: TeachConfig | None = None


@dataclass(frozen=True)
class Fit:
    """What a fit did.

    Attributes:
        moments: Events that the next topics were learned from.
        users: Users whose events these are.
        choices: Choice sets that rankers were learned from, by kind of candidates.
        cases: Choice sets of cases.
        outlook: Whether forecasts of the next weeks were learned.
        path: Where the fit lies.
        problems: Lines that hold no case.
        transfer: What became of the weights of another store, in words; "" if there were none.
        tuned: What tuning the language model gave held-out people; None if it was not tuned.
        taught: What tuning the text encoder gave held-out people; None if it was not tuned.
    """

    moments: int
    users: int
    choices: Mapping[CandidateKind, int]
    cases: int
    outlook: bool
    path: Path
    problems: Sequence[Problem] = ()
    transfer: str = ""
    tuned: Worth | None = None
    taught: TaughtWorth | None = None

    def document(self) -> dict[str, Any]:
        """Return the fit as JSON."""
        worths = {"tuned": self.tuned, "taught": self.taught}
        parts = {name: {"kept": worth.is_kept, **vars(worth)} if worth else None for name, worth in worths.items()}
        problems = [str(problem) for problem in self.problems]
        return {**vars(self), "path": str(self.path), "problems": problems, **parts}

    def words(self) -> str:
        """Return the fit as a line for a person."""
        choices = ", ".join(f"{count:,} choices {AMONG[kind]}" for kind, count in self.choices.items())
        cases = f" and {self.cases:,} cases" if self.cases else ""
        few = max((*self.choices.values(), self.cases), default=0) < LEAST_CHOICES
        unchanged = "; too few choices to learn weights, so those that it began with stay" if few else ""
        learned = f"Learned from {self.moments:,} events of {self.users:,} people, {choices}{cases}: {self.path}"
        worths = [worth.words() for worth in (self.taught, self.tuned) if worth]
        return "\n".join([f"{learned}{unchanged}{self.transfer}", *worths])


def fit_store(
    store: Store,
    extras: Extras | None = None,
    *,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Learn from the log of a store, and keep the result in the store's folder or in another one.

    Args:
        store: The store.
        extras: What is learned from too: cases, a language model, the weights of another store.
        out: A folder for what is learned. The store then stays as it is.
        seed: The seed of all random draws.
        progress: Shows the progress.

    Raises:
        DataError: The log is too short to learn from, or the cases or the other store's fit cannot be read.
        ConfigError: `out` is a file.
    """
    extras = extras or Extras()
    if out is None:
        store.require_writable()
    else:
        _require_folder(out)
    draw = Draw(seed=seed, progress=progress or NoProgress(), teach=extras.teach)
    start, fusion = Fitted.default(), None
    if extras.source is not None:
        of_source = read_fit(extras.source)
        fusion = Fusion(str(extras.source), of_source.fusion)
        start = replace(start, topics=moved(of_source, store, start, str(extras.source)).topics)
    learned = learn_from(store, start=start, fusion=fusion, draw=draw)
    if fusion is None:
        _require_something(learned)
    with TemporaryDirectory() as work:
        fitted, fit = _with_extras(learned, store, extras, out or store.fitted, Path(work), draw.progress)
        fit = replace(fit, transfer=fusion.words(AMONG) if fusion else "")
        if out is not None:
            draw.progress.step("Describing the log", None)
            with whole_files(out, FILES) as new:
                origin = Origin.of(store, timed=True)
                if extras.source is not None and of_source.origin.until is not None and origin.until is not None:
                    origin = origin.model_copy(update={"until": max(origin.until, of_source.origin.until)})
                replace(fitted, origin=origin).save(new)
            return fit
        draw.progress.step("Learning to forecast", None)
        with whole_files(store.fitted, (*FILES, FORECASTER_FILE, SETTINGS_FILE)) as new:
            # The items are those of the store itself, so only the encoder is noted.
            replace(fitted, origin=Origin(encoder=store.encoder.name)).save(new)
            outlook = fit_forecast(store.log, new, seed=seed)
    return replace(fit, outlook=outlook)


def has_fit(store: Store) -> bool:
    """Return whether `whimbrel fit` has learned from a store."""
    return (store.fitted / FUSION).is_file()


def calibrate_store(store: Store, *, progress: Progress | None = None) -> None:
    """Learn in seconds which signals count on the log of a store. A store that was fitted already stays as it is."""
    if has_fit(store):
        return
    rankers = calibrate(store, progress=progress)
    if rankers is not None:
        save_calibrated(rankers, store.fitted)


def fit_sessions(
    sessions: Path,
    items: Path | None,
    out: Path,
    extras: Extras | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Learn from files of sessions and items. Write the log and what was learned into a folder.

    Args:
        sessions: See `read_training`.
        items: See `read_training`.
        out: The folder.
        extras: Cases and a language model, if these are learned from too.
        seed: The seed of all random draws.
        progress: Shows the progress.

    Raises:
        DataError: A file cannot be read, an id cannot be kept, or the log is too short to learn from.
        ConfigError: `out` is a file.
    """
    extras = extras or Extras()
    draw = Draw(seed=seed, progress=progress or NoProgress(), teach=extras.teach)
    draw.progress.step("Reading sessions", None)
    return _fit_log(catalogue_of(read_training(sessions, items)), out, extras, draw)


def fit_cases(extras: Extras, out: Path, *, seed: int = 0, progress: Progress | None = None) -> Fit:
    """Learn from cases alone, and write the result into a folder.

    The histories of the cases are the log. Their candidates are the lists that were shown.

    Raises:
        DataError: There are too few cases to learn from.
        ConfigError: `out` is a file.
    """
    catalogue = catalogue_of(training_of_cases((case.blind, ()) for case in extras.cases if isinstance(case, Case)))
    return _fit_log(catalogue, out, extras, Draw(seed=seed, progress=progress or NoProgress()))


def _fit_log(catalogue: InMemory, out: Path, extras: Extras, draw: Draw) -> Fit:
    _require_folder(out)
    for item_id in catalogue.log.item_ids:
        if not item_id or not item_id.isprintable():
            raise DataError(f"the log holds an id that cannot be kept: {item_id!r}")
    learned = learn_from(catalogue, draw=draw)
    with TemporaryDirectory() as work:
        fitted, fit = _with_extras(learned, catalogue, extras, out, Path(work), draw.progress)
        if not fit.cases:
            _require_something(learned)
        learned_cases = [case.blind for case in extras.cases if isinstance(case, Case)] if fit.cases else []
        write_fitted_log(catalogue, replace(fitted, origin=Origin.of(catalogue, timed=False)), out, learned_cases)
    return fit


def _require_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a file: give a folder")
    if (out / DATABASE_FILE).is_file():
        raise ConfigError(f"--out {str(out)!r} is the folder of a store: give another one, or leave --out away")


def _require_something(learned: Learning) -> None:
    if not learned.moments and not any(learned.choices.values()):
        raise DataError("the log is too short to learn from: what is shipped stays in use")


def _with_extras(
    learned: Learning, catalogue: Catalogue, extras: Extras, path: Path, work: Path, progress: Progress
) -> tuple[Fitted, Fit]:
    """Calibrate the weights that the log taught on cases, then learn the weights of the language model's answers."""
    fitted, rankers = learned.fitted.for_log(catalogue.log), learned.fitted.fusion
    cases = [case for case in extras.cases if isinstance(case, Case) and case.blind.met is None]
    of_cases = given_choice_sets(_given_queries(cases), Resources(catalogue, fitted))
    for kind, choices in of_cases.items():
        # Calibration changes the weights only, so the trees that the log taught are kept.
        calibrated = learn_ranker([choices], rankers.of(kind), trees=False, least=LEAST_CASES)
        rankers = rankers.model_copy(update={kind: calibrated.with_trees(rankers.of(kind).trees)})
    pools: dict[CandidateKind, list[ChoiceSet]] = {**learned.choices, **of_cases}
    adapter, worth = None, None
    if extras.llm is not None and extras.tune is not None:
        tuning = fit_tuned(
            catalogue, pools, rankers, extras.llm, extras.tune, folder=work, most=extras.answers, progress=progress
        )
        rankers, adapter, worth = tuning.rankers, tuning.adapter, tuning.worth
    elif extras.llm is not None:
        answers = ask_all(pools, rankers, extras.llm, most=extras.answers, progress=progress)
        rankers = weigh(rankers, answers, extras.llm)
    fit = Fit(
        moments=learned.moments,
        users=learned.users,
        choices={kind: len(choices) for kind, choices in learned.choices.items()},
        cases=sum(map(len, of_cases.values())),
        outlook=False,
        path=path,
        problems=[problem for problem in extras.cases if isinstance(problem, Problem)],
        tuned=worth,
        taught=learned.taught,
    )
    return replace(fitted, fusion=rankers, click_rates=_click_rates(cases), adapter=adapter), fit


def _given_queries(cases: Sequence[Case]) -> list[GivenQuery]:
    """Turn cases into training queries. Each gets the click rates of cases of other users."""
    users = np.random.default_rng(0).permutation(sorted({case.blind.user_id for case in cases}))
    part = {str(user): number % PARTS for number, user in enumerate(users)}
    rates = [_click_rates([case for case in cases if part[case.blind.user_id] != number]) for number in range(PARTS)]
    return [
        GivenQuery(
            TrainingQuery(
                user=case.blind.user_id,
                history=case.blind.history,
                before=np.inf,
                chose=case.relevant,
                context=as_context(case.blind.context),
            ),
            case.blind.candidates,
            rates[part[case.blind.user_id]],
        )
        for case in cases
    ]


def _click_rates(cases: Sequence[Case]) -> ClickRates:
    return ClickRates.of(([item.item_id for item in case.blind.candidates], case.relevant) for case in cases)
