"""The plan of a run: cases, systems, settings, and the log that systems learn from."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from whimbrel.agent.learning.cases import Case, Problem, read_cases
from whimbrel.agent.learning.fitted_log import read_fitted_log
from whimbrel.agent.learning.sessions import (
    Training,
    read_items,
    read_training,
    training_of_cases,
    training_of_catalogue,
)
from whimbrel.evals.runs.files import PLAN
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item


@dataclass(frozen=True)
class Part:
    """One part of the users: number `number`, counted from 0, of `of` parts.

    A digest of the user's id and the seed decides which part a user is in.
    """

    number: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=1)]
    seed: int = 0

    def holds(self, user_id: str) -> bool:
        """Return whether a user is in this part."""
        # With a digest, a user is in the same part in every process, whoever the other users are.
        digest = hashlib.blake2b(f"{self.seed} {user_id}".encode(errors="replace"), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number


@dataclass(frozen=True)
class Plan:
    """What a run depends on.

    Attributes:
        cases: File of cases.
        systems: Names of systems.
        settings: What systems may depend on.
        sessions: File of sessions to learn from; None to learn from the histories of the cases.
        items: File of the items of the sessions. They are also the candidates of cases that do not list candidates.
        limit: Use only this many cases.
        part: Rank only the cases of these users. Systems then also learn from what all other users chose.
    """

    cases: Path
    systems: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    sessions: Path | None = None
    items: Path | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    part: Part | None = None

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON, with absolute paths."""
        # Absolute, so that `eval report` finds them from another folder.
        paths = {"cases": self.cases, "sessions": self.sessions, "items": self.items}
        return {
            **{name: str(path.resolve()) if path else None for name, path in paths.items()},
            "systems": list(self.systems),
            "settings": asdict(self.settings),
            "limit": self.limit,
            "part": asdict(self.part) if self.part else None,
        }

    @classmethod
    def of(cls, folder: Path) -> "Plan":
        """Read the plan of a run folder.

        Raises:
            ConfigError: the folder does not hold a run.
        """
        try:
            plan = _PLAN.validate_json((folder / PLAN).read_bytes())
            if "\0" in f"{plan.cases}{plan.sessions}{plan.items}":
                raise ValueError("a path holds a NUL")
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{str(folder)!r} holds no run ({reason}): make one with `whimbrel eval rank CASES --out {folder}`"
            ) from error
        return plan

    def read(self) -> Iterator[Case | Problem]:
        """Return the cases to rank, and a problem for each line that is not a case."""
        for case in self.read_all():
            if self._holds(case):
                yield case

    def _holds(self, case: Case | Problem) -> bool:
        if self.part is None:
            return True
        # An invalid line has no user. It is reported once, with the first part.
        return self.part.holds(case.blind.user_id) if isinstance(case, Case) else self.part.number == 0

    def read_all(self) -> Iterator[Case | Problem]:
        """Return the cases of all parts, at most `limit`, and a problem for each line that is not a case."""
        count = 0
        # The file is read again each time, so that a run holds only one case in memory.
        for case in read_cases(self.cases, self.catalogue):
            yield case
            count += isinstance(case, Case)
            if count == self.limit:
                return

    @cached_property
    def catalogue(self) -> tuple[Item, ...]:
        """The candidates of cases that do not list candidates."""
        return tuple(read_items(self.items)) if self.items else ()

    @cached_property
    def _catalogue_by_id(self) -> dict[str, Item]:
        return {item.item_id: item for item in self.catalogue}

    def candidates_by_id(self, case: Case) -> Mapping[str, Item]:
        """Return the candidates of one of the plan's cases, keyed by id."""
        if case.blind.met is not None:  # the case is on the whole catalogue, whose index is built once
            return self._catalogue_by_id
        return {item.item_id: item for item in case.blind.candidates}

    def training(self) -> Training:
        """Return what systems learn from.

        It is the file of sessions if there is one, else the log that `settings.fitted` was learned from. Without
        either, systems learn from the histories of the cases, and from what the users of other parts chose.
        """
        cases = [case for case in self.read_all() if isinstance(case, Case)]
        timed = any(item.time is not None for case in cases if case.blind.met is None for item in case.blind.candidates)
        if self.sessions:
            training = read_training(self.sessions, self.items)
        elif self.settings.fitted and self.part is None:
            training = training_of_catalogue(read_fitted_log(Path(self.settings.fitted))[0])
        else:
            training = training_of_cases((case.blind, () if self._holds(case) else case.relevant) for case in cases)
        timed = timed or any(item.time is not None for item in self.catalogue)
        return replace(training, timed=timed, catalogue=self.catalogue)


_PLAN = TypeAdapter(Plan)


def parts_of(folder: Path) -> list[tuple[Plan, Path]]:
    """Return the plans of a run folder, each with its own folder. There is one plan, or one for each fold.

    Raises:
        ConfigError: the folder does not hold a run.
    """
    # Folds are sorted by number, so that fold-10 comes after fold-9.
    numbered = {path.parent: path.parent.name.removeprefix("fold-") for path in folder.glob(f"fold-*/{PLAN}")}
    folds = sorted((int(number), fold) for fold, number in numbered.items() if number.isdecimal())
    return [(Plan.of(fold), fold) for _, fold in folds] or [(Plan.of(folder), folder)]
