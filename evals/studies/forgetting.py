"""Forget people of a made-up log, search every file for what was theirs, and compare everybody else's lists.

Others must get the lists of a store that never knew the forgotten. What a fit learned comes from all people together.
It is searched too, and removed before lists are compared.
"""

import os
import re
import shutil
import struct
import time
from collections.abc import Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from whimbrel.agent.agent import Agent
from whimbrel.agent.learning.fit import fit_store
from whimbrel.evals.studies.chroma_server import ChromaServer, chroma_server
from whimbrel.evals.studies.personal_log import NAME, Person, make_people, personal_source
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.store.chroma import purge_server
from whimbrel.tools.store.store import open_store

Lists = dict[str, list[tuple[str, str]]]
"""The item ids and reasons of each person's list."""


@dataclass(frozen=True)
class Trial:
    """What was left of the forgotten in a store of one kind.

    Attributes:
        kind: "folder" or "server".
        forgotten: How many people were forgotten.
        seconds: How long forgetting took, in seconds, with the purge of a server's files.
        before: How many names and times of the forgotten stood in the files before.
        left: Those that stand there still, with their file.
        files: How many files were searched.
        others: How many other people got a list.
        changed: How many of these lists differ from those of a store that never knew the forgotten.
        reordered: How many of the changed lists hold the same items.
    """

    kind: str
    forgotten: int
    seconds: float
    before: int
    left: Sequence[str]
    files: int
    others: int
    changed: int
    reordered: int


def measure_forgetting(
    people: int, forgotten: int, *, others: int = 200, seed: int = 0, progress: Progress | None = None
) -> list[Trial]:
    """Forget people in a folder and on a Chroma server that this starts.

    Args:
        people: The number of people of the log.
        forgotten: How many of them are forgotten, at most `people`.
        others: How many of the remaining people's lists are compared.
        seed: The seed of the log.
        progress: Shows the progress.
    """
    progress = progress or NoProgress()
    everybody = make_people(people, 0, Random(seed))  # noqa: S311
    gone, kept = everybody[:forgotten], everybody[forgotten:]
    asked = [person.user_id for person in kept[:others]]
    with TemporaryDirectory(prefix="whimbrel-") as name, patch.dict(os.environ, XDG_CACHE_HOME=f"{name}/cache"):
        # Caches of their own: earlier runs made up the same people.
        root = Path(name)
        rows = list(personal_source(everybody, Random(seed)).rows)  # noqa: S311
        ids = {person.user_id for person in gone}
        ingest(Source("people", [row for row in rows if row.fields["user_id"] not in ids]), root / "never")
        expected = _lists(str(root / "never"), asked)
        times = [row.fields["time"] for row in rows if row.fields["user_id"] in ids]
        marks = _Marks({own for person in gone for names in person.own.values() for own in names}, times)
        trials = []
        for kind in ("folder", "server"):
            folder = root / kind
            with chroma_server(folder) if kind == "server" else nullcontext() as server:
                location = f"{server.address}/people" if server else str(folder)
                ingest(Source("people", rows), location)
                _use(location, gone, progress)
                before = len(marks.search(folder))
                seconds = _forget(location, gone, folder, server, progress)
                left = marks.search(folder)
                with open_store(location) as store:
                    shutil.rmtree(store.fitted)
                lists = _lists(location, asked)
            changed = [user for user in asked if lists[user] != expected[user]]
            reordered = [user for user in changed if sorted(lists[user]) == sorted(expected[user])]
            files = len(_files(folder))
            trials.append(
                Trial(kind, len(gone), seconds, before, left, files, len(asked), len(changed), len(reordered))
            )
    return trials


@dataclass(frozen=True)
class _Marks:
    """What tells that something of the forgotten is in a file: their own names, and the times of their events."""

    names: Set[str]
    times: Sequence[float]

    def search(self, folder: Path) -> list[str]:
        """Return each mark and file of a store and of this machine's caches in which it is."""
        form = re.compile(NAME.encode())
        times = {mark for time in self.times for mark in (f"{time!r}".encode(), struct.pack("<d", time))}
        hits = set()
        for path in _files(folder):
            content = path.read_bytes()
            marks = {match[0].decode() for match in form.finditer(content)} & self.names
            hits |= {f"{path.name}: {mark}" for mark in marks}
            hits |= {f"{path.name}: a time, {mark!r}" for mark in times if mark in content}
        return sorted(hits)


def _files(folder: Path) -> list[Path]:
    return [path for place in (folder, cache_folder()) for path in place.rglob("*") if path.is_file()]


def _use(location: str, people: Sequence[Person], progress: Progress) -> None:
    """Let people talk and click, log the lists that they get, and learn from them."""
    progress.step("Talking", len(people))
    with Agent.open(location, llm="none") as agent:
        agent.store.settings.set_audited(True)
        for person in people:
            talk = agent.chat(person.user_id, session="kept")
            talk.say(person.note)
            agent.feedback(person.user_id, agent.store.log.item_ids[0], "click")
            agent.recommend(person.user_id)
            progress.advance(1)
    with open_store(location) as store:
        fit_store(store, progress=progress)


def _forget(
    location: str, people: Sequence[Person], folder: Path, server: ChromaServer | None, progress: Progress
) -> float:
    """Forget people, and purge the files of a server. Return how long it took, in seconds."""
    progress.step("Forgetting", len(people))
    start = time.perf_counter()
    with Agent.open(location, llm="none") as agent:
        for person in people:
            agent.forget(person.user_id)
            progress.advance(1)
    if server:
        server.stop()
        purge_server(folder)
        server.start()
    return time.perf_counter() - start


def _lists(location: str, users: Sequence[str]) -> Lists:
    with Agent.open(location, llm="none") as agent:
        return {
            user: [(item.item_id, item.explanation) for item in agent.recommend(user).recommendations] for user in users
        }


def forgetting_markdown(trials: Sequence[Trial]) -> str:
    """Return a table of trials, and what is left of the forgotten."""
    rows = [
        f"| {trial.kind} | {trial.forgotten} | {trial.seconds:.0f} | {trial.before} | {len(trial.left)} "
        f"| {trial.files} | {trial.others} | {trial.changed} | {trial.reordered} |"
        for trial in trials
    ]
    left = [f"- {trial.kind}: {mark}" for trial in trials for mark in trial.left[:10]]
    head = [
        "| store | forgotten | seconds | marks before | left | files | others' lists | changed | in another order |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, *([""] if left else []), *left])
