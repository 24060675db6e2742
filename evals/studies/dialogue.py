"""Measure conversations: a scripted person plays tasks, and success is checked against the catalogue and the policy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from whimbrel.agent import Agent
from whimbrel.agent.chat.model_reader import ModelReader
from whimbrel.agent.chat.reading import Reader
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.policy import Policy
from whimbrel.agent.schema.results import Recommendations
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.studies.scripted_user import TOPIC_FIELDS, YES, ScriptedUser, Task
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.store.in_memory import InMemory

FACT = "services"
"""The fact about a person that a task gives."""
AT = 1_000.0
"""The moment of all conversations. What a person has seen lies before it."""
TRIALS_PASSED = 4
"""`pass^4` is the chance that a task succeeds in so many trials."""
_TEXTS = ("overview", "description", "text")


@dataclass(frozen=True)
class Trial:
    """One conversation.

    Attributes:
        task: The number of the task.
        success: Whether the right item was accepted, or rightly none, without breaking the policy.
        turns: Lines that the person said.
        broken: What was shown against the policy.
    """

    task: int
    success: bool
    turns: int
    broken: tuple[str, ...]


@dataclass(frozen=True)
class _Talker:
    """An agent over a catalogue in memory. It records nothing, so that trials do not see each other."""

    agent: Agent
    store: InMemory

    def recommend(self, user_id: str, at: object, context: Context, k: int) -> Recommendations:
        return self.agent.recommend(user_id, at, context, k)

    def feedback(self, user_id: str, item_id: str, event: str, at: object = None) -> None:
        """Record nothing."""

    def withdraw(self, user_id: str, event: Interaction) -> None:
        """Do nothing: nothing is recorded."""


def read_tasks(path: str | Path) -> list[Task]:
    """Read tasks from a file with one JSON object a line.

    Raises:
        DataError: The file cannot be read, or a line is no task.
    """
    tasks: list[Task] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            tasks.append(Task.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{str(path)!r}, task {number}: {where}: {first['msg']}") from error
    if not tasks:
        raise DataError(f"{str(path)!r} holds no tasks")
    return tasks


def read_catalogue(path: str | Path) -> list[Item]:
    """Read a catalogue: one JSON list of objects, or one object a line. Every key is a field.

    `id` or `item_id`, `title`, a description and the topics are recognised by their names.

    Raises:
        DataError: The file cannot be read, or an object is no item.
    """
    text = "\n".join(_lines(path))
    try:
        documents = (
            json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is not JSON: {error}") from error
    items: list[Item] = []
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict):
            raise DataError(f"{str(path)!r}, item {number}: not a JSON object")
        known = {"id", "item_id", "title", "price", *_TEXTS}
        try:
            items.append(
                Item(
                    item_id=document.get("item_id", document.get("id")),
                    title=document.get("title"),
                    text=next((document[name] for name in _TEXTS if document.get(name)), ""),
                    topics=next((document[name] for name in TOPIC_FIELDS if document.get(name)), ()),
                    price=document.get("price"),
                    fields={name: value for name, value in document.items() if name not in known},
                )
            )
        except (ValidationError, ValueError) as error:
            raise DataError(f"{str(path)!r}, item {number}: {str(error).splitlines()[0]}") from error
    return items


def _lines(path: str | Path) -> list[str]:
    try:
        return [line for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error


def measure_dialogues(
    tasks: Sequence[Task],
    items: Sequence[Item],
    *,
    policy: Policy,
    trials: int = 4,
    seed: int = 0,
    model: ModelAccess = NO_MODEL,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Let a scripted person play each task several times.

    Args:
        tasks: The tasks.
        items: The catalogue.
        policy: The operator's policy, which every turn is checked against.
        trials: How often each task is played, each time in other words.
        seed: Seed of the words.
        model: The model that reads the lines. Without one, the rules read them. Lists are ranked without it, since what
            is measured is whether the agent understands.
        progress: Where progress is shown.

    Returns:
        The figures of all tasks, and by complexity and by how constraints are revealed.
    """
    progress = progress or NoProgress()
    progress.step("Playing tasks", len(tasks) * trials)
    talker = _talker(tasks, items)
    read = ModelReader(model)
    outcomes: list[Trial] = []
    for number, task in enumerate(tasks):
        for trial in range(trials):
            random = np.random.default_rng([seed, number, trial])
            outcomes.append(_play(number, task, talker, policy, read, random))
            progress.advance(1)
    document = _figures(outcomes, trials, seed)
    for part, name in (("complexity", "by_complexity"), ("reveal_difficulty", "by_reveal")):
        values = dict.fromkeys(getattr(task, part) for task in tasks)
        document[name] = {
            value: _figures([one for one in outcomes if getattr(tasks[one.task], part) == value], trials, seed)
            for value in values
        }
    document["reader"] = {
        "model": model.llm.spec if model.llm else "none",
        "calls": read.usage.llm_calls,
        "prompt_tokens": read.usage.prompt_tokens,
        "cached_tokens": read.usage.cached_tokens,
        "completion_tokens": read.usage.completion_tokens,
        "failure": read.failure,
    }
    return {"system": {"whimbrel": document}}


