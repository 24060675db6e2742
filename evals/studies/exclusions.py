"""Measure whether what people refuse in real dialogues stays out of the next lists.

The dialogues are those of IARD. Which kinds of films a line refuses was written down by hand, in the words of MovieLens
(`evals/data/iard_exclusions.json`, keyed by dialogue and turn), without looking at what the rules read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from whimbrel.agent import Agent
from whimbrel.agent.chat.turn import Turn
from whimbrel.tools.errors import DataError

LISTS = 3
"""How many lists after a refusal are checked."""
MORE = "show me something else"


@dataclass(frozen=True)
class Refused:
    """A refusal, and the titles in the next lists that break it."""

    dialogue: str
    line: str
    topics: tuple[str, ...]
    broken: tuple[str, ...]


def measure_exclusions(agent: Agent, paths: Sequence[str | Path]) -> list[Refused]:
    """Say the lines of each dialogue up to a refusal, and check the lists that follow.

    Args:
        agent: An agent whose store has the topics of MovieLens.
        paths: Files of IARD.

    Raises:
        DataError: A file cannot be read, or holds none of the annotated dialogues.
    """
    refusals = json.loads(resources.files("whimbrel.evals.data").joinpath("iard_exclusions.json").read_text("utf-8"))
    outcomes: list[Refused] = []
    for path in paths:
        try:
            dialogues = json.loads(Path(path).read_text(encoding="utf-8-sig"))
            for dialogue in dialogues:
                for turn, topics in refusals.get(dialogue["conversation_id"], {}).items():
                    lines = [
                        one["utterance"]
                        for one in dialogue["conversation"][: int(turn) + 1]
                        if one["participant"] == "USER"
                    ]
                    outcomes.append(_outcome(agent, dialogue["conversation_id"], lines, tuple(topics)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{str(path)!r} holds no dialogues of IARD ({type(error).__name__}: {error})") from error
    if not outcomes:
        raise DataError("none of the annotated dialogues is in these files")
    return outcomes


def _outcome(agent: Agent, dialogue: str, lines: Sequence[str], topics: tuple[str, ...]) -> Refused:
    session = agent.chat()
    turn = session.open()
    for line in lines:
        turn = session.say(line.replace("...", ". "))  # several messages of one turn are joined by "..."
    turns = [turn] if turn.recommendations is not None else []
    while len(turns) < LISTS:
        turns.append(session.say(MORE))
    return Refused(dialogue, lines[-1], topics, tuple(_broken(agent, turns, set(topics))))


def _broken(agent: Agent, turns: Sequence[Turn], topics: set[str]) -> list[str]:
    ids = [entry.item_id for turn in turns if turn.recommendations for entry in turn.recommendations.recommendations]
    return [item.title for item in agent.store.items(ids).values() if topics & set(item.topics)]


def exclusions_document(outcomes: Sequence[Refused]) -> dict[str, Any]:
    """Return how many refusals held, and those that did not."""
    broken = [one for one in outcomes if one.broken]
    return {
        "refusals": len(outcomes),
        "lists": LISTS,
        "held": len(outcomes) - len(broken),
        "broken": [{"line": one.line, "topics": list(one.topics), "titles": list(one.broken)} for one in broken],
    }
