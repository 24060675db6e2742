"""How people talk to the agent: the words and patterns that the rules look for, in each language.

They are data in `prompts/talk.*.toml` (a file for each language), `concepts.toml` and `meanings.toml`.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict

TALKED = ("en", "de", "zh")
"""Languages that the rules read."""
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Frequent words of German and of English that the other language lacks.
_GERMAN = re.compile(
    r"[äöüß]|\b(?:ich|nicht|kein\w*|und|oder|bitte|etwas|ohne|eine[nmrs]?|ein|mir|ist|das|der|den|dem|mit|unter|lieber|danke|"
    r"doch|wieder|nichts|warum|wieso|welche[rsn]?|gerne?|noch|auch|schon|billiger|teurer|egal|ja|nein|nehme|zeige?|was|mehr|"
    r"weniger|neuer|alles|worum|gehts?|vom|zum|zweite[nrs]?|dritte[nrs]?|erste[nrs]?|letzte[nrs]?|läuft|kenne?|hab|habe|krimis?|nimm|heute|sag|mach|warum|filme|nur|von|bei|wie|es|mich|wir|zu|lang|kurz|teuer|billig|mindestens|höchstens|maximal|sterne|stunden?|minuten)\b",
    re.IGNORECASE,
)
_ENGLISH = re.compile(
    r"\b(?:the|an?|i|i'm|i'd|i'll|is|are|not|no|what|want|me|my|for|with|of|and|or|on|to|something|anything|like|it|that|"
    r"this|please|how|why|more|less|than|under|over|you|do|don't|have|show|one|any|about|films?|movies?)\b",
    re.IGNORECASE,
)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Acts(_Table):
    """Patterns of what a whole line does. `{item}` stands for what refers to a listed item.

    `approve` is what people say of the only item on the screen; it takes the item.
    """

    undo: tuple[str, ...]
    reset: tuple[str, ...]
    approve: tuple[str, ...]
    leave: tuple[str, ...]
    known: tuple[str, ...]
    accept: tuple[str, ...]
    reject: tuple[str, ...]
    why: tuple[str, ...]
    compare: tuple[str, ...]
    about_item: tuple[str, ...]
    about_me: tuple[str, ...]
    changed: tuple[str, ...]
    state: tuple[str, ...]
    more: tuple[str, ...]
    small_talk: tuple[str, ...]
    fact: tuple[str, ...]


class Within(_Table):
    """Patterns that may stand anywhere in a clause: what people say in other words than those of `Acts`."""

    known: tuple[str, ...]
    accept: tuple[str, ...]
    reject: tuple[str, ...]
    about_item: tuple[str, ...]
    more: tuple[str, ...]
    leave: tuple[str, ...]


class Answers(_Table):
    """Patterns of answers to a question.

    Attributes:
        any: The person has no preference. Of the question whether something may be shown, that is a yes.
        unsure: The person does not know or does not answer. That is no yes.
        around: What may stand before or after an answer.
    """

    yes: str
    no: str
    any: str
    unsure: str
    around: str


class Negation(_Table):
    """Patterns around what is refused, allowed again, or no longer limited.

    Attributes:
        before: What comes before something refused.
        ends: Words that end what is refused.
        alternatives: Words between two refused things.
        allow: Patterns of a line that allows `{x}` again.
        drop: Patterns of a line by which the field `{x}` no longer matters.
        not_too: What makes a limit of a quality: "not too long".
        nothing: What makes a limit of a quality behind it: "nothing old".
        too: What makes a complaint of a quality: "too long".
        half_too: What makes one of the item on the screen: "a bit long".
        affirms: Patterns of two negations that affirm: "I wouldn't say no to". What follows them is not refused.
        after: Patterns of what refuses the `{x}` before it: "drama is not for me".
        is_kind: Patterns that say what kind of item the one on the screen is: "that's a drama".
        is_no_kind: Patterns that say what it is not, and should be: "that's not a drama".
    """

    before: tuple[str, ...]
    ends: tuple[str, ...]
    alternatives: tuple[str, ...]
    allow: tuple[str, ...]
    drop: tuple[str, ...]
    not_too: str
    nothing: str
    too: str
    half_too: str
    affirms: tuple[str, ...]
    after: tuple[str, ...]
    is_kind: tuple[str, ...]
    is_no_kind: tuple[str, ...]


class Amounts(_Table):
    """Words around a number that say how it limits a field, and words for numbers.

    Attributes:
        reversed: What turns the limit behind it round: "not ... more than 90".
        too_much: What is said of an amount that is too large: "90 minutes is too long".
    """

    most: tuple[str, ...]
    below: tuple[str, ...]
    least: tuple[str, ...]
    above: tuple[str, ...]
    about: tuple[str, ...]
    or_less: tuple[str, ...]
    or_more: tuple[str, ...]
    between: tuple[str, ...]
    reversed: tuple[str, ...]
    too_much: str
    decade: str
    half: tuple[str, ...]
    numbers: Mapping[str, float]
    ordinals: Mapping[str, int]


class Unit(_Table):
    """A unit: the words for it, the concept that it measures, and its size in the smallest unit of the concept."""

    words: tuple[str, ...]
    concept: str
    factor: float


class Items(_Table):
    """Patterns that refer to listed items.

    Attributes:
        one: One by its number `{n}`.
        focus: The one that was talked about.
        first_of: The first `{n}` of the list.
        last_of: The last `{n}` of the list.
        asks: What makes a question of a clause that names an item.
        asks_not: What makes a wish of it instead: "anything like the second?"
    """

    one: tuple[str, ...]
    focus: tuple[str, ...]
    first_of: tuple[str, ...]
    last_of: tuple[str, ...]
    asks: tuple[str, ...]
    asks_not: tuple[str, ...]


class Words(_Table):
    """Words of wishes.

    Attributes:
        filler: Words that do not say what is wanted.
        want: Patterns that begin a wish.
        strict: Words that make a wish a condition.
        more_of: The word for more of a kind.
        less_of: The word for less of a kind.
        count: Patterns of how many items are asked for.
        like: A pattern of what likens to the title behind it: "something like".
        the_better: What asks for as much of `x` as there is: "the scarier the better".
    """

    filler: tuple[str, ...]
    want: tuple[str, ...]
    strict: tuple[str, ...]
    more_of: str
    less_of: str
    count: tuple[str, ...]
    like: str
    the_better: str


class Lexicon(_Table):
    """The words and patterns of one language."""

    acts: Acts
    within: Within
    answers: Answers
    negation: Negation
    amounts: Amounts
    units: Mapping[str, Unit]
    items: Items
    words: Words
    spelling: Mapping[str, str]

    @cached_property
    def fillers(self) -> frozenset[str]:
        """The words that do not say what is wanted."""
        return frozenset(self.words.filler)


class Concept(_Table):
    """What people ask of items, such as the price.

    Attributes:
        fields: Names of fields that hold it, in lower case without underscores.
        words: What people call it.
        less: Comparisons that ask for a smaller value.
        more: Comparisons that ask for a larger value.
        too_much: What is said of too large a value.
        too_little: What is said of too small a value.
        asked: How people ask for it of an item: "how long".
        question: How it is asked for, keyed by the language of the answer.
        order: The values from the lowest to the highest, if they are no numbers.
        context: What else people say beside a value of it, and what asks for nothing then.
    """

    fields: tuple[str, ...]
    words: tuple[str, ...]
    less: tuple[str, ...]
    more: tuple[str, ...]
    too_much: tuple[str, ...]
    too_little: tuple[str, ...]
    question: Mapping[str, str]
    asked: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


@cache
def lexicon(language: str) -> Lexicon:
    """Return the words and patterns of a language of `TALKED`."""
    return Lexicon.model_validate(_toml(f"talk.{language}.toml"))


@cache
def concepts() -> Mapping[str, Concept]:
    """Return what people ask of items, keyed by the name of the concept."""
    return {name: Concept.model_validate(table) for name, table in _toml("concepts.toml").items()}


def concept_named(field: str) -> str:
    """Return the concept of a field's name; "" if no concept has it.

    Example:
        >>> concept_named("Release_Date")
        'year'
    """
    plain = re.sub(r"[\W_]+", "", field.casefold())
    return next((name for name, concept in concepts().items() if plain in concept.fields), "")


@cache
def meanings() -> Mapping[str, tuple[str, ...]]:
    """Return for each word the other words of the same meaning. A broad word has the words of all its kinds."""
    document = _toml("meanings.toml")
    same = {word: tuple(group) for group in document["groups"] for word in group}
    broad = {
        word: tuple(part for kind in kinds for part in same[kind])
        for group, kinds in zip(document["broad"], document["broad_means"], strict=True)
        for word in group
    }
    return same | broad


def language_of(line: str) -> str:
    """Guess the language of a line among `TALKED`. English is the default.

    Example:
        >>> language_of("etwas ohne Nüsse bitte"), language_of("不要恐怖片"), language_of("tea")
        ('de', 'zh', 'en')
    """
    if _CHINESE.search(line):
        return "zh"
    return "de" if len(_GERMAN.findall(line)) > len(_ENGLISH.findall(line)) else "en"


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern without regard to case. `re` itself keeps only 512, and compiling takes most of a reading."""
    return re.compile(pattern, re.IGNORECASE)


