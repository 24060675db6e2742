"""The local model as a chat model of LangChain."""

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, Field

from whimbrel.agent import ConfigError, LangChainModel, LocalChatModel, ModelError
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.prompts import Message

ASKED: list[Message] = [
    {"role": "system", "content": 'Answer as JSON: {"colour": "..."}'},
    {"role": "user", "content": "What colour is the sky?", "fixed": False},
]


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


@pytest.fixture(scope="module")
def chat(bundled: LocalModel) -> LocalChatModel:
    return LocalChatModel(local=bundled, max_tokens=24)


@pytest.mark.slow
def test_the_local_model_is_a_chat_model_that_streams_its_replies(chat: LocalChatModel) -> None:
    conversation = [SystemMessage("You answer in one sentence."), HumanMessage("What is tea?")]
    whole = chat.invoke(conversation)
    streamed: list[str] = []

    class Listener(BaseCallbackHandler):
        def on_llm_new_token(self, token: str, **_: Any) -> None:
            streamed.append(token)

    pieces = [str(piece.content) for piece in chat.stream(conversation, {"callbacks": [Listener()]})]
    assert len(pieces) > 3
    assert "".join(pieces) == "".join(streamed) == whole.content
    assert whole.usage_metadata is not None
    assert 0 < whole.usage_metadata["output_tokens"] <= 25
    first = str(whole.content).split()[0]
    assert str(chat.invoke(conversation, stop=[first]).content) == ""
    stream = chat.stream(conversation)
    next(stream)
    with pytest.raises(ModelError, match="still streaming a reply"):
        chat.invoke(conversation)
    leaving = threading.Thread(target=stream.close)  # type: ignore[attr-defined]  # as an event loop's executor does
    leaving.start()
    leaving.join()
    del stream, leaving
    assert [reply.content for reply in chat.batch([conversation, conversation])] == [whole.content] * 2


@pytest.mark.slow
def test_the_local_model_streams_within_an_event_loop(chat: LocalChatModel) -> None:
    async def listen() -> str:
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(4)))  # several threads to run in
        return "".join([str(piece.content) async for piece in chat.astream("What is tea?")])

    assert asyncio.run(listen()) == chat.invoke("What is tea?").content


@pytest.mark.slow
def test_the_local_chat_model_holds_to_a_schema(chat: LocalChatModel) -> None:
    answer = chat.with_structured_output(Colour).invoke("What colour is the sky on a clear day?")
    assert isinstance(answer, Colour)
    plain = chat.with_structured_output(Colour.model_json_schema()).invoke("What colour is snow?")
    assert set(plain) == {"colour"}
    (reply,) = LangChainModel(chat).generate([ASKED], schema=Colour, max_tokens=24)
    assert reply.value is not None


def test_only_local_models_become_chat_models() -> None:
    with pytest.raises(ConfigError, match="not a local model"):
        LocalChatModel.open("none")
