"""Recommend to all users of a store, or to those of a list, and write the answers to one file.

The store is read into a snapshot (see `snapshot`). Workers answer from it, and the answers are kept in parts (see
`parts`) until all of them become the file (see `formats`). A run that was killed goes on after its last part.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whimbrel import __version__
from whimbrel.agent.batch.answering import FAILED, Answerer, ListRequest
from whimbrel.agent.batch.formats import format_of
from whimbrel.agent.batch.parts import STORE_CONTENT, Parts
from whimbrel.agent.batch.snapshot import write_snapshot
from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.moment import given_moment, last_event_of
from whimbrel.tools.errors import ConfigError, DataError, ModelError, WhimbrelError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.files.locks import exclusive
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import identifier
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.workers import Workers, worker_pool

USERS_OF_PART = 100
"""A run that was killed loses at most the work for this many users, and what its workers were doing."""
USERS_OF_TASK = 10
"""How many users a worker takes at once. The number is small, so that all workers finish at about the same time."""


@dataclass(frozen=True)
class Finished:
    """What a run wrote.

    Attributes:
        out: The file.
        users: Number of users in the file.
        recommendations: Number of recommended items in the file.
        failed: Number of users whose request failed. They have an empty list and a warning that says why.
        unknown: Number of wanted users whom the store does not know.
        unknown_file: The file with their ids, one a line, if there are any.
        answered: Number of users whom this run answered. An earlier run, which was stopped, answered the others.
        seconds: How long this run took.
    """

    out: Path
    users: int
    recommendations: int
    failed: int
    unknown: int
    unknown_file: Path
    answered: int
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the counts as a JSON document."""
        return {
            "users": self.users,
            "recommendations": self.recommendations,
            "seconds": round(self.seconds, 1),
            "out": str(self.out),
            "failed": self.failed,
            "unknown": self.unknown,
        }

    def words(self) -> str:
        """Return the counts in words for people."""
        earlier = self.users - self.answered
        rate = self.answered / max(self.seconds, 1e-9)
        users = f"{self.users:,} user{'' if self.users == 1 else 's'}"
        return (
            f"{users}, {self.recommendations:,} recommendations: {self.out}\n"
            f"{self.seconds:.1f} s, {rate:.1f} users a second"
            + (f"; an earlier run had done {earlier:,}" if earlier else "")
        )