def _talker(tasks: Sequence[Task], items: Sequence[Item]) -> _Talker:
    """Return an agent whose log holds what the person of each task has seen."""
    known = {item.item_id for item in items}
    events = [
        (float(number), task.id, item_id, None)
        for task in tasks
        for number, item_id in enumerate(task.watched)
        if item_id in known
    ]
    store = InMemory(items, InteractionLog.build(items, events), timed=True)
    return _Talker(Agent(store, None), store)


def _play(number: int, task: Task, talker: _Talker, policy: Policy, read: Reader, random: np.random.Generator) -> Trial:
    facts = {FACT: task.user_services} if task.user_services else {}
    # Without services, no item would be available. The task then does not ask for availability.
    rules = tuple(rule for rule in policy.require if rule.fact != FACT or task.user_services)
    policy = policy.model_copy(update={"require": rules})
    user_id = task.id if task.id in talker.store.log.user_rows else ""
    session = Session(lambda: talker, user_id, at=AT, k=5, policy=policy, facts=facts, read=read)
    user = ScriptedUser(task, random)
    referee = _Referee(task, policy, facts)
    line: str | None = user.opening()
    turn = None
    while line is not None:
        turn = session.say(line)
        listed = turn.recommendations.recommendations if turn.recommendations else ()
        items = list(talker.store.items([entry.item_id for entry in listed]).values())
        referee.watch(line, turn, items)
        if user.accepted is not None:
            break
        line = user.answer(turn, items)
    is_right = user.accepted is not None or (task.no_valid_recommendation and not user.gave_up)
    return Trial(number, is_right and not referee.broken, user.lines, tuple(referee.broken))


class _Referee:
    """Checks each turn against the policy, without the code that enforces it."""

    def __init__(self, task: Task, policy: Policy, facts: Mapping[str, tuple[str, ...]]) -> None:
        self.broken: list[str] = []
        self._task, self._policy, self._facts = task, policy, facts
        self._opened: set[str] = set()
        self._asked = ""

    def watch(self, line: str, turn: Turn, items: Sequence[Item]) -> None:
        """Check one turn."""
        if self._asked and line in YES:
            self._opened.add(self._asked)
        self._asked = (turn.question.field or "") if turn.question and turn.question.kind == "gate" else ""
        if self._policy.one_at_a_time and len(items) > 1:
            self.broken.append("more than one item")
        for item in items:
            if item.item_id in self._task.watched and not self._policy.repeat:
                self.broken.append("seen before")
            if any(gate.holds(item) and gate.field not in self._opened for gate in self._policy.gate):
                self.broken.append("not allowed to be shown")
            if any(not condition.holds(item) for condition in self._policy.required(self._facts)):
                self.broken.append("a required condition")
            told = turn.disclosures.get(item.item_id, ())
            if any(rule.when.holds(item) and rule.words not in told for rule in self._policy.disclose):
                self.broken.append("not disclosed")


def _figures(outcomes: Sequence[Trial], trials: int, seed: int) -> dict[str, Any]:
    tasks = sorted({trial.task for trial in outcomes})
    passed = [sum(trial.success for trial in outcomes if trial.task == task) for task in tasks]
    once = np.array([count / trials for count in passed], dtype=np.float64)
    power = min(TRIALS_PASSED, trials)
    always = [comb(count, power) / comb(trials, power) for count in passed]
    share: Interval = interval(once, np.arange(len(tasks)), seed=seed)
    return {
        "n": len(outcomes),
        "tasks": len(tasks),
        "pass^1": share.value,
        "pass^1_ci": [share.low, share.high],
        f"pass^{power}": float(np.mean(always)),
        "turns": float(np.mean([trial.turns for trial in outcomes])),
        "policy_broken": sum(bool(trial.broken) for trial in outcomes),
    }


def dialogue_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_dialogues` as a Markdown table."""
    whole = document["system"]["whimbrel"]
    power = next(name for name in whole if name.startswith("pass^") and name not in {"pass^1", "pass^1_ci"})
    lines = [f"| tasks | trials | pass^1 | {power} | turns | policy broken |", "|---" * 6 + "|"]
    parts = {"all": whole, **whole["by_complexity"], **whole["by_reveal"]}
    for name, row in parts.items():
        low, high = row["pass^1_ci"]
        share = f"{row['pass^1']:.3f} [{low:.3f}, {high:.3f}]"
        cells = [f"{name} ({row['tasks']})", row["n"], share, f"{row[power]:.3f}", f"{row['turns']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} | {row['policy_broken']} |")
    return "\n".join(lines)
