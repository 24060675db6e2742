"""A conversation: a list to begin with, then a line in, an answer out, every answer from the log as of one moment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendation, Recommendations
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.timestamps import iso

if TYPE_CHECKING:
    from whimbrel.agent.agent import Agent

HELP = (
    "Say what you want in your own words (something for a birthday, no snacks), or: /why N says why, /more N asks for "
    "more like it, /less TOPIC leaves a topic out, /reset forgets what you said here, /quit ends."
)
GREETINGS = frozenset({"hello", "hi", "hey", "good morning", "good evening", "thanks", "thank you", "ok", "okay"})


@dataclass(frozen=True)
class Answer:
    """What is said to one line: words, the new list where there is one, and whether the conversation is over."""

    words: str
    recommendations: Recommendations | None = None
    done: bool = False


class Session:
    """Keeps what was said and the last list; the store is only read."""

    def __init__(self, agent: "Agent", user_id: str, *, at: float, k: int) -> None:
        self._agent = agent
        self._user_id = user_id
        self._at = at
        self._k = k
        self._context = Context()
        self._shown: Recommendations | None = None

    def open(self) -> Answer:
        """The context in words and a first list."""
        return self._listed("")

    def say(self, line: str) -> Answer:
        """The answer to one line; a line that cannot be followed gets an answer too, and changes nothing, as does one
        whose answer fails or is interrupted."""
        before = self._context
        try:
            return self._answer(line)
        except BaseException:
            self._context = before
            raise

    def _answer(self, line: str) -> Answer:
        line = line.strip()
        if not line:
            return Answer(HELP)
        if line.casefold().strip("!., ") in GREETINGS:
            return Answer(f"Hello. {HELP}")
        if not line.startswith("/"):
            return self._wish(line)
        command, _, rest = line.partition(" ")
        known = {"/why": self._why, "/more": self._more, "/less": self._less}
        if command in known:
            return known[command](rest.strip())
        if command == "/reset":
            self._context = Context()
            return self._listed("Forgotten.")
        if command == "/quit":
            return Answer("Goodbye.", done=True)
        return Answer(HELP if command == "/help" else f"There is no {command}. {HELP}")

    def _wish(self, words: str) -> Answer:
        self._context = self._context.wanting(words)
        told = [f"You want {self._context.query!r}."] if self._context.query else []
        told += [f"Left out: {', '.join(self._context.avoid)}."] if self._context.avoid else []
        return self._listed(" ".join(told))

    def _why(self, number: str) -> Answer:
        entry = self._entry(number)
        if entry is None:
            return Answer(self._no_entry(number))
        signals = ", ".join(f"{name} {value:+.2f}" for name, value in entry.signals.items())
        lines = [f"{entry.title}: {entry.explanation}"]
        lines += [
            f"  {event.title}, {event.event}, {iso(event.time or 0.0)} ({event.event_id})" for event in entry.evidence
        ]
        return Answer("\n".join([*lines, f"  What speaks for it (score {entry.score:.2f}): {signals}"]))

    def _more(self, number: str) -> Answer:
        entry = self._entry(number)
        if entry is None:
            return Answer(self._no_entry(number))
        self._context = self._context.model_copy(update={"more": (*self._context.more, entry.item_id)})
        return self._listed(f"More like {entry.title}.")

    def _less(self, topic: str) -> Answer:
        if not topic:
            return Answer("Less of what? /less TOPIC, as in /less soft drinks.")
        self._context = self._context.model_copy(update={"avoid": (*self._context.avoid, topic)})
        told = f"Left out: {', '.join(self._context.avoid)}."
        vectors = self._agent.store.topic_vectors(before=self._at)
        if not any(map(Refusal.of([topic], vectors).covers_topic, vectors)):
            told += f" No topic here is {topic!r} or like it; titles that say it stay away."
        return self._listed(told)

    def _listed(self, words: str) -> Answer:
        self._shown = self._agent.recommend(self._user_id, self._at, self._context, self._k)
        if not self._shown.recommendations:
            words += " Nothing fits that; /reset begins anew."
        return Answer(words.strip(), self._shown)

    def _entry(self, number: str) -> Recommendation | None:
        shown = self._shown.recommendations if self._shown else ()
        known = {str(place): entry for place, entry in enumerate(shown, start=1)}
        return known.get(number)

    def _no_entry(self, number: str) -> str:
        shown = len(self._shown.recommendations) if self._shown else 0
        return f"There is no number {number[:20] or '(none given)'}: the list has 1 to {shown}."