LETTER = r"(?-i:[^\W\u4e00-\u9fff])"
"""A character of a word that has borders, in a form that compiles fast (its case does not matter)."""


def consists_of(core: str, around: str, text: str, *, spaced: bool = True) -> bool:
    """Return whether a text is made of phrases of two patterns, with at least one of the first.

    The text is read from left to right without going back, so that no line takes long.

    Args:
        core: A pattern of the phrases that count.
        around: A pattern of what may stand around them.
        text: The text, without marks.
        spaced: Whether spaces stand between phrases. Chinese has none.
    """
    phrase = rf"(?:(?P<core>{_longest_first(core)})|{_longest_first(around)})"
    step = compiled(rf"{phrase}(?:\s+|$)" if spaced else rf"{phrase}\s*")
    position, has_core = 0, False
    while position < len(text):
        match = step.match(text, position)
        if not match or match.end() == position:
            return False
        has_core |= match["core"] is not None
        position = match.end()
    return has_core


@cache
def _longest_first(pattern: str) -> str:
    """Return a pattern with its alternatives sorted, so that "great pick" is tried before "great"."""
    parts, depth, start = list[str](), 0, 0
    for position, character in enumerate(pattern):
        if character in "([" and pattern[position - 1 : position] != "\\":
            depth += 1
        elif character in ")]" and pattern[position - 1 : position] != "\\":
            depth -= 1
        elif character == "|" and depth == 0:
            parts.append(pattern[start:position])
            start = position + 1
    return any_of([*parts, pattern[start:]])


def any_of(patterns: Sequence[str]) -> str:
    """Return a pattern that matches any of the patterns, the longest first."""
    return "(?:" + "|".join(sorted(patterns, key=len, reverse=True)) + ")"


def word(pattern: str) -> str:
    """Return a pattern that matches only whole words. Chinese characters have no such border."""
    return rf"(?<!{LETTER})(?:{pattern})(?!{LETTER})"


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("whimbrel.prompts") / name).read_text(encoding="utf-8"))
