"""Damage the files of a store at random places, and see what it answers then, and what is repaired.

Each damaged store is read by a process of its own, since a damaged index can crash Chroma.
"""

import json
import multiprocessing
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from whimbrel.agent.agent import Agent
from whimbrel.agent.learning.fit import fit_store
from whimbrel.evals.studies.scale import Shop, synthetic_source
from whimbrel.tools.errors import StoreError, WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.repair import check_store, repair_store
from whimbrel.tools.store.store import open_store

SHOP = Shop(items=200, events=2000)
TALKERS = 3
SESSION = "kept"
KINDS: Mapping[str, tuple[str, ...]] = {
    "database": ("chroma.sqlite3",),
    "index": ("*/data_level0.bin",),
    "index, other files": ("*/header.bin", "*/length.bin", "*/link_lists.bin", "*/*.pickle"),
    "log": ("log-*",),
    "what was learned": ("fitted/*",),
    "conversations": ("talks/*/*.json",),
    "seals and clusters": ("seals.json", "clusters.json"),
}
"""The patterns of the files of each kind."""
ANSWER_SECONDS, REPAIR_SECONDS = 10.0, 120.0
"""What takes longer hangs."""
REPAIRED_EVERY = 5
"""Every so many damaged stores are repaired too, which takes longer."""
FAULTS = ("another answer", "traceback", "crash", "hang")


def _flip(content: bytearray, draw: random.Random) -> bytearray:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return content


