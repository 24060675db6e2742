"""What may complete a line that a person types: commands, topics and titles. Knows no terminal."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread

from whimbrel.agent.chat.turn import Turn
from whimbrel.prompts.chat_phrases import ChatPhrases
from whimbrel.tools.retrieval.field_table import FieldTable

MOST = 12
"""Most completions of a line."""
MOST_TOPICS = 2_000
"""Rarer topics are not offered, so that every key is answered at once."""
MOST_WORDS = 5
"""A topic or a title is looked for in so many words before the cursor."""
LEAST_LETTERS = 3
LEAST_CHINESE = 2
"""A Chinese character says more than a letter."""
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_PHRASE_START = re.compile(r"[\u3400-\u9fff]|(?<![^\s(\"'“‘「《\u3400-\u9fff])[^\s(\"'“‘「《]")
_TITLE_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_ARTICLE_BEHIND = re.compile(r"(.+), (The|A|An|Der|Die|Das|La|Le|Les|Il|El)", re.IGNORECASE)


@dataclass(frozen=True)
class Suggestion:
    """A completion.

    Attributes:
        text: What is typed for the person.
        replaces: How many characters before the cursor it replaces.
        about: What it is or does, in a few words.
    """

    text: str
    replaces: int
    about: str


class Suggestions:
    """Completes commands, and in sentences the topics and titles: those on the screen first, then the catalogue's.

    All methods may be called from several threads.
    """

    def __init__(self, table: FieldTable, words: ChatPhrases) -> None:
        """Complete lines about a catalogue.

        Args:
            table: The fields of the catalogue.
            words: The sentences of the language.
        """
        self._table, self._words = table, words
        self._topics = _by_count(table)
        self._titles = _Titles()
        # A large catalogue takes a second, in which the person reads the first list.
        self._reading = Thread(target=self._titles.read, args=(table.titles,), daemon=True)
        self._reading.start()
        self._shown_topics: tuple[str, ...] = ()
        self._shown_titles: tuple[str, ...] = ()

    def show(self, turn: Turn) -> None:
        """Note the list of an answer, which now stands on the screen."""
        if not turn.recommendations:
            return
        titles = [entry.title for entry in turn.recommendations.recommendations]
        column = self._table.columns.get("topics", [])
        rows = [row for title in titles for row in self._table.rows_by_title.get(title.casefold(), ())[:1]]
        topics = [column[row] for row in rows if row < len(column)]
        self._shown_topics = tuple(dict.fromkeys(topic for of_item in topics for topic in _texts(of_item)))
        self._shown_titles = tuple(dict.fromkeys(map(spoken, titles)))

    def complete(self, line: str, *, is_asked: bool) -> list[Suggestion]:
        """Return what may complete a line.

        Args:
            line: What stands before the cursor.
            is_asked: Whether the person asks, by Tab. Otherwise one word alone is not looked for among all titles,
                because too many begin with it.
        """
        if line.startswith("/"):
            return self._of_command(line)
        if is_asked:
            self._reading.join()
        phrases = list(_phrases(line))
        found = [
            Suggestion(text, len(phrase), about)
            for names, about in (
                (self._shown_topics, self._words.a_topic),
                (self._shown_titles, self._words.a_title),
                (self._topics, self._words.a_topic),
            )
            for phrase in phrases
            for text in names
            if _begins_a_word(phrase, text)
        ]
        for phrase in phrases:
            if is_asked or " " in phrase or _CHINESE.search(phrase):
                titles = self._titles.starting(phrase)
                found += [Suggestion(title, len(phrase), self._words.a_title) for title in titles]
        unique: dict[str, Suggestion] = {}
        for suggestion in found:
            unique.setdefault(suggestion.text.casefold(), suggestion)
        return list(unique.values())[:MOST]

    def _of_command(self, line: str) -> list[Suggestion]:
        command, space, topic = line.partition(" ")
        if not space:
            return [
                Suggestion(name, len(line), about)
                for name, about in self._words.commands.items()
                if name.startswith(line) and name != line
            ]
        if command != "/less":  # it is the only command that takes words
            return []
        names = dict.fromkeys([*self._shown_topics, *self._topics])
        of_topic = [name for name in names if not topic or _begins_a_word(topic, name)]
        return [Suggestion(name, len(topic), self._words.a_topic) for name in of_topic[:MOST]]


class _Titles:
    """Titles that can be found by how they begin."""

    def __init__(self) -> None:
        self._forms: list[tuple[str, str]] = []

    def read(self, titles: Iterable[str]) -> None:
        """Read the titles. Until that is done, none is found."""
        self._forms = sorted({pair for title in titles for pair in _forms(title)})

    def starting(self, phrase: str) -> list[str]:
        """Return the first titles in the alphabet that go on after a phrase."""
        plain, forms = phrase.casefold(), self._forms
        start = bisect_left(forms, (plain,))
        return [title for form, title in forms[start : start + MOST] if form.startswith(plain) and form != plain]


def spoken(title: str) -> str:
    """Return a title as people say it, on one line.

    Example:
        >>> spoken("Matrix, The (1999)")
        'The Matrix'
    """
    line = title if title.isprintable() else "".join(c if c.isprintable() else " " for c in title)
    bare = _TITLE_YEAR.sub("", " ".join(line.split()))
    article = _ARTICLE_BEHIND.fullmatch(bare)
    return f"{article[2]} {article[1]}" if article else bare


def _forms(title: str) -> list[tuple[str, str]]:
    """Return how a title may begin, without case, with the title as people say it: with its article, and without."""
    said = spoken(title)
    forms = [said.casefold()]
    if not title.casefold().startswith(forms[0]):
        forms.append(title.casefold())
    return [(form, said) for form in forms]


def _phrases(line: str) -> Iterator[str]:
    """Yield the ends of a line that a name may begin with, the longest first."""
    starts = [match.start() for match in _PHRASE_START.finditer(line)]
    for start in starts[-MOST_WORDS:]:
        phrase = line[start:]
        if len(phrase) >= (LEAST_CHINESE if _CHINESE.match(phrase) else LEAST_LETTERS):
            yield phrase


def _begins_a_word(phrase: str, name: str) -> bool:
    """Return whether a phrase begins a name, or a later word of it, and is not yet the whole name."""
    plain, whole = phrase.casefold(), name.casefold()
    return plain != whole and (whole.startswith(plain) or f" {plain}" in whole)


def _by_count(table: FieldTable) -> tuple[str, ...]:
    counts = Counter(topic for topics in table.columns.get("topics", ()) for topic in _texts(topics))
    return tuple(topic for topic, _ in counts.most_common(MOST_TOPICS))


def _texts(topics: object) -> Sequence[str]:
    return [" ".join(topic.split()) for topic in topics] if isinstance(topics, tuple) else ()
