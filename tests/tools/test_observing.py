"""Spans and callbacks: one request, its stages and its calls of models, and no content unless it is wanted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from whimbrel.agent import Agent, AsyncAgent, DataError, ScriptedModel
from whimbrel.agent.pipeline import SHIFT, STAGES
from whimbrel.tools.observing import CONTENT, observed

WISH = "a table for Anna"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == f"whimbrel.{name}"]


def content(spans: InMemorySpanExporter) -> str:
    return "\n".join(span.to_json() for span in spans.get_finished_spans())


class Heard(BaseCallbackHandler):
    """What LangChain tells a handler."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.parents: dict[str, str] = {}
        self.by_id: dict[UUID, str] = {}
        self.told: list[Any] = []

    def _start(self, name: str, told: Any, run_id: UUID, parent_run_id: UUID | None) -> None:
        self.names.append(name)
        self.by_id[run_id] = name
        self.parents[name] = self.by_id[parent_run_id] if parent_run_id else ""
        self.told.append(told)

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: Any = None, **more: Any
    ) -> None:
        self._start(more["name"], inputs, run_id, parent_run_id)

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: Any = None, **more: Any
    ) -> None:
        self._start(more["name"], messages, run_id, parent_run_id)

    def on_chain_end(self, outputs: Any, **_: Any) -> None:
        self.told.append(outputs)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.told.append(response)


def test_a_request_is_a_span_with_a_child_for_each_stage(shop: Path, spans: InMemorySpanExporter) -> None:
    with Agent.open(shop, llm="none") as agent:
        answer = agent.recommend("u1", context={"query": WISH}, k=3)
    (request,) = named(spans, "request")
    attributes: Any = request.attributes
    assert attributes["whimbrel.k"] == 3
    assert attributes["gen_ai.request.model"] == "none"
    for stage in STAGES:
        (span,) = named(spans, stage)
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time
    listed: Any = named(spans, "explain")[0].attributes
    assert listed["whimbrel.listed"] == len(answer.recommendations) == 3
    found: Any = named(spans, "retrieve")[0].attributes
    assert found["whimbrel.candidates"] > 3
    shift: Any = named(spans, "predict_shift")[0].attributes
    assert shift["whimbrel.shift"] == answer.shift.kind


