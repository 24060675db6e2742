"""The agent: a store and a language model, asked from Python."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.hosted.budget import Budget, BudgetError
from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.language_models.specs import as_model, open_model
from whimbrel.agent.pipeline import PipelineConfig, Request, StageClock, build_pipeline
from whimbrel.agent.ranking.fusion import CandidateKind
from whimbrel.agent.ranking.rank import Ranked, Ranking, kind_of_given, rank
from whimbrel.agent.schema.context import Context, as_context
from whimbrel.agent.schema.results import Recommendations, RequestUsage, Shift, StageUsage
from whimbrel.agent.shift.outlook import outlook
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.agent.shift.timeline import Timeline, timeline_of
from whimbrel.tools.errors import ConfigError, DataError, ModelError, StoreError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.topic_clusters import LEAST_ITEMS, name_clusters, with_topics
from whimbrel.tools.log.topic_habits import TopicHabitsOverTime
from whimbrel.tools.records import Event, Interaction, Item, Occurrence, followed, identifier, turned_from
from whimbrel.tools.retrieval.candidates import Candidate, Interest, Query, as_candidates, interest_of, retrieve
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.item_vectors import item_vectors
from whimbrel.tools.timestamps import iso, parse_time

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from whimbrel.agent.chat.session import Session

STAGES = {"summary": "summarise", "prediction": "predict_shift", "ranking": "rank", "explained": "explain"}
"""What asks the model, by what it finds."""
MOST_WEIGHED = 100
"""Candidates that `rank` has the language model weigh at most, the best by the other signals."""
Situation = Context | Mapping[str, object] | None
NO_LOG = InteractionLog.build([], [])
LIVE_SECONDS = 7 * 24 * 3600
"""A log that ended no longer ago is live: then "now" is the clock's, else the end of the log."""