def recommend_all(
    location: str | Path,
    out: str | Path,
    wanted: ListRequest | None = None,
    *,
    users: Path | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Finished:
    """Recommend to all users of a store, in the order of their sorted ids.

    The file has one answer for each user. If the run is stopped, the same call goes on with it. Without a language
    model, the file is the same for any number of workers and interruptions.

    Args:
        location: The store, a folder or the address of a Chroma server. It is closed again once it has been read.
        out: The file: `.jsonl`, `.jsonl.gz` or `.parquet`.
        wanted: The request that every user gets.
        users: A file with the ids of the users, one a line; None for all users.
        workers: The processes that recommend. All machines of a Ray cluster must be able to read the folder of `out`.
        progress: Displays how far the run has come.

    Raises:
        ConfigError: an option is not valid, or the folder of parts holds a run with other options.
        DataError: there is nobody to recommend to.
        WhimbrelError: every request failed, or a part is damaged.
        StoreError: the store cannot be read.
        ModelError: the language model cannot be loaded.

    Example:
        recommend_all("shop", "lists.jsonl", ListRequest(k=5)).users
    """
    started = time.monotonic()
    out, wanted = Path(out), wanted or ListRequest()
    workers, progress = workers or Workers(), progress or NoProgress()
    write = format_of(out)
    if wanted.budget not in (None, Budget()) and (workers.count > 1 or workers.ray):
        raise ConfigError("one process keeps a budget: leave out --workers and --ray, or the budget")
    named = None if users is None else _read_ids(users)
    folder = out.with_name(f"{out.name}.parts")
    with ExitStack() as locked:
        with open_store(location) as store:
            wanted = replace(wanted, at=_moment(wanted, store))
            user_ids, unknown = _choose(store, named)
            locked.enter_context(exclusive(folder, "folder of parts"))
            parts = Parts(folder, _manifest(store, wanted, user_ids))
            write_snapshot(store, parts.snapshot, before=wanted.at or 0.0, progress=progress)
        earlier = min(parts.finished * USERS_OF_PART, len(user_ids))
        progress.step("Recommending", len(user_ids))
        progress.advance(earlier)
        try:
            with worker_pool(workers, Answerer, (parts.snapshot.resolve(), wanted)) as work:
                _add_parts(parts, work(_batches(user_ids[earlier:], USERS_OF_TASK)), progress)
        except (ConfigError, ModelError):
            if not parts.finished:  # the command was wrong, so there is nothing to go on with
                parts.remove()
            raise
        progress.step("Writing", len(user_ids))
        counts = Counter[str]()
        damaged = f"{str(folder)!r} is damaged: remove it to start again"
        with atomic_write(out) as partial, partial.open("wb") as file:
            try:
                write(file, _counted(parts.lines(), counts, progress))
            # The lines are our own, so what else one may hold needs no better words.
            except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
                raise WhimbrelError(damaged) from error
            if counts["users"] != len(user_ids):
                raise WhimbrelError(damaged)
            if counts["failed"] == len(user_ids):
                why = json.loads(next(parts.lines()))["warnings"][0]
                parts.remove()
                raise WhimbrelError(f"every request {why}; {str(out)!r} was not written")
        parts.remove()
    unknown_file = out.with_name(f"{out.name}.unknown")
    _write_ids(unknown_file, unknown)
    return Finished(
        out=out,
        users=counts["users"],
        recommendations=counts["recommendations"],
        failed=counts["failed"],
        unknown=len(unknown),
        unknown_file=unknown_file,
        answered=len(user_ids) - earlier,
        seconds=time.monotonic() - started,
    )


def _moment(wanted: ListRequest, store: Store) -> float:
    """Return the requested time. By default it does not depend on the clock, so that a run can be resumed."""
    moment = given_moment(wanted.at, wanted.context)
    last = last_event_of(store.log)
    if last is None:
        raise DataError(f"store {store.location!r} holds no event, so there is nobody to recommend to")
    return last + 1 if moment is None else moment


def _choose(store: Store, named: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the sorted ids of the users who get a list, and the named ids that the store does not know."""
    known = store.log.user_rows
    if named is None:
        return sorted(known), []
    user_ids = sorted(user_id for user_id in named if user_id in known)
    if not user_ids:
        raise DataError(f"store {store.location!r} knows none of the {len(named)} users of the list")
    return user_ids, [user_id for user_id in named if user_id not in known]


def _read_ids(path: Path) -> list[str]:
    """Return the ids of a file, each once.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--users {str(path)!r} cannot be read: {error}") from error
    return list(dict.fromkeys(_identifier(line) for line in lines if line.strip()))


def _identifier(line: str) -> str:
    try:
        return identifier(line)
    except ValueError:  # no user has an id with a control character, so it is reported as unknown
        return line.strip()


def _write_ids(path: Path, user_ids: Sequence[str]) -> None:
    """Write ids to a file, one a line. If there are none, the file of an earlier run is removed."""
    if not user_ids:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as partial:
        partial.write_text("".join(f"{user_id}\n" for user_id in user_ids), "utf-8")


def _manifest(store: Store, wanted: ListRequest, user_ids: Sequence[str]) -> dict[str, Any]:
    """Return everything that the lists depend on. The keys are what a message calls it."""
    location = store.location
    return {
        "store": location if "://" in location else str(Path(location).expanduser().resolve()),
        STORE_CONTENT: _content_of(store),
        "--at": wanted.at,
        "--k": wanted.k,
        "--context": wanted.context.model_dump(mode="json"),
        "--reasons": wanted.reasons,
        "--llm": wanted.llm,
        "setting": wanted.config.model_dump(mode="json"),
        "choice of users": hashlib.sha256("\n".join(user_ids).encode()).hexdigest(),
        "version of Whimbrel": __version__,
        "length of a part": USERS_OF_PART,
    }


def _content_of(store: Store) -> str:
    """Return a digest that changes whenever the store or what was learned from it changes."""
    digest = hashlib.sha256(store.state.encode())
    for path in sorted(path for path in store.fitted.glob("*") if path.is_file()):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _batches(user_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(user_ids), size):
        yield user_ids[start : start + size]


def _add_parts(parts: Parts, answers: Iterable[list[str]], progress: Progress) -> None:
    """Write answers as they come."""
    lines: list[str] = []
    for of_task in answers:
        lines += of_task
        progress.advance(len(of_task))
        if len(lines) >= USERS_OF_PART:
            parts.add(lines[:USERS_OF_PART])
            del lines[:USERS_OF_PART]
    if lines:
        parts.add(lines)


def _counted(lines: Iterable[str], counts: Counter[str], progress: Progress) -> Iterator[str]:
    """Yield the lines, and count their users, recommendations and failures."""
    for line in lines:
        answer = json.loads(line)
        counts["recommendations"] += len(answer["recommendations"])
        counts["failed"] += any(warning.startswith(FAILED) for warning in answer["warnings"])
        counts["users"] += 1
        progress.advance(1)
        yield line
