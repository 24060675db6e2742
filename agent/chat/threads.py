"""Conversations as threads of LangGraph, which any checkpoint saver keeps.

A thread is a list of messages and what the conversation remembers. The process that answers may end between two lines.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph

from whimbrel.agent.chat.saved_talks import memory_document, memory_of
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Memory, turn_document, turn_text
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.records import identifier
from whimbrel.tools.tracing import traced_as_wanted


class Said(TypedDict):
    """What a call gives.

    Attributes:
        messages: What was said. A call adds one answer. Without a line of the person, that is the opening.
    """

    messages: Annotated[list[AnyMessage], add_messages]


class Answered(Said):
    """What a call returns.

    Attributes:
        turn: The last answer as JSON values, as `whimbrel chat --json` prints it.
    """

    turn: NotRequired[dict[str, Any]]


class ThreadState(Answered):
    """The state of a thread.

    Attributes:
        talk: Whose conversation it is, and what it remembers, as JSON values.
    """

    talk: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class KeptInThread:
    """What a conversation of a thread remembers. LangGraph keeps it after the run (see `saved_talks.SavedTalk`)."""

    document: Any = None

    def load(self) -> Memory | None:
        """Return what the thread remembers; None if it is new.

        Raises:
            DataError: The saver returns something else.
        """
        try:
            return None if self.document is None else memory_of(self.document)
        except (ValueError, KeyError, TypeError, RecursionError, ArithmeticError) as error:
            raise DataError(f"this thread cannot be read ({type(error).__name__}): begin another one") from error

    def save(self, memory: Memory) -> None:
        """Do nothing."""

    def exists(self) -> bool:
        """Return True: who forgets a person deletes their threads at the saver."""
        return True


def talk_graph(
    open_session: Callable[[str, KeptInThread], Session],
    is_known: Callable[[str], bool],
    *,
    user_id: str | None,
    checkpointer: Any,
) -> "CompiledStateGraph[ThreadState, Any, Any, Any]":
    """Return a graph of one node that answers the last message of a thread (see `Agent.as_chat`)."""

    def answer(state: ThreadState, config: RunnableConfig) -> dict[str, Any]:
        person, kept = _person(config, user_id), state.get("talk") or {}
        if kept and kept.get("user_id") != person:
            raise ConfigError("this thread is another person's: give each person threads of their own")
        if kept.get("was_known") and not is_known(person):
            raise DataError(f"no user {person!r}: they were forgotten, so delete this thread")
        session = open_session(person, KeptInThread(kept.get("memory")))
        said = state["messages"][-1] if state["messages"] else None
        turn = session.say(str(said.text)) if said is not None and said.type == "human" else session.open()
        talk = {"user_id": person, "was_known": is_known(person), "memory": memory_document(session.memory)}
        return {"messages": [AIMessage(turn_text(turn))], "turn": turn_document(turn), "talk": talk}

    graph: StateGraph[ThreadState, Any, Any, Any] = StateGraph(ThreadState, input_schema=Said, output_schema=Answered)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    compiled = graph.compile(checkpointer=checkpointer, name="whimbrel")
    compiled.__class__ = _Untraced
    return compiled


def _person(config: RunnableConfig, bound: str | None) -> str:
    given = config.get("configurable", {}).get("user_id")
    if bound is not None and given is not None and identifier(given) != bound:
        raise ConfigError("this chat is bound to another person: leave `user_id` out of the configuration")
    return bound if bound is not None else identifier("" if given is None else given)


class _Untraced(CompiledStateGraph[Any, Any, Any, Any]):
    """A graph that posts traces no further than `tools.tracing` allows, since they would hold all that is said."""

    def stream(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        with traced_as_wanted():
            yield from super().stream(*arguments, **named)

    async def astream(self, *arguments: Any, **named: Any) -> Any:
        with traced_as_wanted():
            async for part in super().astream(*arguments, **named):
                yield part
