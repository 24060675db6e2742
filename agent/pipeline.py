"""The main job as one LangChain Runnable: recall, summarise, predict the shift, retrieve, rank, explain.

Read from top to bottom. Every step takes what was found before it and adds one value under its own name.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.explanation.explain import Explained, explain
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.option_scores import likelihood_prompt
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.profile.summarise import Summary, summarise
from whimbrel.agent.ranking.rank import RankConfig, Ranking, distinct, rank
from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.prompts.phrases import Language
from whimbrel.tools.records import Interaction, followed, turned_from
from whimbrel.tools.retrieval.candidates import Candidate, Interest, Query, interest_of, retrieve
from whimbrel.tools.store.store import Store
from whimbrel.tools.text.encoder import Vectors

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.runnables import Runnable

STEPS = ("recall", "summarise", "predict_shift", "interest", "retrieve", "rank", "explain")
"""Names of the steps, in order."""


class PipelineConfig(BaseModel):
    """How much each stage takes: `candidates` retrieved, the weights of ranking, reasons `worded` by the model.

    `language` is that of summaries, of the reasons of shifts and recommendations, and of what the model is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=200, ge=1)
    worded: int = Field(default=3, ge=0)
    rank: RankConfig = RankConfig()
    language: Language = "en"


@dataclass(frozen=True)
class Request:
    """Who asks (empty for somebody new), as of when, in what situation, for how many."""

    user_id: str
    at: float
    context: Context
    k: int


@dataclass(frozen=True)
class Recall:
    """What is known of the user before the request's time, with the vectors of those items, and the ids of those that
    the user turned away from, which the history is without."""

    history: Sequence[Interaction]
    vectors: dict[str, Vectors]
    refused: tuple[str, ...] = ()


class StageClock:
    """Seconds that each step took, by its name; `on_step` is told the name as the step ends."""

    def __init__(self, on_step: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_step = on_step

    def handler(self) -> "BaseCallbackHandler":
        """What LangChain is to tell."""
        from langchain_core.callbacks import BaseCallbackHandler

        begun: dict[Any, tuple[str, float]] = {}
        clock = self

        class Handler(BaseCallbackHandler):
            raise_error = True

            def on_chain_start(self, *_: Any, run_id: Any, name: str = "", **__: Any) -> None:
                begun[run_id] = (name, time.perf_counter())

            def on_chain_end(self, *_: Any, run_id: Any, **__: Any) -> None:
                clock._end(*begun.pop(run_id, ("", 0.0)))

        return Handler()

    def _end(self, name: str, started: float) -> None:
        if name in STEPS:
            self.seconds[name] = time.perf_counter() - started
            if self._on_step:
                self._on_step(name)


def build_pipeline(
    store: Store, llm: LanguageModel | None, config: PipelineConfig, fitted: Fitted | None = None
) -> "Runnable[Request, dict[str, Any]]":
    """A Runnable from a `Request` to all that was found on the way (`recall`, `summary`, ..., `explained`); `fitted`
    is by default what lies with the store."""
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough

    language, learned = config.language, fitted or Fitted.load(store.fitted).for_log(store.log)
    likelihood_cache = (
        store.number_cache(f"{llm.digest}|{likelihood_prompt(language).name}") if llm is not None else None
    )

    def recalled(found: dict[str, Any]) -> Recall:
        request: Request = found["request"]
        events = store.history(request.user_id, before=request.at) if request.user_id else []
        history = [event for event in followed(events) if isinstance(event, Interaction)]
        vectors = store.item_vectors(sorted({i.item_id for i in history} | set(request.context.more)))
        return Recall(history, vectors, turned_from(events))

    def summarised(found: dict[str, Any]) -> Summary:
        recall: Recall = found["recall"]
        return summarise(recall.history, llm, vectors=recall.vectors, language=language)

    def predicted(found: dict[str, Any]) -> Prediction:
        request: Request = found["request"]
        return predict_shift(
            found["recall"].history,
            ShiftQuery(
                at=request.at,
                context=request.context,
                topic_vectors=store.topic_vectors(before=request.at) if request.context.query else {},
                habits=store.habits(before=request.at),
            ),
            model=ModelAccess(llm, language, likelihood_cache),
            topics=learned.topics,
        )

    def interested(found: dict[str, Any]) -> Interest:
        request, recall, prediction = found["request"], found["recall"], found["prediction"]
        return interest_of(
            recall.history,
            recall.vectors,
            predicted=store.vectors_of_topics(prediction.shift.to_topics),
            query=request.context.query,
            liked=[recall.vectors[item_id] for item_id in request.context.more if item_id in recall.vectors],
        )

    def retrieved(found: dict[str, Any]) -> list[Candidate]:
        request: Request = found["request"]
        return retrieve(
            store,
            Query(
                found["recall"].history,
                before=request.at,
                interest=found["interest"],
                expected=found["prediction"].topics,
                embeddings=learned.embeddings,
                without=(*request.context.more, *request.context.unavailable, *found["recall"].refused),
            ),
            weights=learned.fusion.channels,
            avoid=request.context.avoid,
            max_price=request.context.max_price,
            n=max(config.candidates, 2 * request.k),
        )

    def ranked(found: dict[str, Any]) -> Ranking:
        request: Request = found["request"]
        weighed = max(config.rank.weighed, 2 * request.k)
        return rank(
            found["candidates"],
            where="retrieved",
            history=found["recall"].history,
            interest=found["interest"],
            expected=found["prediction"].topics,
            wish=request.context.query,
            shift=found["prediction"].shift,
            fusion=learned.fusion,
            click_rates=learned.click_rates,
            llm=llm,
            config=config.rank.model_copy(update={"weighed": weighed}),
            likelihood_cache=likelihood_cache,
            language=language,
        )

    def explained(found: dict[str, Any]) -> Explained:
        recall: Recall = found["recall"]
        return explain(
            distinct(found["ranking"].ranked, k=found["request"].k, diversity=config.rank.diversity),
            history=recall.history,
            vectors=recall.vectors,
            shift=found["prediction"].shift,
            llm=llm,
            worded=config.worded,
            language=language,
        )

    def begun(request: Request) -> dict[str, Any]:
        return {"request": request}

    return (
        RunnableLambda(begun, name="request")
        | RunnablePassthrough.assign(recall=RunnableLambda(recalled, name="recall"))
        | RunnablePassthrough.assign(summary=RunnableLambda(summarised, name="summarise"))
        | RunnablePassthrough.assign(prediction=RunnableLambda(predicted, name="predict_shift"))
        | RunnablePassthrough.assign(interest=RunnableLambda(interested, name="interest"))
        | RunnablePassthrough.assign(candidates=RunnableLambda(retrieved, name="retrieve"))
        | RunnablePassthrough.assign(ranking=RunnableLambda(ranked, name="rank"))
        | RunnablePassthrough.assign(explained=RunnableLambda(explained, name="explain"))
    )
