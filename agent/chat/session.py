"""A conversation: it opens with a list and then answers each line, always as of the same moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.explanation.plain import why
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendation, Recommendations
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.timestamps import iso

GREETINGS = frozenset({"hello", "hi", "hey", "good morning", "good evening", "thanks", "thank you", "ok", "okay"})
LONGEST_NUMBER = 20
"""Most characters of an unknown number that an answer repeats."""


class TopicStore(Protocol):
    """The part of a store that a session needs."""

    def topic_vectors(self, *, before: float) -> Mapping[str, Vectors]:
        """Return the unit vectors of the topics known before a moment, keyed by topic."""


class Recommender(Protocol):
    """The part of an agent that a session needs."""

    @property
    def store(self) -> TopicStore:
        """The store that the agent recommends from."""

    def recommend(self, user_id: str, at: object, context: Context, k: int) -> Recommendations:
        """Recommend `k` items; see `Agent.recommend`."""


@dataclass(frozen=True)
class Answer:
    """The answer to one line.

    Attributes:
        words: The answer in words. It may be empty if there is a list.
        recommendations: The new list, if the line asks for one.
        done: Whether the conversation is over.
        figures: The score, the signals and the event ids behind an explanation. Only `--verbose` shows them.
    """

    words: str
    recommendations: Recommendations | None = None
    done: bool = False
    figures: str = ""


class Session:
    """A conversation with one person.

    It remembers the person's wishes and the last list. It only reads the store.

    Example:
        session = agent.chat("42")
        print(session.open().recommendations)
        print(session.say("something for the garden, no furniture").words)
        print(session.say("/why 1").words)
    """

    def __init__(self, agent: Recommender, user_id: str, *, at: float, k: int, language: Language = "en") -> None:
        """Begin a conversation. Call `open` for the first list.

        Args:
            agent: The agent that recommends.
            user_id: The person. Empty for a new person.
            at: The moment of all answers, in Unix seconds.
            k: The length of a list.
            language: The language of the answers.
        """
        self._agent = agent
        self._user_id = user_id
        self._at = at
        self._k = k
        self._say = load_phrases(language)
        self._context = Context()
        self._list: Recommendations | None = None

    def open(self) -> Answer:
        """Recommend a first list."""
        return self._recommend("")

    def say(self, line: str) -> Answer:
        """Answer one line.

        A line that cannot be understood is also answered, but changes nothing. If the answer fails or is interrupted,
        the line changes nothing either.

        Raises:
            ModelError: The language model cannot be reached.
        """
        before = self._context
        try:
            return self._answer(line)
        except BaseException:  # an interrupt, too, must not leave half of a wish in the context
            self._context = before
            raise

    def _answer(self, line: str) -> Answer:
        chat, line = self._say.chat, line.strip()
        if not line:
            return Answer(chat.help)
        if line.casefold().strip("!., ") in GREETINGS:  # otherwise "hi" would be read as a wish
            return Answer(self._joined(chat.hello, chat.help))
        if not line.startswith("/"):
            return self._wish(line)
        command, _, rest = line.partition(" ")
        commands = {"/why": self._why, "/more": self._more, "/less": self._less}
        if command in commands:
            return commands[command](rest.strip())
        if command == "/reset":
            self._context = Context()
            return self._recommend(chat.forgotten)
        if command == "/quit":
            return Answer(chat.goodbye, done=True)
        return Answer(
            chat.help if command == "/help" else self._joined(chat.no_command.format(command=command), chat.help)
        )

    def _wish(self, words: str) -> Answer:
        self._context = self._context.wanting(words)
        wanted = self._say.chat.wanted.format(wish=self._context.query) if self._context.query else ""
        return self._recommend(self._joined(wanted, self._left_out()))

    def _why(self, number: str) -> Answer:
        entry = self._entry(number)
        if entry is None:
            return Answer(self._no_entry(number))
        events = [f"  {event_line(event, self._say)}" for event in entry.evidence]
        words = [entry.title, entry.explanation, *events, why(entry.signals, self._say)]
        ids = [
            f"  event {event.event_id}  {iso(event.time or 0.0)}  {event.event}  {event.title}"
            for event in entry.evidence
        ]
        signals = ", ".join(f"{name} {value:+.2f}" for name, value in entry.signals.items())
        figures = "\n".join([*ids, f"  score {entry.score:.2f}: {signals}"])
        return Answer("\n".join(words), figures=figures)

    def _more(self, number: str) -> Answer:
        entry = self._entry(number)
        if entry is None:
            return Answer(self._no_entry(number))
        self._context = self._context.model_copy(update={"more": (*self._context.more, entry.item_id)})
        return self._recommend(self._say.chat.more_like.format(title=entry.title))

    def _less(self, topic: str) -> Answer:
        if not topic:
            return Answer(self._say.chat.less_of_what)
        self._context = self._context.model_copy(update={"avoid": (*self._context.avoid, topic)})
        vectors = self._agent.store.topic_vectors(before=self._at)
        # A word that is no known topic still counts: titles that contain it are left out.
        known = any(map(Refusal.of([topic], vectors).covers_topic, vectors))
        unknown = "" if known else self._say.chat.no_such_topic.format(topic=topic)
        return self._recommend(self._joined(self._left_out(), unknown))

    def _left_out(self) -> str:
        names = self._say.writing.comma.join(self._context.avoid)
        return self._say.chat.left_out.format(names=names) if names else ""

    def _recommend(self, words: str) -> Answer:
        # If this call fails, the old list stays, so that /why still explains the list on the screen.
        self._list = self._agent.recommend(self._user_id, self._at, self._context, self._k)
        nothing = "" if self._list.recommendations else self._say.chat.nothing_fits
        return Answer(self._joined(words, nothing), self._list)

    def _entry(self, number: str) -> Recommendation | None:
        listed = self._list.recommendations if self._list else ()
        return {str(entry.rank): entry for entry in listed}.get(number)

    def _no_entry(self, number: str) -> str:
        last = len(self._list.recommendations) if self._list else 0
        return self._say.chat.no_number.format(
            number=number[:LONGEST_NUMBER] or self._say.chat.no_number_given, last=last
        )

    def _joined(self, *sentences: str) -> str:
        return self._say.writing.sentence_gap.join(filter(None, sentences))
