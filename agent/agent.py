"""The agent: items and interactions, a language model, and the questions that can be asked of them from Python."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from whimbrel.agent.answers import answer_of, unseen_situation
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.hosted.budget import Budget, BudgetError
from whimbrel.agent.language_models.option_scores import likelihood_prompt
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.language_models.specs import as_model, open_model
from whimbrel.agent.pipeline import RANK, RECOMMEND, SHIFT, run
from whimbrel.agent.ranking.rank import Ranking
from whimbrel.agent.schema.context import Context, as_context
from whimbrel.agent.schema.results import Recommendations, Shift
from whimbrel.agent.shift.forecast import forecast_topics
from whimbrel.agent.shift.timeline import Timeline, timeline_of
from whimbrel.agent.state import PipelineConfig, Request, Resources, State
from whimbrel.tools.errors import ConfigError, DataError, StoreError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Event, Interaction, Item, Occurrence, identifier
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.timestamps import parse_time

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from whimbrel.agent.chat.session import Session

Situation = Context | Mapping[str, object] | None
LIVE_SECONDS = 7 * 24 * 3600
"""A log that ended no longer ago is live: then "now" is the clock's time, else the end of the log."""


class Agent:
    """Recommends, ranks, predicts shifts and talks. Close it, or use it in a `with` block.

    Example:
        with Agent.open("shop", llm="none") as agent:
            for entry in agent.recommend("42", k=5).recommendations:
                print(entry.title, "-", entry.explanation)
    """

    def __init__(
        self,
        catalogue: Catalogue | None,
        llm: LanguageModel | None,
        config: PipelineConfig | None = None,
        *,
        fitted: Fitted | None = None,
        owns_llm: bool = False,
    ) -> None:
        """Make an agent of opened parts; `Agent.open` opens them.

        Args:
            catalogue: The source of items and interactions; None for an empty one.
            llm: The language model, or None to work without one.
            config: The settings that are not learned.
            fitted: What was learned; by default what lies with the store, or what is shipped.
            owns_llm: Whether `close` closes the model too.
        """
        self._catalogue = catalogue or InMemory([], InteractionLog.build([], []), timed=True)
        self._llm = llm
        self._config = config or PipelineConfig()
        self._given_fitted = fitted
        self._owns_llm = owns_llm

    @classmethod
    def open(
        cls,
        store: str | Path | None,
        llm: "str | LanguageModel | BaseChatModel | None" = "bundled",
        config: PipelineConfig | None = None,
        *,
        budget: Budget | None = None,
        remember: bool | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Self:
        """Open a store and a language model.

        Args:
            store: A folder, the address of a Chroma server, or None for no interactions at all.
            llm: A model spec, a LangChain chat model, or a `LanguageModel` of your own.
            config: The settings that are not learned.
            budget: What a hosted model may cost.
            remember: Whether replies are kept on disk and used again; by default for hosted models only.
            tell: Called with a sentence when opening the model takes long.

        Raises:
            StoreError: there is no such store, or it cannot be opened.
            ConfigError: `llm` is no model spec.
            ModelError: the model cannot be loaded.
        """
        opened = open_store(store) if store is not None else None
        try:
            if isinstance(llm, str):
                model = open_model(llm, budget=budget, remember=remember, tell=tell)
                return cls(opened, model, config, owns_llm=True)
            if budget and budget != Budget():
                raise ConfigError("a budget is kept for models named by a spec: give this model a limit of its own")
            return cls(opened, as_model(llm, remember=bool(remember)), config)
        except BaseException:
            if opened:
                opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the store, and the model where this agent opened it."""
        if isinstance(self._catalogue, Store):
            self._catalogue.close()
        close = getattr(self._llm, "close", None)
        if self._owns_llm and close:
            close()

    @property
    def store(self) -> Store:
        """The store that this agent was opened with.

        Raises:
            StoreError: it was opened without one.
        """
        if not isinstance(self._catalogue, Store):
            raise StoreError("this agent has no store: give one to Agent.open")
        return self._catalogue

    @cached_property
    def _resources(self) -> Resources:
        catalogue, llm, language = self._catalogue, self._llm, self._config.language
        stored = catalogue if isinstance(catalogue, Store) else None
        fitted = self._given_fitted or (Fitted.load(stored.fitted) if stored else Fitted.default())
        cache = stored.number_cache(f"{llm.digest}|{likelihood_prompt(language).name}") if stored and llm else None
        return Resources(catalogue, fitted.for_log(catalogue.log), ModelAccess(llm, language, cache), self._config)

    def run(
        self,
        request: Request,
        stages: Sequence[str] = RECOMMEND,
        *,
        on_step: Callable[[str], None] | None = None,
    ) -> State:
        """Run stages of the pipeline on a request; every other method is a short form of this one.

        Raises:
            BudgetError: the budget of a hosted model is spent.
            DataError: no such user.
            ModelError: the model cannot be reached.
        """
        return run(request, self._resources, stages, on_step=on_step)

    def recommend(
        self,
        user_id: str,
        at: object = None,
        context: Situation = None,
        k: int = 10,
        *,
        on_step: Callable[[str], None] | None = None,
    ) -> Recommendations:
        """Recommend up to `k` items that the user has not met before `at`, each with its reason.

        Args:
            user_id: Whose history is read; "" for somebody new.
            at: The moment asked about: ISO 8601, Unix seconds or a `datetime`. Nothing that happened at or after it is
                used. By default the `time` of the context if that is a date, else now, or the end of a log that ended
                over a week ago.
            context: The situation, a wish and refusals (see `Context`).
            k: The length of the list.
            on_step: Called with the name of each stage as it ends.

        Raises:
            DataError: no such user.
            TypeError: `context` is no mapping.
            ModelError: the model cannot be reached, or none of its replies fitted a schema.
            ValueError: `k` is no whole number from 1, or `at` is in no known format.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a whole number from 1, got {k!r}")
        started, situation = time.perf_counter(), as_context(context)
        request = Request(identifier(user_id), at=self._moment(at, situation), context=situation, k=k)
        warnings: tuple[str, ...] = ()
        try:
            state = self.run(request, on_step=on_step)
        except BudgetError as error:
            warnings = (f"without the language model: {error}",)
            state = run(request, self._resources_without_model, on_step=on_step)
        answer = answer_of(state, time.perf_counter() - started)
        return answer.model_copy(update={"warnings": (*answer.warnings, *warnings)})

    def rank(
        self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None, *, at: object = None
    ) -> list[str]:
        """Rank candidates for a history: ids of all of them, the best first. Refused candidates come last.

        What the log knows of these items counts too, up to the moment asked about.

        Args:
            history: The events, the first one first; none of it is looked up.
            candidates: The items to rank.
            context: The situation, a wish and refusals (see `Context`).
            at: The moment asked about; by default the `time` of the context if that is a date, else the last time in
                the history.

        Raises:
            ValueError: two candidates have one id.
        """
        return [entry.candidate.item.item_id for entry in self.ranking(history, candidates, context, at=at).ranked]

    def ranking(
        self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None, *, at: object = None
    ) -> Ranking:
        """Rank candidates as `rank` does, with scores, signals, usage and warnings."""
        if len({item.item_id for item in candidates}) < len(candidates):
            raise ValueError("candidates repeat an item_id")
        situation = as_context(context)
        moment = _given_moment(at, situation)
        request = Request(
            history=history, at=moment, context=situation, candidates=candidates, k=max(len(candidates), 1)
        )
        return self.run(request, RANK).ranking

    def choose(
        self,
        history: Sequence[Item],
        context: Situation = None,
        k: int = 10,
        *,
        at: object = None,
        without: Sequence[str] = (),
    ) -> Ranking:
        """Rank what retrieval brings from the whole catalogue for a history.

        Args:
            history: The events, the first one first.
            context: The situation, a wish and refusals (see `Context`).
            k: The length of the list, which is `Ranking.list`; the other candidates stand behind it.
            at: The moment asked about, as in `rank`.
            without: Ids of items that must not come, besides those of the history.
        """
        request = history_request(history, context, at=at, k=k)
        return self.run(replace(request, without=without), RANK).ranking

    def predict_shift(self, history: Sequence[Item], context: Situation = None, *, at: object = None) -> Shift:
        """Predict the interest shift at the end of a history, which runs from the first event to the last."""
        return self.run(history_request(history, context, at=at), SHIFT).prediction.shift

    def timeline(self, user_id: str, at: object = None, context: Situation = None) -> Timeline:
        """Show how the user's interest moved before `at`, period by period, and where it goes now.

        The context is the present one. It counts for the shift as of `at` alone, as does the language model.

        Args:
            user_id: Whose history is read.
            at: The moment asked about, as in `recommend`.
            context: The situation and a wish.

        Raises:
            DataError: no such user.
            TypeError: `context` is no mapping.
            ModelError: the model cannot be reached.
            ValueError: `at` is in no known format.
        """
        situation = as_context(context)
        user, before = identifier(user_id), self._moment(at, situation)
        state = self.run(Request(user, at=before, context=situation), SHIFT)
        history = [event for event in state.recall.history if isinstance(event, Interaction)]
        timeline = timeline_of(
            history,
            state.prediction,
            user_id=user,
            at=before,
            language=self._config.language,
            topics=self._resources.fitted.topics,
        )
        ahead = forecast_topics(self.store.log, self.store.fitted, user, before=before)
        warnings = (*timeline.warnings, *unseen_situation(situation, history))
        return timeline.model_copy(update={"warnings": warnings, "outlook": ahead})

    def chat(self, user_id: str, at: object = None, k: int = 5) -> "Session":
        """Start a conversation with a user, or on behalf of one."""
        from whimbrel.agent.chat.session import Session

        return Session(
            self,
            identifier(user_id),
            at=self.now() if at is None else parse_time(at),
            k=k,
            language=self._config.language,
        )

    def feedback(
        self,
        user_id: str,
        item_id: str,
        event: str,
        at: object = None,
        *,
        rating: float | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Record what a user did. History, popularity and co-occurrence know it at once.

        Args:
            user_id: Who did it; may be new.
            item_id: An item of the store.
            event: A word as `click`, `purchase` or `rating`. One of `tools.records.DISLIKED` (`dislike`, `skip`,
                `return`) takes the item out of what is followed and recommended.
            at: When; by default now.
            rating: The rating given, if any.
            context: The situation, as texts.

        Raises:
            DataError: no such item, or a value makes no sense.
            ValueError: `at` is in no known format.
        """
        when = time.time() if at is None else parse_time(at)
        fields = {"user_id": user_id, "item_id": item_id, "time": when, "event": event, "rating": rating}
        try:
            checked = Event.model_validate(fields | {"context": dict(context or {})})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DataError(f"feedback {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        occurrence = Occurrence(checked.time, checked.item_id, checked.event, checked.rating, checked.context or None)
        self.store.add(checked.user_id, occurrence)

    def forget(self, user_id: str) -> int:
        """Remove a user's events from the store; return how many there were.

        What was learned from the log (`fitted`) holds no events and stays. Rejected rows stay in `rejects`.

        Raises:
            DataError: no such user.
        """
        return self.store.forget(identifier(user_id))

    def now(self) -> float:
        """Return the clock's time; for a log that ended over a week ago, the moment just after its last event."""
        end = self._catalogue.log.end
        clock = time.time()
        return clock if end is None or clock - end <= LIVE_SECONDS else end + 1

    @cached_property
    def _resources_without_model(self) -> Resources:
        resources = self._resources
        return replace(resources, model=ModelAccess(None, resources.model.language))

    def _moment(self, at: object, context: Context) -> float:
        moment = _given_moment(at, context)
        return self.now() if moment is None else moment


def history_request(
    history: Sequence[Item],
    context: Situation = None,
    *,
    at: object = None,
    k: int = 10,
    candidates: Sequence[Item] | None = None,
) -> Request:
    """Return the request for a history that is given instead of looked up.

    Args:
        history: The events, the first one first.
        context: The situation, a wish and refusals (see `Context`).
        at: The moment asked about; by default the `time` of the context if that is a date, else the last time in the
            history.
        k: The length of the list; of given candidates all are listed.
        candidates: The items to rank; None for the whole catalogue.
    """
    situation = as_context(context)
    length = k if candidates is None else max(len(candidates), 1)
    moment = _given_moment(at, situation)
    return Request(history=history, at=moment, context=situation, candidates=candidates, k=length)


def _given_moment(at: object, context: Context) -> float | None:
    """Return the moment asked about: `at`, else that of the context, else None."""
    return context.moment if at is None else parse_time(at)
