"""Any language model of Whimbrel as a LangChain chat model that calls tools.

The call of a tool is a reply in a schema, so it works with each model that fills schemas, whatever its server offers.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, create_model

from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.prompts import Message, as_data
from whimbrel.tools.errors import ModelError

SAY = "say"
"""The name of the step that ends with words instead of a call."""
_HOW = (
    "In each step you either call one tool or answer. Reply as JSON. To call a tool, give its name as "
    '"step" and its arguments as keys. To answer, give "step": "say" and your answer as "words".\nTools:\n'
)


class ToolChat(BaseChatModel):
    """A chat model over a `LanguageModel`. After `bind_tools`, its replies call tools or answer.

    Attributes:
        llm: The language model.
        tools: The bound tools, in the form of the OpenAI API.
        max_tokens: The most tokens of a reply.
        spent: What the replies cost so far.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    llm: Any
    tools: list[dict[str, Any]] = Field(default_factory=list)
    max_tokens: int = 300
    spent: list[Usage] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return f"whimbrel-tools-{self.llm.spec}"

    @property
    def usage(self) -> Usage:
        """What the replies cost so far."""
        return sum(self.spent, NO_USAGE)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Return the model with tools that it may call. `spent` is shared."""
        return ToolChat.model_construct(
            **{**self.__dict__, "tools": [convert_to_openai_tool(tool) for tool in tools], "spent": self.spent}
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        schema = _step_schema(self.tools)
        (reply,) = self.llm.generate([self._conversation(messages)], schema=schema, max_tokens=self.max_tokens)
        self.spent.append(reply.usage)
        if reply.value is None:
            raise ModelError(f"model {self.llm.spec!r}: {reply.misfit or 'the reply did not fit'}")
        values = reply.value.model_dump(exclude_none=True)
        step, words = values.pop("step"), values.pop("words", "")
        calls = []
        if step != SAY:
            known = self._tool(step)["function"]["parameters"].get("properties", {})
            arguments = {name: value for name, value in values.items() if name in known}
            calls = [{"name": step, "args": arguments, "id": f"call-{len(messages)}"}]
        message = AIMessage(content="" if calls else words, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _tool(self, name: str) -> dict[str, Any]:
        return next(tool for tool in self.tools if tool["function"]["name"] == name)

    def _conversation(self, messages: Sequence[BaseMessage]) -> list[Message]:
        """Return messages in the form that a `LanguageModel` takes. Calls and results become text."""
        functions = [tool["function"] for tool in self.tools]
        lines = [
            f"{one['name']}({', '.join(one['parameters'].get('properties', {}))}): {one['description']}"
            for one in functions
        ]
        conversation: list[Message] = []
        for message in messages:
            if message.type == "system":
                content = f"{message.text}\n\n{_HOW}{chr(10).join(lines)}" if lines else str(message.text)
                conversation.append(Message(role="system", content=content))
            elif isinstance(message, ToolMessage):
                content = f"Result of {message.name}:\n{as_data(str(message.text))}"
                conversation.append(Message(role="user", content=content))
            elif isinstance(message, AIMessage) and message.tool_calls:
                call = message.tool_calls[0]
                content = json.dumps({"step": call["name"], **call["args"]}, ensure_ascii=False)
                conversation.append(Message(role="assistant", content=content))
            else:
                role: Literal["user", "assistant"] = "assistant" if message.type == "ai" else "user"
                conversation.append(Message(role=role, content=str(message.text)))
        return conversation


def _step_schema(tools: Sequence[dict[str, Any]]) -> type[BaseModel]:
    """Return the schema of a step: the name of a tool with its arguments, or words."""
    names = tuple(tool["function"]["name"] for tool in tools)
    arguments = {
        name: (_TYPES.get(part.get("type", "string"), str) | None, None)
        for tool in tools
        for name, part in tool["function"]["parameters"].get("properties", {}).items()
    }
    fields: dict[str, Any] = {"step": (Literal[(*names, SAY)], ...), "words": (str, ""), **arguments}
    return create_model("Step", **fields)


_TYPES: dict[str, Any] = {"integer": int, "number": float, "boolean": bool, "string": str}
