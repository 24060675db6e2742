"""A conversation: it opens with a list and then answers each line, always as of the same moment."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from whimbrel.agent.chat.answering import Asked
from whimbrel.agent.chat.item_answers import ItemAnswers
from whimbrel.agent.chat.lists import ListMaker, Recommender, values_of
from whimbrel.agent.chat.reactions import Reactions
from whimbrel.agent.chat.reading import Act, LineReading, Question, Reader, Scene
from whimbrel.agent.chat.rules import read_line
from whimbrel.agent.chat.state import TalkState
from whimbrel.agent.chat.turn import Memory, Turn
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.agent.chat.words import (
    changes_words,
    condition_words,
    facts_of,
    field_words,
    state_words,
)
from whimbrel.agent.policed import unknown_field_notes
from whimbrel.agent.schema.policy import Facts, Policy
from whimbrel.agent.schema.results import Recommendation, Recommendations
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.clean import clean_text
from whimbrel.tools.observing import observed
from whimbrel.tools.records import Item
from whimbrel.tools.text.exclusions import Refusal

LONGEST_EXAMPLE = 30  # characters of a topic that is an example
LONGEST_ECHO = 60
"""Most characters of a line that an answer repeats."""
ALSO_CHOSEN = 3
"""How many items that people also chose are told of an item."""
MOST_QUESTIONS = 5
"""A conversation asks at most so many questions that only narrow the choice."""
MANY = 3
"""Beside a list, a narrowing question is asked if more than this many times its length fits."""
MOST_NAMED, MOST_COMPARED = 10, 3
"""Most items that are compared: of those that a line names, and where it names none."""
ASIDES: frozenset[Act] = frozenset({"why", "about_item", "about_me", "compare", "small_talk", "unclear"})
"""After a line that only asks or chats, the question before it still waits for its answer."""


class Kept(Protocol):
    """Where a conversation is kept between its lines."""

    def load(self) -> Memory | None:
        """Return what it remembers; None if it is new."""

    def save(self, memory: Memory) -> None:
        """Keep what it remembers."""

    def exists(self) -> bool:
        """Return whether it is still kept. If not, the person was forgotten."""


class Session:
    """A conversation with one person.

    It remembers what is wanted, the last list and its questions. What the person takes, rejects or knows is recorded in
    the store.

    Example:
        session = agent.chat("42")
        print(session.open().recommendations)
        print(session.say("something for the garden, no furniture").words)
        print(session.say("why the first one?").words)
    """

    def __init__(
        self,
        current: Callable[[], Recommender],
        user_id: str,
        *,
        at: float,
        k: int,
        language: Language = "en",
        policy: Policy | None = None,
        facts: Facts | None = None,
        read: Reader = read_line,
        answerer: Callable[[], Callable[[Asked], str] | None] = lambda: None,
        saved: Kept | None = None,
    ) -> None:
        """Begin a conversation. Call `open` for the first list.

        Args:
            current: Returns the agent that recommends. It is another one after a topic was marked as sensitive.
            user_id: The person. Empty for a new person. A person that the log does not know is a new one too.
            at: The moment of all answers, in Unix seconds.
            k: The length of a list.
            language: The language of the answers.
            policy: The operator's policy.
            facts: What is known of the person, keyed by name.
            read: Reads each line. By default the rules do.
            answerer: Returns what answers questions about items in a model's words. By default they are answered in
                sentences.
            saved: Where the conversation is saved after each turn, and resumed from.
        """
        self._current, self._answerer = current, answerer
        self._read = read
        self._policy = policy or Policy()
        agent = current()
        self._say = load_phrases(language, agent.store.zone)
        self._user_id = user_id
        self._at = at
        self._use(agent)
        is_known = not user_id or user_id in self._agent.store.log.user_rows
        unknown = () if is_known else (self._say.chat.unknown_user.format(user=user_id[:LONGEST_ECHO]),)
        self._warnings = (*unknown, *unknown_field_notes(self._policy, agent.store, self._say))
        self._opening: Recommendations | None = None
        self._saved = saved
        self._length = 1 if self._policy.one_at_a_time else k
        fresh = Memory(TalkState(k=self._length), facts=dict(facts or {}))
        resumed = saved.load() if saved else None
        if resumed and self._agent.store.sensitive.covers(repr(resumed)):
            resumed = None  # a topic was marked after the conversation
        # A fact that is given now counts more than one that was said then.
        self._memory = replace(resumed, facts={**resumed.facts, **fresh.facts}) if resumed else fresh
        self._is_resumed = self._was_saved = resumed is not None
        self._lock = threading.RLock()

    def _use(self, agent: Recommender) -> None:
        """Recommend and answer by this agent from now on."""
        self._agent = agent
        self._lists = ListMaker(agent, self._user_id, self._at, self._policy, self._say)
        self._answers = ItemAnswers(agent.store, self._user_id, self._at, self._say, self._answerer(), self._speaks_of)
        self._reactions = Reactions(agent, self._user_id, self._at, self._say)

    def _without_new_marks(self) -> None:
        """Go on without the topics that were marked as sensitive since the last line, and forget what was shown."""
        agent = self._current()
        if agent is self._agent:
            return
        self._use(agent)
        memory = Memory(self._memory.state, facts=self._memory.facts, opened=self._memory.opened)
        is_named = agent.store.sensitive.covers(repr(memory))
        self._memory = Memory(TalkState(k=self._length), facts=self._memory.facts) if is_named else memory
        self._opening = self._lists.opening(self._memory) if self._opening else None

    @property
    def state(self) -> TalkState:
        """What is wanted so far."""
        return self._memory.state

    @property
    def memory(self) -> Memory:
        """All that the conversation remembers."""
        return self._memory

    def open(self) -> Turn:
        """Recommend a first list, or go on where a conversation stood. A new one is saved with its first line."""
        if not self._is_resumed:
            turn = self._listed("want", "")
            self._opening = turn.recommendations
        else:
            self._opening = self._lists.opening(self._memory)
            turn = self._listed("want", self._say.chat.resumed)
            self._save()
        return turn

    def say(self, line: str) -> Turn:
        """Answer one line.

        A line that cannot be understood is also answered, but changes nothing. If the answer fails or is interrupted,
        the line changes nothing either.

        Raises:
            ModelError: The language model cannot be reached.
        """
        with self._lock, observed("chat") as told:
            turn = self._said(str(clean_text(line)).strip())
            listed = turn.recommendations.recommendations if turn.recommendations else ()
            told.tell({"whimbrel.act": turn.act, "whimbrel.listed": len(listed)}, lambda: {"whimbrel.line": line})
            return turn

    def _said(self, line: str) -> Turn:
        self._without_new_marks()
        before = self._memory
        try:
            turn = self._answer(line)
            self._settle(turn, before)
        except BaseException:  # an interrupt, too, must not leave half of a wish in the state
            self._memory = before
            raise
        return turn

    def _settle(self, turn: Turn, before: Memory) -> None:
        """Keep what the memory was before a change, and save the memory."""
        is_waiting = turn.question is None and turn.act not in ASIDES
        if is_waiting and self._memory.question is before.question:
            self._memory = replace(self._memory, question=None)
        if turn.act != "undo" and self._memory.is_changed(before):
            self._memory = replace(self._memory, earlier=(*before.earlier, before))
        if self._memory is not before or not self._was_saved:
            self._save()

    async def asay(self, line: str) -> Turn:
        """Answer one line without blocking the event loop; see `say`."""
        return await asyncio.to_thread(self.say, line)

    def _save(self) -> None:
        """Save the memory, unless the file was removed meanwhile: then the person was forgotten."""
        if self._saved and (not self._was_saved or self._saved.exists()):
            self._saved.save(self._memory)
            self._was_saved = True

    # Reading a line.

    def _answer(self, line: str) -> Turn:
        chat = self._say.chat
        if not line:
            return self._turn("unclear", chat.help)
        if self._agent.store.sensitive.covers(line):
            return self._turn("unclear", chat.sensitive)
        if line.startswith("/"):
            return self._command(line)
        reading = self._read(line, self._scene())
        answers: Mapping[Act, Callable[[LineReading, str], Turn]] = {
            "undo": self._undo,
            "subject": self._subject,
            "leave": self._leave,
            "small_talk": self._small_talk,
            "why": self._why,
            "about_item": self._about_item,
            "about_me": self._about_me,
            "compare": self._compare,
            "accept": self._react,
            "reject": self._react,
            "known": self._react,
            "unclear": self._unclear,
        }
        return answers.get(reading.act, self._wish)(reading, line)

    def _scene(self) -> Scene:
        memory = self._memory
        fact_fields = {
            rule.field: rule.fact for rule in self._policy.require if rule.fact and rule.fact not in memory.facts
        }
        return Scene(
            self._vocabulary,
            self._items(),
            memory.focus,
            memory.question,
            (*memory.state.refused, *(str(value) for gate in memory.refused_gates for value in values_of(gate))),
            not memory.state.is_empty,
            fact_fields,
            "" if memory.state.is_empty else state_words(memory.state, self._say),
        )

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._lists.vocabulary

    def _command(self, line: str) -> Turn:
        chat = self._say.chat
        command, _, rest = line.partition(" ")
        if command in {"/why", "/more"}:
            return self._of_number(command, rest.strip())
        if command == "/less":
            return self._less(rest.strip())
        if command == "/undo":
            return self._undo(LineReading("undo"), line)
        if command == "/state":
            return self._turn("about_me", state_words(self.state, self._say))
        if command == "/memory":
            return self._turn("about_me", self._remembered(rest.strip()))
        if command == "/reset":
            return self._forgotten()
        if command == "/quit":
            return self._leave(LineReading("leave"), line)
        known = command == "/help"
        words = chat.help if known else self._joined(chat.no_command.format(command=command[:LONGEST_ECHO]), chat.help)
        return self._turn("small_talk" if known else "unclear", words)

    def _subject(self, reading: LineReading, line: str) -> Turn:
        """Start over. What else the line says is the new wish."""
        turn = self._forgotten()
        return self._wish(replace(reading, act="want", is_new_subject=False), line) if reading.changes_wishes else turn

    def _forgotten(self) -> Turn:
        """Forget all wishes. What the person took, rejected or knows stays out of the lists."""
        state = self.state
        hidden = tuple(dict.fromkeys([*state.known, *state.rejected]))
        fresh = TalkState(k=self._length, known=hidden)
        self._memory = replace(self._memory, state=fresh, shown=(), question=None, refused_gates=())
        return self._listed("subject", self._say.chat.forgotten)

    def _remembered(self, rest: str) -> str:
        """List the recorded reactions, or delete some. What is deleted no longer counts in this conversation either."""
        if not rest:
            return self._reactions.words()
        kept = self._reactions.list()
        command, *which = rest.split()
        if command != "delete" or len(which) != 1:
            return self._reactions.words()
        words = self._reactions.delete(which[0])
        gone = {event.item_id for event in kept} - {event.item_id for event in self._reactions.list()}
        state = self.state
        rejected = {item_id: title for item_id, title in state.rejected.items() if item_id not in gone}
        known = tuple(item_id for item_id in state.known if item_id not in gone)
        self._memory = replace(self._memory, state=replace(state, rejected=rejected, known=known))
        return words

    # Acts that change what is wanted.

    def _wish(self, reading: LineReading, line: str) -> Turn:
        unknown = [] if reading.is_said else [wish for wish in reading.wants if not self._lists.knows(wish)]
        reading = replace(reading, wants=tuple(wish for wish in reading.wants if wish not in unknown))
        if unknown and reading.is_empty:
            return self._turn("unclear", self._nothing_like(line))
        memory = self._memory
        self._memory, words = self._lists.answered_gates(memory, reading)
        words += [self._say.chat.no_preference] if reading.is_open else map(self._nothing_like, unknown)
        if reading.facts:
            facts = {**memory.facts, **reading.facts}
            self._memory = replace(self._memory, facts=facts)
            words += [
                self._say.chat.fact_noted.format(
                    name=field_words(name, self._say), values=self._say.writing.comma.join(values)
                )
                for name, values in reading.facts.items()
            ]
        named = self._ids_of(reading.titles) if reading.act in {"want", "narrow"} else {}
        liked = named | self._ids_of(reading.liked)
        state = self.state.after(reading)
        if liked:
            state = replace(state, liked=tuple(dict.fromkeys([*state.liked, *liked])))
            state = replace(state, wants=tuple(wish for wish in state.wants if not self._vocabulary.title_in(wish)))
        if reading.titles and not named:
            state = state.rejecting(self._ids_of(reading.titles))
        if reading.items and reading.act == "criticise" and self._policy.one_at_a_time:
            state = state.rejecting(self._titles_at(reading.items))
        if self._policy.one_at_a_time and state.k != 1:
            state = replace(state, k=1)
        shown = () if reading.is_new_subject else self._memory.shown
        self._memory = replace(self._memory, state=state, shown=shown)
        words += changes_words(reading, state, self._say)
        words += self._moved_on(reading)
        words += [self._say.chat.no_field.format(name=field_words(name, self._say)) for name in reading.missing]
        words += [self._unnamed(value) for value in reading.refused]
        words += [self._unmentioned(wish) for wish in reading.wants]
        is_known = not reading.changes and not liked and not reading.titles and not reading.is_more
        if is_known and reading.act != "want" and not reading.answer and not words:
            return self._turn(reading.act, self._say.chat.help)
        if reading.missing and not (reading.changes or liked):
            return self._turn(reading.act, self._joined(*words))
        return self._listed(reading.act, self._joined(*words), is_more=reading.is_more, may_come_again=reading.is_more)

    def _unnamed(self, value: str) -> str:
        """Return a note if no topic is named by a refused word. Items with that word are left out all the same."""
        vectors = self._agent.store.topic_vectors(before=self._at)
        refusal = Refusal.of([value], vectors, self._agent.store.encoder)
        return "" if any(map(refusal.covers_topic, vectors)) else self._say.chat.no_such_topic.format(topic=value)

    def _moved_on(self, reading: LineReading) -> list[str]:
        """Drop the kinds that were wanted before if none of them fits a kind that is wanted now, and say so."""
        now = [one for one in reading.conditions if one.field == "topics" and one.op.startswith("contains")]
        old = [one for one in self.state.conditions if one.field == "topics" and one not in reading.conditions]
        old = [one for one in old if not one.op.startswith("not")]
        if not now or not old or len(self._lists.fitting(self._memory)):
            return []
        state = replace(self.state, conditions=tuple(one for one in self.state.conditions if one not in old))
        memory = replace(self._memory, state=state)
        if not len(self._lists.fitting(memory)):
            return []
        self._memory = memory
        names = self._say.writing.comma.join(condition_words(one, self._say) for one in old)
        return [self._say.chat.dropped.format(names=names)]

    def _unmentioned(self, wish: str) -> str:
        """Return a note if no item mentions any word of a wish. The list then has what comes nearest."""
        is_mentioned = self._vocabulary.mentions(wish) or self.state.topics
        return "" if is_mentioned else self._say.chat.not_mentioned.format(wish=wish)

    def _nothing_like(self, wish: str) -> str:
        """Ask again about words that have nothing to do with the catalogue."""
        return self._say.chat.nothing_like.format(wish=wish[:LONGEST_ECHO], example=self._example)

    @property
    def _example(self) -> str:
        """What a person could say here: a frequent topic."""
        topics = self._vocabulary.fields.get("topics")
        return next((topic for topic in (topics.counts if topics else ()) if len(topic) <= LONGEST_EXAMPLE), "") or (
            self._say.chat.an_example
        )

    def _less(self, topic: str) -> Turn:
        if not topic:
            return self._turn("unclear", self._say.chat.less_of_what)
        values = [value.value for value in self._vocabulary.values_in(topic) if value.field == "topics"]
        return self._wish(LineReading("exclude", refused=tuple(values) or (topic[:LONGEST_ECHO],)), topic)

    def _of_number(self, command: str, number: str) -> Turn:
        position = int(number) - 1 if number.isdecimal() and len(number) < 4 else -1
        items = self._items()
        if not 0 <= position < len(items):
            return self._turn("why" if command == "/why" else "want", self._no_entry(number))
        if command == "/why":
            return self._why(LineReading("why", items=(position,)), "")
        item = items[position]
        state = replace(self.state, liked=tuple(dict.fromkeys([*self.state.liked, item.item_id])))
        self._memory = replace(self._memory, state=state)
        return self._listed("want", self._say.chat.more_like.format(title=item.title))

    def _undo(self, reading: LineReading, line: str) -> Turn:
        if not self._memory.earlier:
            return self._turn("undo", self._say.chat.nothing_to_undo)
        before = self._memory
        # What was asked and shown stays asked and shown.
        self._memory = replace(before.earlier[-1], asked=before.asked, shown=before.shown, latest=before.latest)
        self._reactions.take_back([one for one in before.reacted if one not in self._memory.reacted])
        return self._listed("undo", self._say.chat.undone)

    def _react(self, reading: LineReading, line: str) -> Turn:
        """Record that the person takes, rejects or knows items. A rejection or a wish leads to a new list."""
        chat = self._say.chat
        titles = self._titles_at(reading.items) | self._ids_of(reading.titles)
        if reading.beyond:
            return self._turn(reading.act, self._no_entry(str(reading.beyond)))
        if not titles:
            if reading.changes:
                return self._wish(replace(reading, act="exclude"), line)
            return self._turn(reading.act, chat.which_item if self._items() else chat.no_list)
        named = self._say.writing.listed([self._say.writing.title.format(title=title) for title in titles.values()])
        words = {"accept": chat.accepted, "reject": chat.rejected, "known": chat.known}[reading.act].format(
            titles=named
        )
        self._reactions.record(reading.act, list(titles))
        reacted = (*self._memory.reacted, *((item_id, reading.act) for item_id in titles))
        self._memory = replace(self._memory, reacted=reacted)
        state = self.state.rejecting(titles) if reading.act == "reject" else self.state
        if reading.act != "reject":
            state = replace(state, known=tuple(dict.fromkeys([*state.known, *titles])))
        self._memory = replace(self._memory, state=state, focus=reading.items)
        if reading.act == "accept" and not reading.changes:
            return self._turn("accept", words)
        state = self.state.after(reading)
        self._memory = replace(self._memory, state=state)
        changes = changes_words(reading, state, self._say)
        return self._listed(reading.act, self._joined(words, *changes), is_more=True)

    # Acts that only ask.

    def _leave(self, reading: LineReading, line: str) -> Turn:
        return self._turn("leave", self._say.chat.goodbye, done=True)

    def _small_talk(self, reading: LineReading, line: str) -> Turn:
        chat = self._say.chat
        thanks = any(word in line.casefold() for word in ("thank", "thx", "cheers", "dank", "谢"))
        return self._turn("small_talk", chat.you_are_welcome if thanks else self._joined(chat.hello, chat.help))

    def _unclear(self, reading: LineReading, line: str) -> Turn:
        return self._turn(
            "unclear", self._say.chat.not_understood.format(line=line[:LONGEST_ECHO], example=self._example)
        )

    def _why(self, reading: LineReading, line: str) -> Turn:
        if reading.beyond:
            return self._turn("why", self._no_entry(str(reading.beyond)))
        entries = self._entries(reading.items or self._memory.focus[:1])
        if not entries:
            return self._turn("why", self._say.chat.which_item if self._items() else self._say.chat.no_list)
        self._memory = replace(self._memory, focus=reading.items or self._memory.focus)
        words, figures = self._answers.why(entries)
        return self._turn("why", words, figures=figures)

    def _about_item(self, reading: LineReading, line: str) -> Turn:
        if reading.beyond:
            return self._turn("about_item", self._no_entry(str(reading.beyond)))
        items = self._spoken_of(reading)
        if self._is_held_back(reading):
            return self._turn("about_item", self._say.chat.held_back)
        if not items:
            return self._turn("about_item", self._say.chat.which_item if self._items() else self._say.chat.no_list)
        self._memory = replace(self._memory, focus=reading.items or self._memory.focus)
        wanted, asked = state_words(self.state, self._say), self._vocabulary.asked_for(line)
        disclosures = dict.fromkeys(words for item in items for words in self._policy.disclosures(item))
        return self._turn("about_item", "\n".join([self._answers.about(line, items, wanted, asked), *disclosures]))

    def _compare(self, reading: LineReading, line: str) -> Turn:
        if best := self._answers.best_of(line, self._spoken_of(reading) or self._items(), self._vocabulary):
            return self._turn("compare", best)
        if self._is_held_back(reading):
            return self._turn("compare", self._say.chat.held_back)
        if reading.beyond:
            return self._turn("compare", self._no_entry(str(reading.beyond)))
        items = self._spoken_of(reading)[:MOST_NAMED]  # those that are named, and no other
        if len(items) < 2:
            listed = {item.item_id: item for item in [*items, *self._items()]}
            items = list(listed.values())[:MOST_COMPARED]
        if len(items) < 2:
            return self._turn("compare", self._say.chat.which_item if self._items() else self._say.chat.no_list)
        return self._turn("compare", self._answers.compare(line, items, state_words(self.state, self._say)))

    def _about_me(self, reading: LineReading, line: str) -> Turn:
        chat = self._say.chat
        if reading.is_about_state:
            return self._turn("about_me", state_words(self.state, self._say))
        if not self._lists.known_id:
            return self._turn("about_me", chat.nobody_known)
        opening = self._opening = self._opening or self._lists.opening(self._memory)
        if reading.is_about_change:  # a wish is no change of the interests, so the shift before any wish is told
            return self._turn("about_me", opening.shift.reason)
        return self._turn("about_me", self._answers.profile(opening))

    # The list and its questions.

    def _listed(self, act: Act, words: str, *, is_more: bool = False, may_come_again: bool = False) -> Turn:
        """Make a new list, or ask what must be known before."""
        made = self._lists.make(
            self._memory, words, is_more=is_more, may_come_again=may_come_again, is_repeated=act == "undo"
        )
        self._memory = made.memory
        return self._turn(act, made.words, listed=made.listed, question=made.question)

    # Listed items.

    def _items(self) -> list[Item]:
        listed = self._memory.listed.recommendations if self._memory.listed else ()
        items = self._agent.store.items([entry.item_id for entry in listed])
        return [items[entry.item_id] for entry in listed if entry.item_id in items]

    def _entries(self, positions: Sequence[int]) -> list[Recommendation]:
        listed = self._memory.listed.recommendations if self._memory.listed else ()
        return [listed[position] for position in positions if position < len(listed)]

    def _titles_at(self, positions: Sequence[int]) -> dict[str, str]:
        return {entry.item_id: entry.title for entry in self._entries(positions)}

    def _ids_of(self, titles: Sequence[str]) -> dict[str, str]:
        """Return the titles keyed by the ids of the items that have them."""
        table, ids = self._agent.store.fields, self._agent.store.log.item_ids
        return {ids[row]: title for title in titles for row in table.rows_by_title.get(title.casefold(), ())}

    def _spoken_of(self, reading: LineReading) -> list[Item]:
        listed = self._items()
        items = [listed[position] for position in reading.items if position < len(listed)]
        named = self._agent.store.items(list(self._ids_of(reading.titles))).values()
        return [*items, *filter(self._speaks_of, named)]

    def _speaks_of(self, item: Item) -> bool:
        """Return whether the policy lets an item be spoken of."""
        return self._policy.admits(item, self._memory.facts, self._memory.opened)

    def _is_held_back(self, reading: LineReading) -> bool:
        """Return whether a line asks about items alone that the policy holds back."""
        return bool(self._ids_of(reading.titles)) and not self._spoken_of(reading)

    def _no_entry(self, number: str) -> str:
        last = len(self._items())
        return self._say.chat.no_number.format(number=number[:20] or self._say.chat.no_number_given, last=last)

    def _turn(
        self,
        act: Act,
        words: str,
        *,
        listed: Recommendations | None = None,
        question: Question | None = None,
        done: bool = False,
        figures: str = "",
    ) -> Turn:
        items = self._agent.store.items([entry.item_id for entry in listed.recommendations]) if listed else {}
        disclosures = {item_id: told for item_id, item in items.items() if (told := self._policy.disclosures(item))}
        # Of an empty list the words say why, so the note that it is short is left out.
        warnings = (*self._warnings, *(listed.warnings if listed and listed.recommendations else ()))
        return Turn(
            act=act,
            words=words,
            state=self.state,
            question=question,
            recommendations=listed,
            fields={item_id: facts_of(item) for item_id, item in items.items()},
            disclosures=disclosures,
            done=done,
            warnings=warnings,
            figures=figures,
        )

    def _joined(self, *sentences: str) -> str:
        return self._say.writing.sentence_gap.join(filter(None, sentences))
