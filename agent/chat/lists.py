"""Make the list that answers a line, or ask what must be known before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from whimbrel.agent.chat.lexicon import language_of
from whimbrel.agent.chat.questions import narrowing_question
from whimbrel.agent.chat.reading import LineReading, Question
from whimbrel.agent.chat.state import TalkState
from whimbrel.agent.chat.turn import Memory
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.agent.chat.words import condition_words, field_words
from whimbrel.agent.policed import ids_where_any
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.policy import Policy
from whimbrel.agent.schema.results import Recommendations
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.conditions import Condition
from whimbrel.tools.log.interaction_log import InteractionLog, Ints
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.retrieval.field_table import FieldTable
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

MOST_QUESTIONS = 5
"""A conversation asks at most so many questions that only narrow the choice."""
MANY = 3
"""Beside a list, a narrowing question is asked if more than this many times its length fits."""


NEAR, NEAR_CHINESE = 0.3, 0.5
"""A wish of which the catalogue has no word is understood if its cosine with the nearest item is at least this.

Of 200 Chinese wishes in a shop of 240 items (`whimbrel eval wishes`), 98% reach .53. None of 23 lines of noise does.
The English bound was chosen on 30 wishes and 24 lines of noise, which overlap.
"""


class CatalogueOfTalk(Protocol):
    """The part of a store that a session needs."""

    @property
    def fields(self) -> FieldTable:
        """The fields of all items."""

    @property
    def log(self) -> InteractionLog:
        """The interactions of all users."""

    @property
    def sensitive(self) -> SensitiveTopics:
        """Topics that a conversation does not speak of."""

    @property
    def zone(self) -> tzinfo:
        """The zone in which the people live."""

    @property
    def min_people(self) -> int:
        """How many people must have met an item before it is shown to others."""

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the vectors of topics."""

    def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Return the items of these ids."""

    def history(self, user_id: str) -> Sequence[Any]:
        """Return the events of a user in order of time."""

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return, for each vector, the ids of up to `n` nearest items with their cosines, the nearest first."""

    def topic_vectors(self, *, before: float) -> Mapping[str, Vectors]:
        """Return the unit vectors of the topics known before a moment, keyed by topic."""


class Recommender(Protocol):
    """The part of an agent that a session needs."""

    @property
    def store(self) -> CatalogueOfTalk:
        """The store that the agent recommends from."""

    def recommend(self, user_id: str, at: object, context: Context, k: int) -> Recommendations:
        """Recommend `k` items; see `Agent.recommend`."""

    def feedback(self, user_id: str, item_id: str, event: str, at: object = None) -> object:
        """Record what a user did; see `Agent.feedback`."""

    def withdraw(self, user_id: str, event: Interaction) -> None:
        """Remove one event of a user; see `Agent.withdraw`."""


@dataclass(frozen=True)
class MadeList:
    """A list, or a question instead of it, or both.

    Attributes:
        memory: What the conversation remembers after it.
        words: What is said with it.
        listed: The list; None if only a question is asked, empty if nothing fits.
        question: The question.
    """

    memory: Memory
    words: str
    listed: Recommendations | None = None
    question: Question | None = None


