"""Read lines with a language model where the model is needed, and by rules elsewhere.

The rules read every line first, which costs nothing. A model that reads persons is asked about every line that is not
plain, and its reading counts. A smaller model is asked only about lines that the rules understood in part, and its
reading fills the gaps.
"""

from dataclasses import replace

from whimbrel.agent.chat.line_ability import reads_lines
from whimbrel.agent.chat.line_reply import ask_about_line, checked
from whimbrel.agent.chat.reading import LineReading, Scene
from whimbrel.agent.chat.rules import read_line
from whimbrel.agent.chat.vocabulary import TOKEN, Vocabulary
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.reading.tiers import remembered
from whimbrel.tools.errors import ModelError

PLAIN_WORDS = 3
"""A line of so few words that the rules understand, such as "yes please", needs no model."""


class ModelReader:
    """Reads lines with a model, and by rules where the model is not needed, cannot read lines, or fails.

    Attributes:
        usage: What the replies cost so far.
        failure: Why the model could not be asked the last time; "" if it could.
    """

    def __init__(self, model: ModelAccess) -> None:
        """Prepare the reader. Nothing is asked yet."""
        self._model = model
        self._can_read: bool | None = None
        self.usage: Usage = NO_USAGE
        self.failure = ""

    def __call__(self, line: str, scene: Scene) -> LineReading:
        """Read a line."""
        by_rules = read_line(line, scene)
        llm = self._model.llm
        is_whole = is_understood(by_rules, scene.vocabulary)
        if llm is None or (is_whole and (not self._model.reads or len(TOKEN.findall(line)) <= PLAIN_WORDS)):
            return by_rules
        try:
            if not self._reads_lines(llm):
                return by_rules
            reply = ask_about_line(llm, line, scene, self._model.language)
        except ModelError as error:
            self.failure = str(error)
            return by_rules
        self.failure = ""
        self.usage += reply.usage
        if reply.value is None:
            return by_rules
        by_model = _with_plain_yes(checked(reply.value, scene), by_rules)
        return _complete(by_model, by_rules, scene) if self._model.reads else _filled(by_rules, by_model)

    def _reads_lines(self, llm: LanguageModel) -> bool:
        """Return whether the model reads lines. A model that reads persons does, and any other is measured once."""
        if self._can_read is None:
            self._can_read = self._model.reads or reads_lines(remembered(llm), self._model.language)
        return self._can_read


def _with_plain_yes(by_model: LineReading, by_rules: LineReading) -> LineReading:
    """Return the model's reading, without a yes where the rules read a no or a refusal. Code keeps the gates."""
    is_refused = by_rules.answer == "no" or by_rules.refused or by_rules.act in {"exclude", "reject"}
    return replace(by_model, answer="no" if by_model.answer == "yes" and is_refused else by_model.answer)


def is_understood(reading: LineReading, vocabulary: Vocabulary) -> bool:
    """Return whether the rules understood all of a line: no words are left, and what is refused is in the catalogue."""
    topics = vocabulary.fields["topics"].counts if "topics" in vocabulary.fields else {}
    return reading.act != "unclear" and not reading.wants and all(value in topics for value in reading.refused)


def _filled(by_rules: LineReading, by_model: LineReading) -> LineReading:
    """Fill the gaps of the rules' reading with the model's.

    Fields that the rules limited stay as they read them. Words that the rules could not place give way to the
    conditions that the model made of them.
    """
    if by_rules.act == "unclear":
        return by_model
    limited = {condition.field for condition in by_rules.conditions}
    more = tuple(condition for condition in by_model.conditions if condition.field not in limited)
    refused = tuple(dict.fromkeys([*by_rules.refused, *by_model.refused])) if by_rules.refused else ()
    return replace(by_rules, conditions=(*by_rules.conditions, *more), refused=refused)


def _complete(by_model: LineReading, by_rules: LineReading, scene: Scene) -> LineReading:
    """Complete a capable model's reading with what only the rules can tell: titles and missing fields."""
    titles = by_rules.titles if by_model.act in {"want", "narrow", "compare", "about_item", "known", "reject"} else ()
    wants = tuple(wish for wish in by_model.wants if not scene.vocabulary.title_in(wish))
    return replace(
        by_model,
        wants=wants,
        titles=titles,
        liked=by_rules.liked,
        missing=by_rules.missing,
        is_about_change=by_rules.is_about_change,
        is_about_state=by_rules.is_about_state,
    )