class Agent:
    """Opens with `Agent.open`; close it, or use it in a `with` block.

    Without a store (`None`) only `rank` and `predict_shift` answer: they need no more than what they are given;
    `library` may tell `rank` what everybody did, and `fitted` what was learned from that.
    """

    def __init__(
        self,
        store: Store | None,
        llm: LanguageModel | None,
        config: PipelineConfig | None = None,
        *,
        library: Catalogue | None = None,
        fitted: Fitted | None = None,
        owns_llm: bool = False,
    ) -> None:
        self._owns_llm = owns_llm
        self._store = store
        self._llm = llm
        self._config = config or PipelineConfig()
        self._library = library or store
        self._given_fitted = fitted

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
        """`store` is a folder or a Chroma server's address, `llm` a model spec, a LangChain chat model, or a model of
        your own (see `LanguageModel`). `budget`, `remember` and `tell` are those of `open_model`.

        Raises:
            StoreError: no store there, or it cannot be opened.
            ConfigError, ModelError: not a model spec, or the model cannot be loaded.
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
        if self._store:
            self._store.close()
        close = getattr(self._llm, "close", None)
        if self._owns_llm and close:
            close()

    @property
    def store(self) -> Store:
        """Raises: StoreError: this agent was opened without a store."""
        if self._store is None:
            raise StoreError("this agent has no store: give one to Agent.open")
        return self._store

    @cached_property
    def _pipeline(self) -> Any:
        return build_pipeline(self.store, self._llm, self._config, self._fitted)

    def recommend(
        self,
        user_id: str,
        at: object = None,
        context: Situation = None,
        k: int = 10,
        *,
        on_step: Callable[[str], None] | None = None,
    ) -> Recommendations:
        """Up to `k` items that the user has not met before `at`, each with its reason.

        `at` is ISO 8601, Unix seconds or a `datetime`; by default the time of the context if that is a date, else now,
        or the end of a log that ended over a week ago. Nothing that happened at or after it is used. `on_step` is told
        the name of each step as it ends.

        Raises:
            DataError: no such user.
            TypeError: `context` is no mapping.
            ModelError: the model cannot be reached, or none of its replies fitted a schema.
            ValueError: `k` is no whole number from 1, or `at` is in no known format.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a whole number from 1, got {k!r}")
        started, situation = time.perf_counter(), as_context(context)
        request = Request(identifier(user_id), self._moment(at, situation), situation, k)
        clock = StageClock(on_step)
        try:
            found = self._pipeline.invoke(request, {"callbacks": [clock.handler()]})
        except BudgetError as error:  # the rest of the answer needs no model
            without = build_pipeline(self.store, None, self._config, self._fitted)
            found = without.invoke(request, {"callbacks": [clock.handler()]})
            answer = self._answer(found, started, clock.seconds)
            return answer.model_copy(update={"warnings": (*answer.warnings, f"without the language model: {error}")})
        return self._answer(found, started, clock.seconds)

    def _answer(self, found: Mapping[str, Any], started: float, seconds: Mapping[str, float]) -> Recommendations:
        request: Request = found["request"]
        usages = {stage: found[name].usage for name, stage in STAGES.items()}
        usage = sum(usages.values(), Usage())
        warnings = list(dict.fromkeys(warning for name in STAGES for warning in found[name].warnings))
        if usage.generations and usage.misfits == usage.generations:
            raise ModelError(
                f"none of the {usage.misfits} replies of the language model fitted its schema ({warnings[0]}): "
                "use another model, or --llm none"
            )
        warnings += _unmet(request.context, found["recall"].history)
        if request.user_id and not found["recall"].history:
            warnings.append(f"nothing is known of user {request.user_id!r} before {iso(request.at)}")
        if len(found["explained"].recommendations) < request.k:
            warnings.append(
                f"only {len(found['explained'].recommendations)} items fit, {request.k} were asked for: the others "
                "were met before, refused, or are too like these"
            )
        return Recommendations(
            user_id=request.user_id,
            at=request.at,
            summary=found["summary"].text,
            shift=found["prediction"].shift,
            recommendations=found["explained"].recommendations,
            usage=RequestUsage(
                **_spent(usage, time.perf_counter() - started),
                stages={stage: StageUsage(**_spent(usages[stage], seconds[stage])) for stage in usages},
            ),
            warnings=tuple(warnings),
        )

    def rank(self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None) -> list[str]:
        """Ids of all candidates, the best first. The history runs from the first event to the last.

        What the store's log knows of these items counts too, up to the last time in the history.

        Raises:
            ValueError: two candidates have one id.
        """
        return [entry.candidate.item.item_id for entry in self.ranking(history, candidates, context).ranked]

    def ranking(self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None) -> Ranking:
        """The same with scores, signals, the shift, usage and warnings. Refused candidates come last.

        Raises: as `rank`.
        """
        if len({item.item_id for item in candidates}) < len(candidates):
            raise ValueError("candidates repeat an item_id")
        situation = as_context(context)
        events, before = self._as_of(history, situation)
        history = followed(events)
        prediction = self._predict(history, situation, candidates)
        refusal = Refusal.of(situation.avoid, {})
        out = {item.item_id for item in candidates if refusal.covers(item) or not situation.admits(item)}
        allowed = [item for item in candidates if item.item_id not in out]
        refused = [item for item in candidates if item.item_id in out]
        vectors = _vectors([*history, *candidates])
        statistics = ItemStatistics.of(self._log, history, before=before, embeddings=self._fitted.embeddings)
        known = as_candidates(allowed, vectors, statistics)
        ranking = self._ranked(
            known, kind_of_given(known) if known else "cold", history, situation, prediction, vectors
        )
        lowest = min((entry.score for entry in ranking.ranked), default=0.0) - 1
        last = [Ranked(Candidate(item, vectors[item.item_id]), lowest, {"refused": lowest}) for item in refused]
        return replace(ranking, ranked=(*ranking.ranked, *last))

    def choose(
        self, history: Sequence[Item], context: Situation = None, *, without: Sequence[str] = (), n: int = 200
    ) -> Ranking:
        """The best `n` items of the whole catalogue for a history, without those that it holds and those of `without`.

        Raises:
            StoreError: there is neither a store nor a library.
        """
        library, situation = self._library or self.store, as_context(context)
        events, before = self._as_of(history, situation)
        history = followed(events)
        prediction, vectors = self._predict(history, situation, ()), _vectors(history)
        candidates = retrieve(
            library,
            Query(
                history,
                before=before,
                interest=self._interest(history, situation, prediction, vectors),
                expected=prediction.topics,
                embeddings=self._fitted.embeddings,
                without=(*without, *situation.unavailable, *turned_from(events)),
            ),
            weights=self._fitted.fusion.channels,
            avoid=situation.avoid,
            max_price=situation.max_price,
            n=n,
            by_title=False,
        )
        return self._ranked(candidates, "retrieved", history, situation, prediction, vectors)

    def _ranked(
        self,
        candidates: Sequence[Candidate],
        where: CandidateKind,
        history: Sequence[Item],
        situation: Context,
        prediction: Prediction,
        vectors: Mapping[str, Vectors],
    ) -> Ranking:
        ranking = rank(
            candidates,
            where=where,
            history=history,
            interest=self._interest(history, situation, prediction, vectors),
            expected=prediction.topics,
            wish=situation.query,
            shift=prediction.shift,
            fusion=self._fitted.fusion,
            click_rates=self._fitted.click_rates,
            llm=self._llm,
            config=self._config.rank.model_copy(update={"weighed": min(len(candidates), MOST_WEIGHED)}),
            language=self._config.language,
        )
        return replace(
            ranking,
            usage=prediction.usage + ranking.usage,
            warnings=(*prediction.warnings, *ranking.warnings),
            p_topic_change=prediction.p_topic_change,
        )

    def _interest(
        self, history: Sequence[Item], situation: Context, prediction: Prediction, vectors: Mapping[str, Vectors]
    ) -> Interest:
        return interest_of(
            history,
            vectors,
            predicted=list(encode(prediction.shift.to_topics)) if prediction.shift.to_topics else [],
            query=situation.query,
            liked=[vectors[item_id] for item_id in situation.more if item_id in vectors],
        )

    def _as_of(self, history: Sequence[Item], context: Context) -> tuple[Sequence[Item], float]:
        """What of a history lies before the moment of the context, if it tells one, and up to when the log counts: to
        that moment, else that of a store to the end of the history; a library is given as of the request."""
        if (moment := context.moment) is not None:
            return [item for item in history if item.time is None or item.time < moment], moment
        times = [item.time for item in history if item.time is not None]
        return history, max(times) if self._store and times else float("inf")

    @property
    def _log(self) -> InteractionLog:
        return self._library.log if self._library else NO_LOG

    @cached_property
    def _habits(self) -> TopicHabitsOverTime:
        return TopicHabitsOverTime(self._log)

    @cached_property
    def _fitted(self) -> Fitted:
        found = self._given_fitted or (Fitted.load(self._store.fitted) if self._store else Fitted.default())
        return found.for_log(self._log)

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
        """What a person did, at once part of their history and taste, of popularity and of what goes with what.

        `at` is the moment, by default the clock's; `event` a word as `click`, `purchase` or `rating`. One of
        `tools.records.DISLIKED` (`dislike`, `skip`, `return`) takes the item out of what is followed and recommended.
        The person may be new, the item must be in the store.

        Raises:
            DataError: no such item, or a value makes no sense.
            ValueError: `at` is in no known format.
        """
        when = time.time() if at is None else parse_time(at)
        given = {"user_id": user_id, "item_id": item_id, "time": when, "event": event, "rating": rating}
        try:
            told = Event.model_validate(given | {"context": dict(context or {})})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DataError(f"feedback {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        self.store.add(told.user_id, Occurrence(told.time, told.item_id, told.event, told.rating, told.context or None))
        self._drop_derived()

    def forget(self, user_id: str) -> int:
        """Remove a person's events from the store; returns how many there were.

        What was learned from the log (`fitted`) holds no events and stays; rejected rows are in `rejects`.

        Raises:
            DataError: no such user.
        """
        count = self.store.forget(identifier(user_id))
        self._drop_derived()
        return count

    def _drop_derived(self) -> None:
        """What was counted from the log is counted anew when it is asked for."""
        self.__dict__.pop("_habits", None)

    def predict_shift(self, history: Sequence[Item], context: Situation = None) -> Shift:
        """The shift of interest at the end of a history, which runs from the first event to the last."""
        return self._predict(history, as_context(context), ()).shift

    def _predict(self, history: Sequence[Item], context: Context, candidates: Sequence[Item]) -> Prediction:
        """A wish may mean any topic of the history or of the candidates."""
        if (moment := context.moment) is not None:  # what happened later is not known then
            history = [item for item in history if item.time is None or item.time < moment]
        history = _with_topics(followed(history))
        times = [item.time for item in history if item.time is not None]
        at = moment or (times[-1] if times else None)
        names = sorted({topic for item in (*history, *candidates) for topic in item.topics}) if context.query else []
        return predict_shift(
            history,
            ShiftQuery(
                at=at,
                context=context,
                topic_vectors=dict(zip(names, encode(names), strict=True)),
                habits=self._habits.before(max(times, default=moment or np.inf)) if self._log.item_ids else None,
            ),
            model=ModelAccess(self._llm, self._config.language),
            topics=self._fitted.topics,
        )

    def timeline(self, user_id: str, at: object = None, context: Situation = None) -> Timeline:
        """How the user's interest moved before `at` (as in `recommend`), period by period, and where it goes now.

        The context is the present one: it bears on the shift as of `at` alone, as does the language model.

        Raises:
            DataError: no such user.
            TypeError: `context` is no mapping.
            ModelError: the model cannot be reached.
            ValueError: `at` is in no known format.
        """
        situation = as_context(context)
        user, before = identifier(user_id), self._moment(at, situation)
        history = self.store.history(user, before=before)
        present = predict_shift(
            history,
            ShiftQuery(
                at=before,
                context=situation,
                topic_vectors=self.store.topic_vectors(before=before) if situation.query else {},
                habits=self.store.habits(before=before),
            ),
            model=ModelAccess(self._llm, self._config.language),
            topics=self._fitted.topics,
        )
        found = timeline_of(
            history, present, user_id=user, at=before, language=self._config.language, topics=self._fitted.topics
        )
        ahead = outlook(self.store.log, self.store.fitted, user, before=before)
        warnings = (*found.warnings, *_unmet(situation, history))
        return found.model_copy(update={"warnings": warnings, "outlook": ahead})

    def chat(self, user_id: str, at: object = None, k: int = 5) -> "Session":
        """A conversation with or on behalf of a user."""
        from whimbrel.agent.chat.session import Session

        return Session(self, identifier(user_id), at=self.now() if at is None else parse_time(at), k=k)

    def _moment(self, at: object, context: Context) -> float:
        """The moment asked about: `at`, else that of the context, else now."""
        if at is not None:
            return parse_time(at)
        return self.now() if context.moment is None else context.moment

    def now(self) -> float:
        """The clock's time; for a log that ended over a week ago, just after its last event."""
        end = self.store.log.end
        clock = time.time()
        return clock if end is None or clock - end <= LIVE_SECONDS else end + 1


def _vectors(items: Sequence[Item]) -> dict[str, Vectors]:
    return dict(zip([item.item_id for item in items], item_vectors(items), strict=True))


def _with_topics(history: Sequence[Item]) -> Sequence[Item]:
    """The history; where none of it bears a topic, with clusters of its titles for topics."""
    if any(item.topics for item in history):
        return history
    distinct = list({item.item_id: item for item in history}.values())
    if len(distinct) < LEAST_ITEMS:
        return history
    return with_topics(history, name_clusters(distinct, item_vectors(distinct)))


def _unmet(context: Context, history: Sequence[Interaction]) -> list[str]:
    """A warning where the history never saw the situation."""
    unknown = [
        f"{key} {value}"
        for key, value in context.situation.items()
        if not any(event.context.get(key) == value for event in history)
    ]
    if not unknown or not history:
        return []
    return [f"no event of this user was with {', '.join(unknown)}: it changes nothing"]


def _spent(usage: Usage, seconds: float) -> dict[str, Any]:
    known = {name: value for name, value in vars(usage).items() if name in StageUsage.model_fields}
    return known | {"seconds": round(seconds, 3)}