def _zero(content: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    return content


def _scatter(content: bytearray, draw: random.Random) -> bytearray:
    for _ in range(20):
        content[draw.randrange(len(content))] = draw.randrange(256)
    return content


def _cut(content: bytearray, draw: random.Random) -> bytearray:
    return content[: draw.randrange(len(content))]


DAMAGES: Sequence[Callable[[bytearray, random.Random], bytearray]] = (_flip, _zero, _scatter, _cut)


@dataclass
class Outcomes:
    """What happened to the stores whose files of one kind were damaged.

    Attributes:
        kind: The kind of the files.
        answers: How many stores gave the same answer, refused in one line, or had one of `FAULTS`.
        repairs: How many were repaired and gave the same answer then, gave another since what was learned is removed,
            need a backup, or had one of `FAULTS`.
        examples: For each fault, the first file and message.
    """

    kind: str
    answers: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the outcomes as a JSON document."""
        return {
            "kind": self.kind,
            "answers": dict(self.answers),
            "repairs": dict(self.repairs),
            "examples": self.examples,
            "faults": self.faults,
        }

    @property
    def faults(self) -> int:
        """The number of faults."""
        return sum(counts[fault] for counts in (self.answers, self.repairs) for fault in FAULTS)


def measure_damage(files: int, *, seed: int = 0, progress: Progress | None = None) -> list[Outcomes]:
    """Damage so many files of each kind, one at a time, in a store with what was learned and saved conversations.

    Args:
        files: The number of damaged files of each kind.
        seed: The seed of the shop and of the damages.
        progress: Shows the progress.
    """
    progress = progress or NoProgress()
    outcomes = []
    with TemporaryDirectory(prefix="whimbrel-") as name:
        whole, damaged = Path(name) / "whole", Path(name) / "damaged"
        progress.step("Making a store", None)
        _make_store(whole, seed)
        expected = _tried(_answers, whole, ANSWER_SECONDS)
        if expected[0] != "answer":
            raise StoreError(f"the whole store of the study gives no answer: {expected[1]}")
        for kind, patterns in KINDS.items():
            progress.step(f"Damaging: {kind}", files)
            draw, outcome = random.Random(seed), Outcomes(kind)  # noqa: S311
            paths = sorted(path.relative_to(whole) for pattern in patterns for path in whole.glob(pattern))
            for number in range(files):
                shutil.rmtree(damaged, ignore_errors=True)
                shutil.copytree(whole, damaged)
                path = damaged / draw.choice(paths)
                damage = draw.choice(DAMAGES)
                path.write_bytes(damage(bytearray(path.read_bytes() or b"\0"), draw))
                tries = [(outcome.answers, _answers, ANSWER_SECONDS)]
                if number % REPAIRED_EVERY == 0:
                    tries.append((outcome.repairs, _repaired, REPAIR_SECONDS))
                for counts, function, seconds in tries:
                    result, message = _judged(_tried(function, damaged, seconds), expected)
                    if counts is outcome.repairs and result == "another answer":
                        result = "said"  # `check_store` named what was learned, which is removed
                    counts[result] += 1
                    if result in FAULTS:
                        where = f"{path.relative_to(damaged)} ({damage.__name__.strip('_')})"
                        outcome.examples.setdefault(result, f"{where}: {message}")
                progress.advance(1)
            outcomes.append(outcome)
    return outcomes


def _make_store(folder: Path, seed: int) -> None:
    ingest(synthetic_source(SHOP, seed), folder)
    with open_store(folder) as store:
        fit_store(store)
    with Agent.open(folder, llm="none") as agent:
        for user_id in agent.store.log.user_ids[:TALKERS]:
            talk = agent.chat(user_id, session=SESSION)
            talk.say("something else")
            talk.say("I'll take the first")
        agent.forget(agent.store.log.user_ids[TALKERS])  # the purge writes each index


def _answers(folder: Path) -> str:
    """Return what the store answers: lists, shifts, histories and saved conversations."""
    with Agent.open(folder, llm="none") as agent:
        answers: list[Any] = []
        for user_id in agent.store.log.user_ids[:TALKERS]:
            list_ = agent.recommend(user_id)
            answers.append([entry.item_id for entry in list_.recommendations])
            answers.append([list_.shift.kind, [event.item_id for event in agent.store.history(user_id)]])
            answers.append(repr(agent.chat(user_id, session=SESSION).state))
        return json.dumps(answers, sort_keys=True)


def _repaired(folder: Path) -> str:
    """Repair a store and return what it answers then."""
    repair_store(folder, check_store(folder))
    return _answers(folder)


def _tried(function: Callable[[Path], str], folder: Path, seconds: float) -> tuple[str, str]:
    """Call a function in a process of its own. Return what it returned, or the kind and the message of its failure."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        work = pool.submit(_failing, function, folder)
        try:
            return work.result(seconds)
        except BrokenProcessPool:
            return "crash", "the process ended"
        except TimeoutError:
            for process in list(pool._processes.values()):
                process.kill()
            return "hang", f"no answer within {seconds:.0f} s"


def _failing(function: Callable[[Path], str], folder: Path) -> tuple[str, str]:
    try:
        return "answer", function(folder)
    except WhimbrelError as error:
        return ("refused" if "\n" not in str(error) else "traceback"), str(error)
    except BaseException as error:  # a panic of Chroma's Rust core is not an Exception
        return "traceback", f"{type(error).__name__}: {error}"


def _judged(tried: tuple[str, str], expected: tuple[str, str]) -> tuple[str, str]:
    if tried[0] != "answer":
        return tried
    return ("same answer", "") if tried == expected else ("another answer", "in silence")


def damage_markdown(outcomes: Sequence[Outcomes]) -> str:
    """Return outcomes as a Markdown table, with an example of each fault below."""
    lines = [
        "| damaged | same answer | refused | faults | repaired, same answer | another, said | refused | faults |",
        "|---" * 8 + "|",
    ]
    for outcome in outcomes:
        values = [
            *(outcome.answers[result] for result in ("same answer", "refused")),
            sum(outcome.answers[fault] for fault in FAULTS),
            *(outcome.repairs[result] for result in ("same answer", "said", "refused")),
            sum(outcome.repairs[fault] for fault in FAULTS),
        ]
        lines.append(f"| {outcome.kind} | {' | '.join(map(str, values))} |")
    examples = [f"- {fault}: {text}" for outcome in outcomes for fault, text in outcome.examples.items()]
    return "\n".join([*lines, *(["", *examples] if examples else [])])