@dataclass(frozen=True)
class ListMaker:
    """Makes the lists of one conversation. It enforces the operator's policy."""

    agent: Recommender
    user_id: str
    at: float
    policy: Policy
    say: Phrases

    @property
    def known_id(self) -> str:
        """The person's id; "" while the log does not know it. A reaction, or forgetting, changes that."""
        return self.user_id if self.user_id in self.agent.store.log.user_rows else ""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the catalogue can be asked for."""
        return Vocabulary(self.agent.store.fields)

    def make(
        self,
        memory: Memory,
        words: str,
        *,
        is_more: bool = False,
        may_come_again: bool = False,
        is_repeated: bool = False,
    ) -> MadeList:
        """Make a list, or ask what must be known before.

        Args:
            memory: What the conversation remembers.
            words: What is said with the list.
            is_more: Whether only items are wanted that were not on a list before.
            may_come_again: Whether what was shown for earlier wishes may come again once nothing else is left.
            is_repeated: Whether an earlier list comes back, so that no new question is asked for it.
        """
        if self.policy.one_at_a_time and memory.state.k != 1:
            memory = replace(memory, state=replace(memory.state, k=1))
        missing = self.policy.missing_facts(memory.facts)
        if missing:
            rule = missing[0]
            text = self.say.chat.fact.format(name=field_words(rule.fact, self.say))
            return self._asking(memory, words, Question(kind="fact", field=rule.field, text=text))
        rows = self.fitting(memory)
        if self.policy.one_at_a_time and not is_more and not is_repeated:
            question = self._narrowing(memory, rows)
            if question and len(rows) > 1:
                return self._asking(memory, words, question)
        memory = memory if is_more else replace(memory, latest=())
        hidden = memory.shown if is_more else ()
        listed = self._recommended(memory, hidden)
        if may_come_again and not listed.recommendations and set(hidden) > set(memory.latest):
            hidden = memory.latest
            listed = self._recommended(memory, hidden)
        gate = self._gate_of(memory, listed)
        if gate is not None:
            question = self.gate_question(gate)
            closed = self._recommended(
                memory, (*hidden, *ids_where_any(self.policy.closed(memory.opened), self.agent.store))
            )
            if not closed.recommendations or self.policy.one_at_a_time:
                return self._asking(memory, words, question)
            return self._showing(memory, words, closed, question)
        if not listed.recommendations:
            nothing = self._why_nothing(memory, is_more=is_more)
            words = self.say.writing.sentence_gap.join(filter(None, [words, nothing]))
            return MadeList(replace(memory, listed=listed, focus=()), words, listed)
        state = memory.state
        is_open = not self.policy.one_at_a_time and len(rows) > MANY * state.k and not state.is_empty
        return self._showing(memory, words, listed, self._narrowing(memory, rows) if is_open else None)

    def opening(self, memory: Memory) -> Recommendations:
        """Recommend without any wish, to know what is said of the person."""
        return self._recommended(Memory(TalkState(k=memory.state.k), facts=memory.facts), ())

    def fitting(self, memory: Memory, *, without: Condition | None = None) -> Ints:
        """Return the rows of the items that fulfil all conditions, but for one."""
        store, state = self.agent.store, memory.state
        conditions = [c for c in state.conditions if c is not without]
        mask = store.fields.rows_where([*conditions, *self.policy.required(memory.facts)])
        mask &= store.log.known(before=self.at)
        for gate in memory.refused_gates:
            mask &= ~store.fields.rows_where([gate])
        excluded = store.log.rows([*state.rejected, *state.known])
        mask[excluded[excluded >= 0]] = False
        refused = {value.casefold() for value in state.refused}
        topics = store.fields.columns.get("topics", [])
        for row in np.flatnonzero(mask) if refused else ():
            values = topics[row] if row < len(topics) else None
            if isinstance(values, tuple) and any(value.casefold() in refused for value in values):
                mask[row] = False
        return np.flatnonzero(mask)

    def _left(self, memory: Memory) -> Ints:
        """Return the rows of the items that fulfil all conditions and are not refused in the person's own words."""
        store, rows = self.agent.store, self.fitting(memory)
        avoid = memory.state.context(()).avoid
        if not avoid or not len(rows):
            return rows
        refusal = Refusal.of(avoid, {}, store.encoder)
        items = store.items([store.log.item_ids[row] for row in rows])
        refused = {item_id for item_id, item in items.items() if refusal.covers(item)}
        return np.array([row for row in rows if store.log.item_ids[row] not in refused], dtype=np.int64)

    def knows(self, wish: str) -> bool:
        """Return whether the catalogue has anything to do with a wish: it has the words, or a text near to them."""
        if self.vocabulary.mentions(wish):
            return True
        vector = self.agent.store.encoder.encode([wish])
        (nearest,) = self.agent.store.nearest(vector, n=1) or [[]]
        return bool(nearest) and nearest[0][1] >= (NEAR_CHINESE if language_of(wish) == "zh" else NEAR)

    def answered_gates(self, memory: Memory, reading: LineReading) -> tuple[Memory, list[str]]:
        """Open the gates that the person says yes to, and say so.

        A gate that was asked about and got no yes stays shut.
        """
        question, words = memory.question, list[str]()
        allowed = {value.casefold() for value in reading.allowed}
        for gate in self.policy.closed(memory.opened):
            is_asked = question is not None and question.kind == "gate" and self.gate_question(gate) == question
            is_wanted = any(wish.field == gate.field and wish.op == gate.op for wish in reading.conditions)
            is_named = is_wanted or any(str(value).casefold() in allowed for value in values_of(gate))
            if is_asked and reading.answer == "yes":
                shut = tuple(other for other in memory.refused_gates if other != gate)
                memory = replace(memory, opened=(*memory.opened, gate), refused_gates=shut)
                words.append(self.say.chat.gate_open.format(values=condition_words(gate, self.say)))
            elif is_named and not is_asked and gate in memory.refused_gates:  # then it is asked again
                memory = replace(memory, refused_gates=tuple(other for other in memory.refused_gates if other != gate))
            elif is_asked and gate not in memory.refused_gates:
                memory = replace(memory, refused_gates=(*memory.refused_gates, gate))
                words.append(self.say.chat.gate_closed.format(values=condition_words(gate, self.say)))
        return memory, words

    def gate_question(self, gate: Condition) -> Question:
        """Return the question whether items that a gate holds back may be shown."""
        text = self.say.chat.gate.format(values=condition_words(gate, self.say))
        return Question(kind="gate", field=gate.field, text=text)

    def _recommended(self, memory: Memory, hidden: Sequence[str]) -> Recommendations:
        gates = ids_where_any(memory.refused_gates, self.agent.store) if memory.refused_gates else ()
        topics = self.vocabulary.fields["topics"].counts if "topics" in self.vocabulary.fields else {}
        required = self.policy.required(memory.facts)
        context = memory.state.context(topics, hidden=(*hidden, *gates), conditions=required, repeat=self.policy.repeat)
        # If this call fails, the old list stays, so that /why still explains the list on the screen.
        return self.agent.recommend(self.known_id, self.at, context, memory.state.k)

    def _showing(self, memory: Memory, words: str, listed: Recommendations, question: Question | None) -> MadeList:
        ids = [entry.item_id for entry in listed.recommendations]
        memory = replace(
            memory,
            listed=listed,
            focus=tuple(range(len(ids))) if len(ids) == 1 else (),
            shown=tuple(dict.fromkeys([*memory.shown, *ids])),
            latest=tuple(dict.fromkeys([*memory.latest, *ids])),
        )
        return replace(self._asking(memory, words, question), listed=listed)

    def _asking(self, memory: Memory, words: str, question: Question | None) -> MadeList:
        if question is not None and memory.question not in (None, question):  # a gate that got no answer stays shut
            left = [gate for gate in self.policy.closed(memory.opened) if self.gate_question(gate) == memory.question]
            memory = replace(memory, refused_gates=tuple(dict.fromkeys([*memory.refused_gates, *left])))
        is_narrow = question is not None and question.kind == "narrow"
        asked = (*memory.asked, question.field or "") if question and is_narrow else memory.asked
        return MadeList(replace(memory, question=question, asked=asked), words, None, question)

    def _narrowing(self, memory: Memory, rows: Ints) -> Question | None:
        if len(memory.asked) >= MOST_QUESTIONS:
            return None
        facts = {rule.field: memory.facts.get(rule.fact, ()) for rule in self.policy.require if rule.fact}
        return narrowing_question(self.vocabulary, rows, memory.state, memory.asked, self.say, names=facts)

    def _why_nothing(self, memory: Memory, *, is_more: bool) -> str:
        """Say that nothing fits, and which condition would have to give."""
        chat = self.say.chat
        met = len(self._left(memory))
        nothing_fits = chat.all_met.format(count=met) if met else chat.nothing_fits
        if is_more:
            return nothing_fits if met else chat.nothing_left
        freed = {condition: len(self.fitting(memory, without=condition)) for condition in memory.state.conditions}
        best = max(freed, key=lambda condition: freed[condition], default=None)
        for gate in memory.refused_gates:
            opened = replace(memory, refused_gates=tuple(one for one in memory.refused_gates if one != gate))
            count = len(self.fitting(opened))
            if count > max(freed[best] if best else 0, met):
                values = self.say.chat.or_.join(map(str, values_of(gate)))
                would_fit = chat.gate_would_fit.format(count=count, values=values)
                return self.say.writing.sentence_gap.join([nothing_fits, would_fit])
        if best is None or freed[best] <= met:
            return nothing_fits if met else self.say.writing.sentence_gap.join([nothing_fits, chat.nothing_left])
        would_fit = chat.would_fit.format(
            count=freed[best], condition=condition_words(best, self.say), field=field_words(best.field, self.say)
        )
        return self.say.writing.sentence_gap.join([nothing_fits, would_fit])

    def _gate_of(self, memory: Memory, listed: Recommendations) -> Condition | None:
        items = self.agent.store.items([entry.item_id for entry in listed.recommendations])
        closed = [gate for gate in self.policy.closed(memory.opened) if gate not in memory.refused_gates]
        return next((gate for item in items.values() for gate in closed if gate.holds(item)), None)


def values_of(condition: Condition) -> tuple[object, ...]:
    """Return the values that a condition names."""
    return condition.value if isinstance(condition.value, tuple) else (condition.value,)
