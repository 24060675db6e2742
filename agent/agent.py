"""The agent: the Python interface to a store of items and interactions, with a language model."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from pydantic import ValidationError

from whimbrel.agent.answers import answer_of, audit_entry, unseen_situation
from whimbrel.agent.elsewhere import Elsewhere
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.forgetting import Receipt, forget_person
from whimbrel.agent.language_models.access import ModelAccess, TunedAccess
from whimbrel.agent.language_models.adapter import other_base, tuned
from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.language_models.observed_model import ObservedModel
from whimbrel.agent.language_models.option_scores import likelihood_prompt
from whimbrel.agent.language_models.protocol import LanguageModel, Tier
from whimbrel.agent.language_models.specs import as_model, open_model
from whimbrel.agent.learning.trials import Trials, use_history, use_weights
from whimbrel.agent.moment import given_moment, now_of
from whimbrel.agent.pipeline import RANK, RECOMMEND, SHIFT, run
from whimbrel.agent.policed import under_policy, with_disclosures
from whimbrel.agent.public_titles import PublicTitles
from whimbrel.agent.ranking.rank import Ranking
from whimbrel.agent.reading.tiers import tier_of
from whimbrel.agent.schema.context import Context, as_context
from whimbrel.agent.schema.results import Recommendations, Shift
from whimbrel.agent.shift.forecast import forecast_topics
from whimbrel.agent.shift.timeline import Timeline, timeline_of
from whimbrel.agent.state import PipelineConfig, Request, Resources, State
from whimbrel.agent.transfer import moved, read_fit, require_earlier, require_encoder
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.errors import ConfigError, InvalidValueError, ModelError, StoreError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Event, Interaction, Item, Occurrence, identifier
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.without_topics import WithoutTopics
from whimbrel.tools.store.audit_log import append_to_audit, remove_audit
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.text.sensitive_topics import marked_topics, names_of_topics
from whimbrel.tools.timestamps import iso, parse_time

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from whimbrel.agent.chat.session import Kept, Session
    from whimbrel.agent.middleware import RunBudget, WhimbrelMiddleware
    from whimbrel.agent.schema.policy import Policy

Situation = Context | Mapping[str, object] | None
MOST_VIEWS = 8
"""Views without sensitive topics that are kept, one for each set of topics. Each has a log and its counts."""
MOST_AHEAD = 300
"""Feedback may be dated so many seconds after the clock, since the clocks of two machines differ."""


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
        trials: Trials | None = None,
    ) -> None:
        """Make an agent from parts that are already open. `Agent.open` also opens them.

        Args:
            catalogue: The source of items and interactions; None for an empty one.
            llm: The language model, or None to work without one.
            config: The settings that are not learned.
            fitted: The learned models. By default they are read from the store, or the shipped ones are used.
            owns_llm: Whether `close` closes the language model too.
            trials: What comes from another store: weights, or histories.
        """
        self._catalogue = catalogue or InMemory([], InteractionLog.build([], []), timed=True)
        self._llm = llm
        self._config = config or PipelineConfig()
        self._given_fitted = fitted
        self._owns_llm = owns_llm
        self._trials = trials
        self._tier: Tier | None = None
        self._tuned: LanguageModel | None = None
        self._without: dict[frozenset[str], Agent] = {}

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
        fitted: str | Path | None = None,
        also_history: str | Path | None = None,
    ) -> Self:
        """Open a store and a language model.

        Args:
            store: A folder, the address of a Chroma server, or None for no interactions at all.
            llm: A model spec, a LangChain chat model, or a `LanguageModel` of your own.
            config: The settings that are not learned.
            budget: What a hosted model may cost.
            remember: Whether replies are kept on disk and reused. By default only those of hosted models are.
            tell: Called with a progress message if opening the model, or a trial, takes long.
            fitted: A folder that `whimbrel fit --out` wrote for another store, whose weights are used here.
            also_history: Another store, in which people of this one may have a history.

        Raises:
            StoreError: there is no such store, or it cannot be opened.
            ConfigError: `llm` is not a valid model spec, or both stores are the same.
            DataError: `fitted` is no fit, or what comes from elsewhere has another text encoder.
            ModelError: the model cannot be loaded.
        """
        with ExitStack() as opened:
            of_store = opened.enter_context(open_store(store)) if store is not None else None
            trials = _trials(of_store, fitted, also_history, opened, tell)
            if isinstance(llm, str):
                model = open_model(llm, budget=budget, remember=remember, tell=tell)
            elif budget and budget != Budget():
                raise ConfigError("a budget is kept for models named by a spec: set a limit on this model itself")
            else:
                model = as_model(llm, remember=bool(remember))
            agent = cls(of_store, model, config, owns_llm=isinstance(llm, str), trials=trials)
            opened.pop_all()  # the agent closes them
            return agent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. Close the language model too if this agent opened it."""
        if (stored := self._stored) is not None:
            stored.close()
        if self._trials and self._trials.elsewhere and isinstance(self._trials.elsewhere.catalogue, Store):
            self._trials.elsewhere.catalogue.close()
        for llm in (self._tuned, self._llm if self._owns_llm else None):
            if close := getattr(llm, "close", None):
                close()

    def drop_prompts(self) -> None:
        """Let the language model forget the earlier prompts, so that no answer depends on them."""
        for llm in (self._llm, self._tuned):
            if llm is not None:
                llm.forget()

    @property
    def store(self) -> Store:
        """The store that this agent was opened with.

        Raises:
            StoreError: the agent was opened without a store.
        """
        if (stored := self._stored) is None:
            raise StoreError("this agent has no store: give one to Agent.open")
        return stored

    @property
    def _stored(self) -> Store | None:
        """The store, without sensitive topics if this agent is; None if there is no store."""
        catalogue = self._catalogue
        whole = catalogue.whole if isinstance(catalogue, WithoutTopics) else catalogue
        return cast("Store", catalogue) if isinstance(whole, Store) else None

    def for_person(self, user_id: str, more: Sequence[str] = ()) -> "Agent":
        """Return the agent that knows nothing of the topics that are sensitive.

        Args:
            user_id: Topics that this person marked are sensitive, beside those of everybody.
            more: Further topics.
        """
        catalogue = self._catalogue
        if isinstance(catalogue, WithoutTopics):
            return self
        sensitive = marked_topics(catalogue.marks, user_id, more)
        if not sensitive:
            return self
        if (kept := self._without.get(sensitive.names)) is None:
            while len(self._without) >= MOST_VIEWS:
                self._without.pop(next(iter(self._without)), None)
            view = WithoutTopics(catalogue, sensitive)
            kept = Agent(view, self._llm, self._config, fitted=self._given_fitted, trials=self._trials)
            kept._tier, kept._tuned = self._tier, self._tuned  # measured and opened once for all views
            self._without[sensitive.names] = kept
        return kept

    @property
    def _resources(self) -> Resources:
        prepared = self._prepared
        return replace(prepared, model=replace(prepared.model, tier=self._config.tier or self._measured_tier()))

    def _measured_tier(self) -> Tier:
        """Return the model's tier. A model that cannot be reached counts as the lowest one, and is measured again."""
        if self._tier is None:
            try:
                self._tier = tier_of(self._llm)
            except ModelError:
                return "fills"
        return self._tier

    @cached_property
    def _prepared(self) -> Resources:
        catalogue, llm, language = self._catalogue, self._llm, self._config.language
        stored = self._stored
        fitted = self._given_fitted or (Fitted.load(stored.fitted) if stored else Fitted.default())
        cache = stored.number_cache(f"{llm.digest}|{likelihood_prompt(language).name}") if stored and llm else None
        if llm is not None:
            # Imported here, since the patterns of personal data take 10 ms to compile.
            from whimbrel.agent.language_models.private_model import know_public

            know_public(llm, PublicTitles(catalogue))
        say = load_phrases(language, catalogue.zone)
        note = other_base(llm, fitted.adapter, say) if llm is not None and fitted.adapter is not None else ""
        tuned_access = None if note else self._tuned_access(fitted)
        access = ModelAccess(_observed(llm), language, cache, tuned=tuned_access, note=note, zone=catalogue.zone)
        return Resources(catalogue, fitted.for_catalogue(catalogue), access, self._config)

    def _tuned_access(self, fitted: Fitted) -> TunedAccess | None:
        """Open this agent's model as it was tuned on the log; None if it was not tuned."""
        adapter, llm, stored = fitted.adapter, self._llm, self._stored
        if adapter is None or llm is None:
            return None
        self._tuned = self._tuned or tuned(llm, adapter)
        cache = f"{self._tuned.digest}|{likelihood_prompt(self._config.language).name}"
        return TunedAccess(
            ObservedModel(self._tuned), adapter.facts.until, stored.number_cache(cache) if stored else None
        )

    def run(
        self,
        request: Request,
        stages: Sequence[str] = RECOMMEND,
        *,
        on_step: Callable[[str], None] | None = None,
    ) -> State:
        """Run stages of the pipeline on a request. The methods that recommend, rank or predict call this one.

        Raises:
            DataError: no such user.
        """
        if (stored := self._stored) is not None:
            stored.refresh()
        agent = self.for_person(request.user_id)
        if agent is not self:
            return agent.run(request, stages, on_step=on_step)
        if self._catalogue.sensitive:
            request = replace(request, context=self._without_sensitive(request.context))
        return run(request, self._resources_for(request)[0], stages, on_step=on_step)

    def _resources_for(self, request: Request) -> tuple[Resources, tuple[str, ...]]:
        """Return what answers a request, and why what comes from another store is not part of it."""
        resources, trials = self._resources, self._trials
        if trials is None:
            return resources, ()
        before = np.inf if request.at is None else request.at
        is_moved, notes = use_weights(trials, before, resources.model.say)
        fitted = self._moved if is_moved else resources.fitted
        elsewhere, more = use_history(trials, request, before, fitted, resources.model.say)
        return replace(resources, fitted=fitted, elsewhere=elsewhere), (*notes, *more)

    @cached_property
    def _moved(self) -> Fitted:
        """What was learned in another store, in the item order of this one."""
        fitted = (self._trials and self._trials.fitted) or Fitted.default()
        return fitted.for_log(self._catalogue.log)

    def _without_sensitive(self, context: Context) -> Context:
        """Return a context without texts that name a sensitive topic, and without items that have one."""
        context = context.without(self._catalogue.sensitive.covers)
        known = self._catalogue.items(context.more)
        return context.model_copy(update={"more": tuple(item_id for item_id in context.more if item_id in known)})

    def recommend(
        self,
        user_id: str,
        at: object = None,
        context: Situation = None,
        k: int = 10,
        *,
        policy: "Policy | None" = None,
        facts: Mapping[str, tuple[str, ...]] | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> Recommendations:
        """Recommend up to `k` items that are new to the user at the time `at`, each with its reason.

        Args:
            user_id: The user whose history is read; "" for a new user.
            at: The requested time: ISO 8601, Unix seconds or a `datetime`. Only earlier events are used. By default it
                is the `time` of the context if that is a date, else the time that `now` returns.
            context: The situation, a wish and refusals (see `Context`).
            k: The length of the list.
            policy: The operator's rules (see `agent.schema.policy`). Items behind a gate are left out, since nobody is
                asked.
            facts: What is known of the user and the policy needs, keyed by name.
            on_step: Called with the name of each stage when the stage ends.

        Raises:
            DataError: no such user.
            TypeError: `context` is not a mapping.
            ValueError: `k` is not a positive integer, or the format of `at` is unknown.
        """
        _check_length(k)
        if user_id and self._trials and self._trials.elsewhere:
            self._trials.elsewhere.require(identifier(user_id))
        started, situation = time.perf_counter(), as_context(context)
        agent = self.for_person(identifier(user_id), policy.sensitive if policy else ())
        if policy:
            situation = under_policy(situation, policy, facts or {}, agent.store)
            k = 1 if policy.one_at_a_time else k
        request = Request(identifier(user_id), at=self._moment(at, situation), context=situation, k=k)
        state = agent.run(request, on_step=on_step)
        say = agent._resources.model.say
        answer = answer_of(state, time.perf_counter() - started, say)
        notes = agent._resources_for(request)[1]  # the verdicts are kept, so this takes no time
        answer = answer.model_copy(update={"warnings": (*answer.warnings, *notes)})
        if state.request.context != situation:
            answer = answer.model_copy(update={"warnings": (*answer.warnings, say.notes.sensitive)})
        if policy:
            answer = with_disclosures(answer, policy, facts or {}, agent.store, say)
        if request.user_id and (stored := self._stored) is not None and stored.settings.is_audited:
            append_to_audit(stored.folder, request.user_id, audit_entry(answer, self._llm))
            if request.user_id not in stored.log.user_rows:  # the person was forgotten meanwhile
                remove_audit(stored.folder, request.user_id)
        return answer

    def as_runnable(self) -> "Runnable[str | dict[str, Any], Recommendations]":
        """Return the agent as a LangChain Runnable: `invoke`, `ainvoke`, `batch` and `stream`.

        Its input is the id of a person, or a dict of `user_id`, `at`, `context` and `k`, as `recommend` takes them.

        Example:
            ```python
            agent.as_runnable().batch(["42", {"user_id": "7", "context": {"query": "a gift"}, "k": 5}])
            ```
        """
        from whimbrel.agent.runnables import runnable_of

        return runnable_of(self)

    def as_retriever(self, user_id: str = "", k: int = 10) -> "BaseRetriever":
        """Return a LangChain retriever, for which a question is a wish of one person and a document is an item.

        Args:
            user_id: The person; "" for somebody new.
            k: The most documents.
        """
        from whimbrel.agent.runnables import retriever_of

        _check_length(k)
        return retriever_of(self, identifier(user_id), k)

    def as_chat(
        self,
        user_id: str | None = None,
        checkpointer: "BaseCheckpointSaver[Any] | None" = None,
        *,
        at: object = None,
        k: int = 5,
        policy: "Policy | None" = None,
        facts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> "CompiledStateGraph[Any, Any, Any, Any]":
        """Return conversations as threads of LangGraph, which a checkpoint saver keeps.

        `configurable` of a call's configuration holds `thread_id`, and `user_id` unless it is given here. The messages
        that are sent cannot change the person. A thread is that of one person.

        Args:
            user_id: The person of all threads; "" for somebody new. By default the configuration names them.
            checkpointer: Any saver of LangGraph. Without one, each call is a conversation of its own.
            at: The moment of all answers, as in `chat`.
            k: The length of a list.
            policy: The operator's rules.
            facts: What is known of the person and the policy needs, keyed by name.

        Example:
            ```python
            chat = agent.as_chat(checkpointer=InMemorySaver())
            thread = {"configurable": {"thread_id": "1", "user_id": "42"}}
            print(chat.invoke({"messages": [("user", "something for tea")]}, thread)["messages"][-1].text)
            ```
        """
        from whimbrel.agent.chat.threads import talk_graph

        def is_known(person: str) -> bool:
            return person in self.store.log.user_rows

        return talk_graph(
            lambda person, kept: self.chat(person, at, k, policy=policy, facts=facts, session=kept),
            is_known,
            user_id=None if user_id is None else identifier(user_id),
            checkpointer=checkpointer,
        )

    def as_middleware(self, budget: "RunBudget | None" = None) -> "WhimbrelMiddleware":
        """Return a middleware for agents of LangChain that knows which names in this store's titles are public.

        Args:
            budget: What one run may cost (see `WhimbrelMiddleware`).
        """
        from whimbrel.agent.middleware import WhimbrelMiddleware

        return WhimbrelMiddleware(budget, is_public=PublicTitles(self._catalogue))

    def rank(
        self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None, *, at: object = None
    ) -> list[str]:
        """Rank candidates for a history. Return the ids of all candidates, the best first.

        Refused candidates come last. Statistics of the candidates in the log count too, up to the requested time.

        Args:
            history: The user's events, oldest first. They are not looked up in the store.
            candidates: The items to rank.
            context: The situation, a wish and refusals (see `Context`).
            at: The requested time. By default it is the `time` of the context if that is a date, else the last time in
                the history.

        Raises:
            ValueError: two candidates have the same id.
        """
        return [entry.candidate.item.item_id for entry in self.ranking(history, candidates, context, at=at).ranked]

    def ranking(
        self, history: Sequence[Item], candidates: Sequence[Item], context: Situation = None, *, at: object = None
    ) -> Ranking:
        """Rank candidates as `rank` does, with scores, signals, usage and warnings."""
        if len({item.item_id for item in candidates}) < len(candidates):
            raise ValueError("two candidates have the same item_id")
        situation = as_context(context)
        moment = given_moment(at, situation)
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
        """Retrieve candidates from the whole catalogue for a history, and rank them.

        Args:
            history: The user's events, oldest first.
            context: The situation, a wish and refusals (see `Context`).
            k: The length of `Ranking.list`. The other candidates follow the list in `Ranking.ranked`.
            at: The requested time, as in `rank`.
            without: Ids of further items that must not be recommended. Items of the history never are.
        """
        request = history_request(history, context, at=at, k=k)
        return self.run(replace(request, without=without), RANK).ranking

    def predict_shift(self, history: Sequence[Item], context: Situation = None, *, at: object = None) -> Shift:
        """Predict the interest shift at the end of a history, whose events are ordered oldest first."""
        return self.run(history_request(history, context, at=at), SHIFT).prediction.shift

    def timeline(
        self, user_id: str, at: object = None, context: Situation = None, *, policy: "Policy | None" = None
    ) -> Timeline:
        """Show how the user's interest moved in each period before `at`, and the shift predicted at `at`.

        The context and the language model are used only for the shift at `at`. Earlier periods do without them.

        Args:
            user_id: The user whose history is read.
            at: The requested time, as in `recommend`.
            context: The situation and a wish.
            policy: The operator's rules. Its sensitive topics are not named.

        Raises:
            DataError: no such user.
            TypeError: `context` is not a mapping.
            ValueError: the format of `at` is unknown.
        """
        agent = self.for_person(identifier(user_id), policy.sensitive if policy else ())
        if agent is not self:
            return agent.timeline(user_id, at, context)
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
            zone=self._catalogue.zone,
        )
        ahead = forecast_topics(self.store.log, self.store.fitted, user, before=before)
        warnings = (*timeline.warnings, *unseen_situation(situation, history, self._resources.model.say))
        return timeline.model_copy(update={"warnings": warnings, "outlook": ahead})

    def chat(
        self,
        user_id: str = "",
        at: object = None,
        k: int = 5,
        *,
        policy: "Policy | None" = None,
        facts: Mapping[str, tuple[str, ...]] | None = None,
        session: "str | Kept" = "",
    ) -> "Session":
        """Start a conversation, or resume one.

        Args:
            user_id: The user; "" for a new user.
            at: The moment of all answers, as in `recommend`.
            k: The length of a list.
            policy: The operator's rules (see `agent.schema.policy`).
            facts: What is known of the user and the policy needs, keyed by name.
            session: A name under which the conversation is saved after each turn, or where else it is kept. One of
                this name is resumed. By default nothing is saved.

        Raises:
            ConfigError: The name is not valid.
            DataError: The saved conversation is damaged.
            StoreError: A name is given, and nothing can be written to the store.
        """
        from whimbrel.agent.chat.answering import Answerer
        from whimbrel.agent.chat.model_reader import ModelReader
        from whimbrel.agent.chat.saved_talks import SavedTalk
        from whimbrel.agent.chat.session import Session

        user_id, model = identifier(user_id), self._resources.model
        moment = self.now() if at is None else parse_time(at)
        if isinstance(session, str) and session:
            self.store.require_writable()
            session = SavedTalk(self.store.folder, user_id, session)

        def current() -> Agent:
            return self.for_person(user_id, policy.sensitive if policy else ())

        def answerer() -> Answerer | None:
            if not model.reads:
                return None
            from whimbrel.agent.toolbox import toolbox

            # The tools know no policy, so they are not used under one.
            agent = current()
            has_tools = user_id in agent.store.log.user_rows and not (policy and (policy.require or policy.gate))
            return Answerer(model, toolbox(agent, user_id, moment) if has_tools else ())

        return Session(
            current,
            user_id,
            at=moment,
            k=k,
            language=self._config.language,
            policy=policy,
            facts=facts,
            read=ModelReader(model),
            answerer=answerer,
            saved=session or None,
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
    ) -> str:
        """Record what a user did. The history, popularity and co-occurrence include the event at once.

        Args:
            user_id: The user, who may be new.
            item_id: An item of the store.
            event: A word such as `click`, `purchase` or `rating`. A word that means "turned-away" (`dislike`,
                `skip`, `return`) removes the item from the history that is read and from recommendations.
            at: The time of the event; by default the clock's time. It must not lie in the future.
            rating: The user's rating, if any.
            context: The situation, as strings keyed by name.

        Returns:
            The id of the event.

        Raises:
            DataError: the item does not exist.
            InvalidValueError: a value is invalid, or `at` lies over five minutes in the future.
            ValueError: the format of `at` is unknown.
        """
        now = time.time()
        when = now if at is None else parse_time(at)
        if when > now + MOST_AHEAD:  # it would move the present of everybody
            raise InvalidValueError(
                f"feedback time: {iso(when)} is in the future: give a time that has passed, or none"
            )
        fields = {"user_id": user_id, "item_id": item_id, "time": when, "event": event, "rating": rating}
        try:
            checked = Event.model_validate(fields | {"context": dict(context or {})})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InvalidValueError(f"feedback {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        occurrence = Occurrence(
            checked.time, checked.item_id, checked.event, checked.rating, checked.context or None, is_feedback=True
        )
        self.store.add(checked.user_id, occurrence)
        return checked.event_id

    def withdraw(self, user_id: str, event: Interaction) -> None:
        """Remove one event of a user from the store, such as a reaction that no longer holds.

        Raises:
            DataError: no such user.
        """
        self.store.remove(identifier(user_id), (event.time, event.item_id, event.event))

    def forget(self, user_id: str) -> Receipt:
        """Remove a user for good: from the store, from what was learned, and from the caches of this machine.

        Closing the agent removes the bytes from the files of a store in a folder.

        Raises:
            DataError: no such user.
            StoreError: another process is writing.
        """
        return forget_person(self.store, identifier(user_id))

    def mark_sensitive(self, topics: Iterable[str], user_id: str = "") -> tuple[str, ...]:
        """Mark topics as sensitive: they are never inferred, shifted to, named or sent.

        A topic covers every item that has its name as words in its title, topics or fields. Earlier marks are replaced.

        Args:
            topics: Names of topics, at most 1,000.
            user_id: For whom they are sensitive; "" for everybody.

        Returns:
            The topics that are marked now.

        Raises:
            ConfigError: a name is empty or longer than 200 characters, or there are too many.
            StoreError: nothing can be written to the store.
        """
        names, user = names_of_topics(topics), identifier(user_id)
        self.store.require_writable()
        self.store.settings.set_sensitive(names, user)
        return self.store.settings.sensitive(user)

    def now(self) -> float:
        """Return the clock's time, or one second after the last event if the log ended over a week ago."""
        return now_of(self._catalogue.log)

    def _moment(self, at: object, context: Context) -> float:
        moment = given_moment(at, context)
        if self._trials and self._trials.fitted:
            # A log that ended long ago stands for the present. Only who names a moment asks about the past.
            require_earlier(self._trials.fitted, moment, self._trials.name)
        return self.now() if moment is None else moment


def history_request(
    history: Sequence[Item],
    context: Situation = None,
    *,
    at: object = None,
    k: int = 10,
    candidates: Sequence[Item] | None = None,
) -> Request:
    """Return the request for a history that the caller supplies.

    Args:
        history: The user's events, oldest first.
        context: The situation, a wish and refusals (see `Context`).
        at: The requested time. By default it is the `time` of the context if that is a date, else the last time in
            the history.
        k: The length of the list. It is ignored if `candidates` are supplied, since all of them are listed.
        candidates: The items to rank; None for the whole catalogue.
    """
    _check_length(k)
    situation = as_context(context)
    length = k if candidates is None else max(len(candidates), 1)
    moment = given_moment(at, situation)
    return Request(history=history, at=moment, context=situation, candidates=candidates, k=length)


def _trials(
    store: Store | None,
    fitted: str | Path | None,
    also_history: str | Path | None,
    opened: ExitStack,
    tell: Callable[[str], None] | None,
) -> Trials | None:
    """Open what comes from another store."""
    if fitted is None and also_history is None:
        return None
    if store is None:
        raise ConfigError("what comes from another store needs a store to be used in")
    elsewhere = None
    if also_history is not None:
        if Path(also_history).resolve() == store.folder.resolve():
            raise ConfigError(f"{str(also_history)!r} is this very store: name another one for the history elsewhere")
        elsewhere = Elsewhere(opened.enter_context(open_store(also_history)), str(also_history))
        require_encoder(elsewhere.name, elsewhere.catalogue.encoder.name, store)
    of_source = read_fit(Path(fitted)) if fitted is not None else None
    usable = moved(of_source, store, Fitted.load(store.fitted), str(fitted)) if of_source else None
    return Trials(store, usable, str(fitted or ""), elsewhere, tell or (lambda words: None))


def _observed(llm: LanguageModel | None) -> LanguageModel | None:
    return None if llm is None else ObservedModel(llm)


def _check_length(k: object) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number from 1, got {k!r}")
