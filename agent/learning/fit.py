"""Fitting on a store's log or on files of sessions, with cases to calibrate on and a language model to weigh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.cases import Case, Problem
from whimbrel.agent.learning.choice_sets import TrainingQuery, given_choices
from whimbrel.agent.learning.fitted_log import write_fitted_log
from whimbrel.agent.learning.learn import Learning, learn_from
from whimbrel.agent.learning.ranking import LEAST_CHOICES, ChoiceSet, ask, learn, learn_likelihood
from whimbrel.agent.learning.sessions import library_of, read_training, training_of
from whimbrel.agent.ranking.fusion import CandidateKind
from whimbrel.agent.schema.context import as_context
from whimbrel.agent.shift.outlook import fit_outlook
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store

LEAST_CASES = 30
"""Cases without which weights stay as the log taught them."""
AMONG: Mapping[CandidateKind, str] = {
    "retrieved": "among retrieved items",
    "given": "among listed items",
    "cold": "among items by title and topics alone",
}
PARTS = 5
"""How often a list was chosen from is told a case by the cases of the other parts."""


@dataclass(frozen=True)
class Asked:
    """What is learned beside the log: from cases, and from so many answers of a language model."""

    cases: Sequence[Case | Problem] = ()
    llm: LanguageModel | None = None
    answers: int = 300


@dataclass(frozen=True)
class Done:
    """What a fit did: events and people that topics were learned from, choices by the kind of candidates, those of
    cases, whether stretches of time can be forecast, where it lies, and lines that held no case."""

    moments: int
    users: int
    choices: Mapping[CandidateKind, int]
    cases: int
    outlook: bool
    path: Path
    problems: Sequence[Problem] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "path": str(self.path), "problems": [str(problem) for problem in self.problems]}

    def words(self) -> str:
        """In a line."""
        told = ", ".join(f"{count:,} choices {AMONG[kind]}" for kind, count in self.choices.items())
        more = f" and {self.cases:,} cases" if self.cases else ""
        few = max((*self.choices.values(), self.cases), default=0) < LEAST_CHOICES
        stays = "; too few choices to weigh signals anew, so their shipped weights stay" if few else ""
        return f"Learned from {self.moments:,} events of {self.users:,} people, {told}{more}: {self.path}{stays}"


def fit_store(store: Store, asked: Asked | None = None, *, seed: int = 0, progress: Progress | None = None) -> Done:
    """Learn from a store's own log, and keep it beside the store.

    Raises:
        DataError: the log is too short to learn anything from, or the cases cannot be read.
    """
    progress = progress or NoProgress()
    learned = learn_from(store, seed=seed, progress=progress)
    _something(learned)
    fitted, done = _calibrated(learned, store.log, asked or Asked(), store.fitted, progress)
    fitted.save(store.fitted)
    progress.step("Learning what comes in time", None)
    return replace(done, outlook=fit_outlook(store.log, store.fitted, seed=seed))


def fit_sessions(
    sessions: Path,
    items: Path | None,
    out: Path,
    asked: Asked | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Done:
    """Learn from files of sessions and items (see `read_training`) into a folder, together with their log.

    Raises:
        DataError: a file cannot be read, an id cannot be kept, or the log is too short to learn anything from.
        ConfigError: `out` is a file.
    """
    progress = progress or NoProgress()
    progress.step("Reading sessions", None)
    return _fit_log(library_of(read_training(sessions, items)), out, asked or Asked(), seed, progress)


def fit_cases(asked: Asked, out: Path, *, seed: int = 0, progress: Progress | None = None) -> Done:
    """Learn from cases alone into a folder: from their histories what is met, from their lists what is chosen of what
    was shown.

    Raises:
        DataError: they are too few to learn anything from.
        ConfigError: `out` is a file.
    """
    library = library_of(training_of((case.blind, ()) for case in asked.cases if isinstance(case, Case)))
    return _fit_log(library, out, asked, seed, progress or NoProgress())


def _fit_log(library: InMemory, out: Path, asked: Asked, seed: int, progress: Progress) -> Done:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a file: give a folder")
    for item_id in library.log.item_ids:
        if not item_id or not item_id.isprintable():
            raise DataError(f"the log holds an id that cannot be kept: {item_id!r}")
    learned = learn_from(library, seed=seed, progress=progress)
    fitted, done = _calibrated(learned, library.log, asked, out, progress)
    if not done.cases:
        _something(learned)
    taught = [case.blind for case in asked.cases if isinstance(case, Case)] if done.cases else []
    write_fitted_log(library, fitted, out, taught)
    return done


def _something(learned: Learning) -> None:
    if not learned.moments and not any(learned.choices.values()):
        raise DataError("the log is too short to learn from: what is shipped stays in use")


def _calibrated(
    learned: Learning, log: InteractionLog, asked: Asked, path: Path, progress: Progress
) -> tuple[Fitted, Done]:
    """Weights drawn to those that the log taught, by what was relevant in cases; then what the model's answers add."""
    fitted, fusion = learned.fitted.for_log(log), learned.fitted.fusion
    cases = [case for case in asked.cases if isinstance(case, Case) and case.blind.met is None]
    told = given_choices(_given(cases), log, learned=fitted.topics, embeddings=fitted.embeddings)
    for kind, choices in told.items():
        changed = learn([choices], fusion.of(kind), trees=False, least=LEAST_CASES)
        kept = changed.with_trees(fusion.of(kind).trees)
        fusion = fusion.model_copy(update={kind: kept})
    if asked.llm is not None:
        pools: dict[CandidateKind, list[ChoiceSet]] = {**learned.choices, **told}
        for kind, choices in pools.items():
            drawn = choices[: asked.answers]
            progress.step(f"Asking the language model ({kind})", len(drawn))
            answers = ask(drawn, fusion.of(kind), asked.llm, advance=progress.advance)
            fusion = fusion.model_copy(update={kind: learn_likelihood([answers], fusion.of(kind))})
    counts: dict[CandidateKind, int] = {kind: len(choices) for kind, choices in learned.choices.items()}
    problems = [one for one in asked.cases if isinstance(one, Problem)]
    count = sum(map(len, told.values()))
    return replace(fitted, fusion=fusion, click_rates=_appeal(cases)), Done(
        learned.moments, learned.users, counts, count, outlook=False, path=path, problems=problems
    )


def _given(cases: Sequence[Case]) -> list[tuple[TrainingQuery, Sequence[Item], ClickRates]]:
    """What was chosen of each list, with the click_rates that the cases of other people tell of."""
    users = np.random.default_rng(0).permutation(sorted({case.blind.user_id for case in cases}))
    part = {str(user): place % PARTS for place, user in enumerate(users)}
    told = [_appeal([case for case in cases if part[case.blind.user_id] != number]) for number in range(PARTS)]
    return [
        (
            TrainingQuery(
                case.blind.user_id, case.blind.history, np.inf, case.relevant, as_context(case.blind.context)
            ),
            case.blind.candidates,
            told[part[case.blind.user_id]],
        )
        for case in cases
    ]


def _appeal(cases: Sequence[Case]) -> ClickRates:
    return ClickRates.of(([item.item_id for item in case.blind.candidates], case.relevant) for case in cases)