def test_spans_hold_no_content_unless_it_is_wanted(
    shop: Path, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        spans.clear()
        with Agent.open(shop, llm=FakeListChatModel(responses=["no JSON"])) as agent:
            words = [agent.recommend("u1", context={"query": WISH}, k=3).recommendations[0].title, WISH, '"u1"']
            agent.chat("u1").say("no garden things, please")
            with pytest.raises(DataError, match="nobody"):
                agent.recommend("nobody")
        told = content(spans)
        assert "whimbrel.chat" in told
        return " ".join(word for word in [*words, "garden things", "nobody"] if word in told)

    assert told() == ""
    monkeypatch.setenv("WHIMBREL_LOCAL_ONLY", "1")
    monkeypatch.setenv(CONTENT, "1")
    with Agent.open(shop, llm="none") as agent:
        agent.recommend("u1", context={"query": WISH})
    assert WISH not in content(spans)
    monkeypatch.delenv("WHIMBREL_LOCAL_ONLY")
    found = told()
    assert WISH in found
    assert '"u1"' in found
    assert "garden things" in found
    assert "Oak table" in found


def test_an_error_is_named_by_its_class_alone(shop: Path, spans: InMemorySpanExporter) -> None:
    with Agent.open(shop, llm="none") as agent, pytest.raises(DataError):
        agent.recommend("nobody")
    for name in ("request", "recall"):
        (span,) = named(spans, name)
        attributes: Any = span.attributes
        assert attributes["error.type"] == "DataError"
        assert span.status.status_code is trace.StatusCode.ERROR
        assert not span.events
        assert span.status.description is None


def test_calls_of_models_are_children_of_their_stage(shop: Path, spans: InMemorySpanExporter) -> None:
    with Agent.open(shop, llm=ScriptedModel()) as agent:
        answer = agent.recommend("u1", k=3)
    calls = named(spans, "model")
    stages = {span.context.span_id: span.name for span in spans.get_finished_spans()}
    parents = {stages[call.parent.span_id] for call in calls if call.parent}
    assert parents & {"whimbrel.summarise", "whimbrel.explain", "whimbrel.rank"}
    attributes: list[Any] = [call.attributes for call in calls]
    assert {one["gen_ai.request.model"] for one in attributes} == {"scripted"}
    assert sum(one.get("whimbrel.llm_calls", 0) for one in attributes) == answer.usage.llm_calls > 0
    read = sum(one.get("gen_ai.usage.input_tokens", 0) for one in attributes)
    assert read == answer.usage.prompt_tokens


def test_the_spans_of_an_awaited_call_belong_to_the_span_around_it(shop: Path, spans: InMemorySpanExporter) -> None:
    async def ask() -> None:
        async with AsyncAgent(Agent.open(shop, llm="none")) as agent:
            with trace.get_tracer("app").start_as_current_span("http"):
                await agent.recommend("u1")

    asyncio.run(ask())
    (request,) = named(spans, "request")
    (http,) = (span for span in spans.get_finished_spans() if span.name == "http")
    assert request.parent is not None
    assert request.parent.span_id == http.context.span_id


def test_nothing_is_made_if_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with observed("request") as told:
        assert not told.is_heard


@pytest.mark.parametrize("model", [FakeListChatModel(responses=["no JSON"]), ScriptedModel()], ids=["chat", "own"])
def test_callbacks_hear_of_the_stages_and_of_the_calls_of_any_model(
    shop: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Agent.open(shop, llm=model) as agent:
        heard, tokens = Heard(), UsageMetadataCallbackHandler()
        answer = agent.as_runnable().invoke(
            {"user_id": "u1", "k": 3, "context": {"query": WISH}}, {"callbacks": [heard, tokens], "run_name": "mine"}
        )
        assert heard.names[0] == "mine"
        assert {f"whimbrel.{stage}" for stage in STAGES} <= set(heard.names)
        assert {heard.parents[f"whimbrel.{stage}"] for stage in STAGES} == {"mine"}
        assert heard.parents["whimbrel.model"] in {f"whimbrel.{stage}" for stage in STAGES}
        told = repr(heard.told)
        assert not [word for word in ("u1", WISH, answer.recommendations[0].title, "User:") if word in told]
        (counts,) = tokens.usage_metadata.values()
        assert counts["input_tokens"] > 0
        again = Heard()
        asyncio.run(agent.as_runnable().ainvoke("u1", {"callbacks": [again]}))
        assert "whimbrel.rank" in again.names
        monkeypatch.setenv(CONTENT, "1")
        whole = Heard()
        agent.as_runnable().invoke({"user_id": "u1", "context": {"query": WISH}}, {"callbacks": [whole]})
        assert WISH in repr(whole.told)


def test_a_retriever_and_a_chat_tell_callbacks_too(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        heard = Heard()
        agent.as_retriever("u1").invoke("tea", {"callbacks": [heard]})
        assert "whimbrel.retrieve" in heard.names
        heard = Heard()
        agent.as_chat("u1").invoke({"messages": [("user", "something for tea")]}, {"callbacks": [heard]})
        assert {"whimbrel.chat", "whimbrel.request", "whimbrel.retrieve"} <= set(heard.names)
        assert heard.parents["whimbrel.request"] == "whimbrel.chat"
        assert len(named_stages(heard)) == len(STAGES) >= len(SHIFT)


def named_stages(heard: Heard) -> set[str]:
    return {stage for stage in STAGES if f"whimbrel.{stage}" in heard.names}


def test_events_can_be_streamed_stage_by_stage(shop: Path) -> None:
    async def names(agent: Agent) -> list[str]:
        events = agent.as_runnable().astream_events("u1", version="v2")
        return [event["name"] async for event in events if event["event"] == "on_chain_end"]

    with Agent.open(shop, llm="none") as agent:
        ended = asyncio.run(names(agent))
    stages = [name for name in ended if name.removeprefix("whimbrel.") in STAGES]
    assert stages == [f"whimbrel.{stage}" for stage in STAGES]
