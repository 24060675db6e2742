"""Learn from the log of a store, from files of sessions, or from cases, with or without a language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.fitted import FILES, FUSION, Fitted, save_calibrated
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.cases import Case, Problem
from whimbrel.agent.learning.choice_sets import GivenQuery, TrainingQuery, given_choice_sets
from whimbrel.agent.learning.fitted_log import write_fitted_log
from whimbrel.agent.learning.forecast import fit_forecast
from whimbrel.agent.learning.learn import Draw, Learning, calibrate, learn_from
from whimbrel.agent.learning.model_weights import ask_about, learn_model_weights
from whimbrel.agent.learning.ranking import (
    LEAST_CHOICES,
    ChoiceSet,
    learn_ranker,
)
from whimbrel.agent.learning.sessions import catalogue_of, read_training, training_of_cases
from whimbrel.agent.learning.taught_encoder import TeachConfig
from whimbrel.agent.learning.taught_worth import TaughtWorth
from whimbrel.agent.ranking.rankers import CandidateKind
from whimbrel.agent.reading.tiers import tier_of
from whimbrel.agent.schema.context import as_context
from whimbrel.agent.shift.forecast import FORECASTER_FILE, SETTINGS_FILE
from whimbrel.agent.state import Resources
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.files.whole_files import whole_files
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store

LEAST_CASES = 30
"""Weights are calibrated on cases only if there are at least this many. With fewer, the weights of the log stay."""
AMONG: Mapping[CandidateKind, str] = {
    "retrieved": "among retrieved items",
    "given": "among given items",
    "cold": "among items that the log does not know",
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
        teach: How the text encoder is tuned; None if it is not.
    """

    cases: Sequence[Case | Problem] = ()
    llm: LanguageModel | None = None
    answers: int = 300
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
        taught: What tuning the text encoder gave held-out people; None if it was not tuned.
    """

    moments: int
    users: int
    choices: Mapping[CandidateKind, int]
    cases: int
    outlook: bool
    path: Path
    problems: Sequence[Problem] = ()
    taught: TaughtWorth | None = None

    def document(self) -> dict[str, Any]:
        """Return the fit as JSON."""
        taught = {"kept": self.taught.is_kept, **vars(self.taught)} if self.taught else None
        problems = [str(problem) for problem in self.problems]
        return {**vars(self), "path": str(self.path), "problems": problems, "taught": taught}

    def words(self) -> str:
        """Return the fit as a line for a person."""
        choices = ", ".join(f"{count:,} choices {AMONG[kind]}" for kind, count in self.choices.items())
        cases = f" and {self.cases:,} cases" if self.cases else ""
        few = max((*self.choices.values(), self.cases), default=0) < LEAST_CHOICES
        unchanged = "; too few choices to learn weights, so the shipped ones stay" if few else ""
        learned = f"Learned from {self.moments:,} events of {self.users:,} people, {choices}{cases}: {self.path}"
        return "\n".join([learned + unchanged, *([self.taught.words()] if self.taught else [])])


def fit_store(store: Store, extras: Extras | None = None, *, seed: int = 0, progress: Progress | None = None) -> Fit:
    """Learn from the log of a store, and keep the result in the store's folder.

    Args:
        store: The store.
        extras: Cases and a language model, if these are learned from too.
        seed: The seed of all random draws.
        progress: Shows the progress.

    Raises:
        DataError: The log is too short to learn from, or the cases cannot be read.
    """
    store.require_writable()
    extras = extras or Extras()
    draw = Draw(seed=seed, progress=progress or NoProgress(), teach=extras.teach)
    learned = learn_from(store, draw=draw)
    _require_something(learned)
    fitted, fit = _with_extras(learned, store, extras, store.fitted, draw.progress)
    draw.progress.step("Learning to forecast", None)
    with whole_files(store.fitted, (*FILES, FORECASTER_FILE, SETTINGS_FILE)) as new:
        fitted.save(new)
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
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a file: give a folder")
    for item_id in catalogue.log.item_ids:
        if not item_id or not item_id.isprintable():
            raise DataError(f"the log holds an id that cannot be kept: {item_id!r}")
    learned = learn_from(catalogue, draw=draw)
    fitted, fit = _with_extras(learned, catalogue, extras, out, draw.progress)
    if not fit.cases:
        _require_something(learned)
    learned_cases = [case.blind for case in extras.cases if isinstance(case, Case)] if fit.cases else []
    write_fitted_log(catalogue, fitted, out, learned_cases)
    return fit


def _require_something(learned: Learning) -> None:
    if not learned.moments and not any(learned.choices.values()):
        raise DataError("the log is too short to learn from: what is shipped stays in use")


def _with_extras(
    learned: Learning, catalogue: Catalogue, extras: Extras, path: Path, progress: Progress
) -> tuple[Fitted, Fit]:
    """Calibrate the weights that the log taught on cases, then learn the weights of the language model's answers."""
    fitted, rankers = learned.fitted.for_log(catalogue.log), learned.fitted.fusion
    cases = [case for case in extras.cases if isinstance(case, Case) and case.blind.met is None]
    of_cases = given_choice_sets(_given_queries(cases), Resources(catalogue, fitted))
    for kind, choices in of_cases.items():
        # Calibration changes the weights only, so the trees that the log taught are kept.
        calibrated = learn_ranker([choices], rankers.of(kind), trees=False, least=LEAST_CASES)
        rankers = rankers.model_copy(update={kind: calibrated.with_trees(rankers.of(kind).trees)})
    if extras.llm is not None:
        access = ModelAccess(extras.llm, tier=tier_of(extras.llm))
        pools: dict[CandidateKind, list[ChoiceSet]] = {**learned.choices, **of_cases}
        for kind, choices in pools.items():
            progress.step(f"Asking the language model ({kind} candidates)", min(len(choices), extras.answers))
            answers = ask_about(choices, rankers.of(kind), access, most=extras.answers, advance=progress.advance)
            rankers = rankers.model_copy(
                update={kind: learn_model_weights([answers], rankers.of(kind), extras.llm.digest)}
            )
    fit = Fit(
        moments=learned.moments,
        users=learned.users,
        choices={kind: len(choices) for kind, choices in learned.choices.items()},
        cases=sum(map(len, of_cases.values())),
        outlook=False,
        path=path,
        problems=[problem for problem in extras.cases if isinstance(problem, Problem)],
        taught=learned.taught,
    )
    return replace(fitted, fusion=rankers, click_rates=_click_rates(cases)), fit


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
