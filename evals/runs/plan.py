"""What a run is made of, and the manifest that makes it repeatable."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from whimbrel.agent.fitted import FILES
from whimbrel.agent.learning.cases import Case, Problem, read_cases
from whimbrel.agent.learning.fitted_log import ITEMS, LOG, read_fitted_log
from whimbrel.agent.learning.sessions import Training, read_items, read_training, training_of, training_of_library
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.records import Item

PLAN = "plan.json"


@dataclass(frozen=True)
class Part:
    """Which cases are ranked: those of every `of`th user, by a digest of the id and a seed; `number` counts from 0."""

    number: int
    of: int
    seed: int = 0

    def holds(self, user_id: str) -> bool:
        """Whether a user's cases belong to it."""
        digest = hashlib.blake2b(f"{self.seed} {user_id}".encode(errors="replace"), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number


@dataclass(frozen=True)
class Plan:
    """What is run: a file of cases, a log to learn from (a file of sessions and one of items), systems by name; of the
    cases only a `part`, where that is given, and then systems learn also from what the others chose."""

    cases: Path
    systems: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    sessions: Path | None = None
    items: Path | None = None
    limit: int | None = None
    part: Part | None = None

    def document(self) -> dict[str, Any]:
        """The plan as JSON, with whole paths."""
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
        """The plan of a run folder.

        Raises:
            ConfigError: the folder holds no run.
        """
        try:
            held = json.loads((folder / PLAN).read_text())
            paths = {name: Path(held[name]) if held[name] else None for name in ("sessions", "items")}
            part = Part(**held["part"]) if held.get("part") else None
            settings = Settings(**held["settings"])
            return cls(Path(held["cases"]), tuple(held["systems"]), settings, limit=held["limit"], part=part, **paths)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{str(folder)!r} holds no run ({error}): make one with `whimbrel eval rank CASES --out {folder}`"
            ) from error

    def read(self) -> Iterator[Case | Problem]:
        """The cases that are ranked, and the lines that hold none."""
        for case in self.read_all():
            if self._holds(case):
                yield case

    def _holds(self, case: Case | Problem) -> bool:
        """A wrong line belongs to the first part."""
        if self.part is None:
            return True
        return self.part.holds(case.blind.user_id) if isinstance(case, Case) else self.part.number == 0

    def read_all(self) -> Iterator[Case | Problem]:
        """The cases of all parts, as many as are asked for, and the lines that hold none."""
        taken = 0
        for case in read_cases(self.cases, self._catalogue):
            yield case
            taken += isinstance(case, Case)
            if taken == self.limit:
                return

    @cached_property
    def _catalogue(self) -> tuple[Item, ...]:
        """Items that stand for the candidates of a case that names none: one object for all of them."""
        return tuple(read_items(self.items)) if self.items else ()

    def training(self) -> Training:
        """What systems learn from: the log where one is given, or was fitted, else the histories of the cases, and what
        those that are not ranked chose."""
        cases = [case for case in self.read_all() if isinstance(case, Case)]
        timed = any(i.time is not None for c in cases if c.blind.met is None for i in c.blind.candidates)
        if self.sessions:
            training = read_training(self.sessions, self.items)
        elif self.settings.fitted and self.part is None:
            training = training_of_library(read_fitted_log(Path(self.settings.fitted))[0])
        else:
            training = training_of((case.blind, () if self._holds(case) else case.relevant) for case in cases)
        return replace(training, timed=timed or any(item.time is not None for item in self._catalogue))


def parts_of(folder: Path) -> list[tuple[Plan, Path]]:
    """The plans of a run folder with the folder of each: one, or one a fold of a log.

    Raises:
        ConfigError: the folder holds no run.
    """
    folds = sorted(folder.glob(f"fold-*/{PLAN}"), key=lambda path: int(path.parent.name.partition("-")[2]))
    return [(Plan.of(path.parent), path.parent) for path in folds] or [(Plan.of(folder), folder)]


def manifest_of(plan: Plan) -> dict[str, Any]:
    """All that the ranking file depends on."""
    prompts = resources.files("whimbrel.prompts")
    files = sorted(file.name for file in prompts.iterdir() if file.name.endswith(".md"))
    return {
        "version": metadata.version("whimbrel"),
        "cases": _digest(plan.cases),
        "sessions": _digest(plan.sessions) if plan.sessions else None,
        "items": _digest(plan.items) if plan.items else None,
        "limit": plan.limit,
        "part": asdict(plan.part) if plan.part else None,
        "systems": list(plan.systems),
        "settings": asdict(plan.settings),
        "fitted": _fitted_digest(Path(plan.settings.fitted)) if plan.settings.fitted else None,
        "model": _model_digest(plan.settings.llm) if "whimbrel" in plan.systems else None,
        "prompts": {name: hashlib.sha256(prompts.joinpath(name).read_bytes()).hexdigest() for name in files},
        "libraries": {name: _version(name) for name in ("numpy", "llama-cpp-python", "implicit", "gensim", "bm25s")},
    }


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _fitted_digest(folder: Path) -> str:
    """Of all that lies there; what is absent counts as empty."""
    files = [folder / name for name in (*FILES, LOG, ITEMS)]
    return hashlib.sha256("".join(_digest(file) if file.is_file() else "-" for file in files).encode()).hexdigest()


def _model_digest(spec: str) -> str:
    """Of the model's file and form; the spec itself where the model is not here."""
    from whimbrel.agent.language_models.local.openers import build_of

    try:
        build = build_of(spec)
        return f"{_digest(build.file)} {build.description}" if build else spec
    except WhimbrelError:
        return spec


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
