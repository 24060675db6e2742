"""Let a capable model answer a question about items or the person, with tools that read the catalogue and the log.

The model may call tools a few times and then answers in words. The words are checked: they may hold no number and no
quotation that the model was not given. If they fail the check, or the model fails, the session's own words are said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whimbrel.agent.chat.turn import LONGEST_ANSWER
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.prompts import load
from whimbrel.tools.errors import ModelError
from whimbrel.tools.observing import content_is_wanted, observed
from whimbrel.tools.tracing import traced_as_wanted

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

MOST_STEPS = 4
"""The most replies of the model for one answer."""
MOST_CALLS = 6
TOOLS = frozenset({"history", "interest_shift", "similar_items", "met_together"})
"""The tools of the toolbox that answers may use. Those that recommend are left out: lists come from the session."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTED = re.compile(r"[\"\u201c\u300c\u300e\u300a]([^\"\u201d\u300d\u300f\u300b]+)[\"\u201d\u300d\u300f\u300b]")


@dataclass(frozen=True)
class Asked:
    """A question, and what the model is given to answer it.

    Attributes:
        line: The question.
        wanted: What the person wants, in words.
        shown: The items on the screen or spoken of, with all that the catalogue knows of them.
        own_words: What the session would say itself.
    """

    line: str
    wanted: str
    shown: str
    own_words: str


class Answerer:
    """Answers questions with a model that calls tools.

    Attributes:
        usage: What the answers cost so far.
    """

    def __init__(self, model: ModelAccess, tools: "Sequence[BaseTool]") -> None:
        """Prepare the agent. LangChain is imported only for the first answer."""
        self._model = model
        self._tools = [tool for tool in tools if tool.name in TOOLS]
        self._agent: Any = None
        self._chat: Any = None

    @property
    def usage(self) -> Usage:
        """What the answers cost so far."""
        return self._chat.usage if self._chat else NO_USAGE

    def __call__(self, asked: Asked) -> str:
        """Answer a question. Return the session's own words if the model's do not pass the checks."""
        if not self._model.reads:
            return asked.own_words
        from langchain_core.messages import HumanMessage

        inputs = {"messages": [HumanMessage(asked.line)], "wanted": asked.wanted, "shown": asked.shown}
        # LangChain would tell callbacks the question and what is shown.
        config: Any = {} if content_is_wanted() else {"callbacks": []}
        try:
            with observed("answer") as told, traced_as_wanted():
                before = self.usage
                messages = self._graph().invoke(inputs, config)["messages"]
                told.tell({"whimbrel.llm_calls": self.usage.llm_calls - before.llm_calls})
        except ModelError:
            return asked.own_words
        words = " ".join(str(messages[-1].text).split())
        given = [asked.line, asked.wanted, asked.shown, *(str(m.text) for m in messages if m.type == "tool")]
        return words if messages[-1].type == "ai" and is_supported(words, " ".join(given)) else asked.own_words

    def _graph(self) -> Any:
        """Return the agent. The wishes and the screen are part of its state, and its prompt is made from them."""
        if self._agent is not None:
            return self._agent
        from langchain.agents import AgentState, create_agent
        from langchain.agents.middleware import (
            ModelCallLimitMiddleware,
            ModelRequest,
            ModelRetryMiddleware,
            ToolCallLimitMiddleware,
            ToolRetryMiddleware,
            dynamic_prompt,
        )

        from whimbrel.agent.language_models.tool_chat import ToolChat

        class TalkAgentState(AgentState[Any]):
            wanted: str
            shown: str

        prompt = load("answer", language=self._model.language)

        @dynamic_prompt
        def with_screen(request: ModelRequest[Any]) -> str:
            state: Any = request.state
            return prompt.fill({"wanted": state["wanted"], "shown": state["shown"]})

        self._chat = ToolChat(llm=self._model.llm)
        limits: list[Any] = [
            ModelCallLimitMiddleware(run_limit=MOST_STEPS),
            ToolCallLimitMiddleware(run_limit=MOST_CALLS),
        ]
        self._agent = create_agent(
            self._chat,
            self._tools,
            middleware=[
                with_screen,
                *limits,
                ModelRetryMiddleware(max_retries=1, on_failure="error", initial_delay=0.2),
                ToolRetryMiddleware(max_retries=1, initial_delay=0.1),
            ],
            state_schema=TalkAgentState,
        )
        return self._agent


def is_supported(words: str, given: str) -> bool:
    """Return whether words hold only numbers and quotations that were given, and nothing but plain text.

    Example:
        >>> is_supported("It runs for 96 minutes.", "Up, runtime 96"), is_supported("It cost 20 million.", "Up")
        (True, False)
    """
    if not words or len(words) > LONGEST_ANSWER or not words.isprintable() or re.search(r"https?:|[<>{}`|#*]", words):
        return False
    known = set(_NUMBER.findall(given)) | {str(number) for number in range(1, 4)}
    plain = given.casefold()
    quoted = [quote.casefold().strip(" .,!?") for quote in _QUOTED.findall(words)]
    return set(_NUMBER.findall(words)) <= known and all(quote in plain for quote in quoted)
