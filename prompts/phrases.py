"""The sentences that Whimbrel writes itself, in each language that it answers in.

The words are in `en.toml` and `zh.toml`, one file per language with the same keys. The classes below name the keys, and
the placeholders that each sentence must have. A file is checked against them when it is loaded, so a translator sees at
once that a placeholder is missing or misspelt.

Example:
    >>> load_phrases("en").summary.nothing_known
    'Nothing is known yet.'
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict

from whimbrel.prompts.chat_phrases import ChatPhrases
from whimbrel.prompts.reason_phrases import FreePhrases, ReasonPhrases
from whimbrel.prompts.sentence_types import Counted, Table, Words, counts, takes
from whimbrel.prompts.shift_phrases import ShiftPhrases

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def _event_names() -> Mapping[str, str]:
    """Return the event that has a verb, keyed by each word that logs use for it."""
    text = resources.files(__package__).joinpath("event_words.toml").read_text("utf-8")
    return {word: name for name, words in tomllib.loads(text).items() for word in [name, *words.split()]}


def _event_word(event: str) -> str:
    return re.sub(r"[\s.-]+", "_", event.strip().casefold())


class Writing(Table):
    """How lists, sentences, titles and times are written.

    Attributes:
        sentence_gap: What stands between two sentences.
        title: A title within a sentence.
        date: A day within a sentence.
        moment: A day and a time, on a screen.
    """

    comma: str
    semicolon: str
    conjunction: str
    sentence_gap: str
    full_stop: str
    title: Annotated[str, takes("title")]
    date: Annotated[str, takes("time")]
    moment: Annotated[str, takes("time")]

    def listed(self, names: Sequence[str]) -> str:
        """Join names as in a sentence: `Soup, Eggs and Tea`."""
        return self.conjunction.join(filter(None, [self.comma.join(names[:-1]), *names[-1:]]))


class Events(Table):
    """What a person did, as a verb in the past tense.

    Attributes:
        verbs: The verb of each event: `bought` for `purchase`.
        meanings: The verb of an event with another word, by what the word means: `looked at` for `seen`.
        other: The verb of any other event.
        tense: What a verb ends with, unless it modifies a noun: \u4e70\u4e86, but \u4e70\u7684\u4e66. May be empty.
    """

    verbs: Mapping[str, str]
    meanings: Mapping[str, str]
    other: str
    tense: str

    def verb(self, event: str, meaning: str | None = None) -> str:
        """Return the verb of an event: `bought` for `purchase`, otherwise that of what the word means.

        Words of other languages for the same event have the same verb.

        Example:
            >>> load_phrases("en").events.verb("\u8d2d\u4e70"), load_phrases("en").events.verb("tip", "chosen")
            ('bought', 'chose')
        """
        known = self.verbs.get(event) or self.verbs.get(_event_names().get(_event_word(event), ""))
        return known or self.meanings.get(meaning or "", self.other)

    def modifying(self, verb: str) -> str:
        """Return a verb as it stands before the noun that it modifies."""
        return verb.removesuffix(self.tense)


class SummaryPhrases(Table):
    """What a person is interested in.

    Attributes:
        lately: For a history without topics: the latest titles.
        so_far: For a history that is all recent.
        numbers_so_far: The same behind a sentence of the model, which has no numbers.
        numbers: As `lately_and_before`, behind a sentence of the model.
        session: The intents of the latest session, joined by `then`.
        no_earlier_topics: What the model is told where there are no earlier topics.
    """

    nothing_known: str
    lately: Annotated[str, takes("recent")]
    so_far: Annotated[str, takes("recent")]
    lately_and_before: Annotated[str, takes("recent", "earlier")]
    numbers_so_far: Annotated[str, takes("recent")]
    numbers: Annotated[str, takes("recent", "earlier")]
    topic_count: Annotated[str, takes("topic", "count")]
    session: Annotated[str, takes("intents")]
    then: str
    no_earlier_topics: str


class WhyPhrases(Table):
    """What speaks for an item and against it, by the causes of `explanation.cite.CAUSES`.

    Attributes:
        mostly: The strongest cause for the item.
        also: The other causes for it.
        against: The causes against it.
        none_for: Where no cause speaks for it.
        because: What each cause says where it speaks for the item.
        despite: What each cause says where it speaks against the item.
    """

    mostly: Annotated[str, takes("cause")]
    also: Annotated[str, takes("causes")]
    against: Annotated[str, takes("causes")]
    none_for: str
    because: Mapping[str, str]
    despite: Mapping[str, str]


class ScreenPhrases(Table):
    """Titles and labels around the answers on a screen.

    Attributes:
        maybe_title: The title of a shift that is not sure enough to be a headline.
        shift_line: A shift in one line, in a conversation. `title` is `shift_title` or `maybe_title`.
        maybe_line: The same where the shift is not sure enough.
        no_shift_line: The same where no shift is named. `percent` is the probability that the interest stays.
        stays: The label of that probability.
        stays_percent: That probability with its meaning.
        stays_mark: That probability in short, as in a timeline.
        maybe_mark: A shift that is not sure enough in short, as in a timeline.
        maybe_to: The label of the topics that it may go to.
        maybe_topics: These topics, with the probability of the shift.
        from_: The topics that a shift leaves.
        to: The topics that it goes to.
        next: The most likely topics, where there is no shift.
        event: An event of the person, in one line.
        kinds: The names of the kinds of shift.
    """

    user: Annotated[str, takes("user")]
    somebody_new: str
    summary_title: Annotated[str, takes("who", "moment")]
    shift_title: Annotated[str, takes("kind")]
    shift_title_at: Annotated[str, takes("moment", "kind")]
    maybe_title: str
    maybe_title_at: Annotated[str, takes("moment")]
    shift_line: Annotated[str, takes("title", "percent", "reason")]
    maybe_line: Annotated[str, takes("title", "topics", "percent", "reason")]
    no_shift_line: Annotated[str, takes("title", "percent", "reason")]
    confidence: str
    stays: str
    stays_percent: Annotated[str, takes("percent")]
    stays_mark: Annotated[str, takes("percent")]
    maybe_mark: Annotated[str, takes("percent")]
    maybe_to: str
    maybe_topics: Annotated[str, takes("topics", "percent")]
    from_: str
    to: str
    next: str
    because: str
    events: str
    event: Annotated[str, takes("moment", "verb", "title")]
    time_unknown: str
    note: Annotated[str, takes("words")]
    kinds: Mapping[str, str]


class TimelinePhrases(Table):
    """How an interest moved, on a screen.

    Attributes:
        by_unit: The length of a period that is one unit of time.
        in_units: The length of a period that is several units.
        mark_to: The topics that a shift of the past went to, behind its kind.
        leaves: The probability that the next event has none of the topics of the last events.
        outlook: What the next days will hold.
        units: The names of `shift.timeline.UNITS`, and of sessions.
    """

    heading: Annotated[str, takes("who", "events", "when", "steps")]
    period: Annotated[str, takes("first", "last")]
    by_unit: Annotated[str, takes("unit")]
    in_units: Annotated[str, takes("unit")]
    events_column: str
    topics_column: str
    shift_column: str
    mark_to: Annotated[str, takes("topics")]
    others: str
    no_topics: str
    without_events: Annotated[str, takes("count")]
    next_event: Annotated[str, takes("topics")]
    leaves: Annotated[Counted, counts("share")]
    outlook: Annotated[Counted, counts("topics")]
    outlook_new: Annotated[str, takes("topics")]
    outlook_nothing: str
    events: Annotated[Counted, counts()]
    units: Mapping[str, str]


class GeneratedPhrases(Table):
    """What the language model is given to word, and the words that its sentences may be made of.

    Attributes:
        token_factor: Tokens that a sentence may take, as a multiple of an English one's. Small vocabularies spell
            Chinese in bytes.
        event_line: An event as the model sees it.
        reason: A reason; `[1]` stands for the event's name, `[day]` for its day, and `relation` holds `[item]` for the
            item's name.
        relations: What may be said of an item, by what carried it (`explanation.cite.CAUSES`). `[count]` and `[of]`
            stand for numbers of other people, `[topic]` for what the item and the event, or the interest, share. A
            relation is used where all of its places have a value.
        summary_words: Words of a summary beside the topics. None says anything of the world: no negation, no praise,
            no cause.
        reason_words: Words of a reason beside the names. They are fewer, since a reason claims what a person did.
        others_words: Words about other people, allowed in reasons that rest on co-occurrence alone.
        common_words: Words that tell no title from another, and name no relation.
        earlier: In a summary, the topics that follow one of these words are those of the long term.
        marks: Signs that may stand beside the words; any sign where this is empty.
        quotes: Pairs of quotation marks, none of which may stay open.
        clause_ends: Signs, one of which must part what the person did from what is said of the item. Empty where the
            order of the words alone shows that.
        free: The same for a model that writes freely.
    """

    token_factor: int
    event_line: Annotated[str, takes("number", "verb", "title")]
    reason: Annotated[str, takes("verb", "relation")]
    relations: Mapping[str, tuple[str, ...]]
    summary_words: Words
    reason_words: Words
    others_words: Words
    common_words: Words
    earlier: tuple[str, ...]
    marks: str
    quotes: tuple[str, ...]
    clause_ends: str
    free: FreePhrases

    def clauses(self, sentence: str) -> list[str]:
        """Return the clauses of a sentence, or the whole sentence where the language has no `clause_ends`.

        A sign within a quotation ends no clause.
        """
        if not self.clause_ends:
            return [sentence]
        outside = "".join(f"(?![^{pair}]*{pair[1]})" for pair in self.quotes if pair[0] != pair[1])
        return re.split(f"[{self.clause_ends}]{outside}", sentence)


class ReadingPhrases(Table):
    """What is said of a model's reading of a person.

    Attributes:
        expects: The shift that the model expects instead of the one that is named.
        no_test: Follows the model's sentence about a shift that no test of the events shows.
    """

    expects: Annotated[str, takes("topics", "share")]
    no_test: str


class PathPhrases(Table):
    """By which way a list was made where little or nothing is known, in one sentence each.

    Attributes:
        new, new_wish: Nothing is known of the person, without a wish and with one.
        elsewhere, both: A history in another store counts, alone and beside one here.
        no_log, no_log_model: The store has no events; a language model ordered the list, or none.
        new_items: The list has items without events.
    """

    new: str
    new_wish: str
    elsewhere: Annotated[str, takes("count")]
    both: Annotated[str, takes("count")]
    no_log: str
    no_log_model: str
    new_items: Annotated[str, takes("count", "of")]


class NotePhrases(Table):
    """What a person should know of an answer, in one sentence without a full stop.

    Attributes:
        without_model: The language model failed, so everything but its part was done.
        useless_model: No reply of the model could be used. `why` is the first cause, in brackets, or empty.
        unseen: The given situation stands with no event.
        nothing_before: A user without events before the moment.
        short: The list has fewer items than were asked for.
        sensitive: A part of the context names a sensitive topic.
        no_policy_field, no_fact: A policy reads a field that no item has, or a fact that is unknown.
        newer_model, other_model: Why a tuned model was not asked.
        no_transfer: What was learned in another store is not used. `verdict` has the figures.
        no_history, no_history_new: A history in another store is not used, for people with one here and new ones.
        verdict: The figures of a trial on held-out people.
    """

    without_model: Annotated[str, takes("error")]
    useless_model: Annotated[str, takes("why")]
    unseen: Annotated[str, takes("situation")]
    nothing_before: Annotated[str, takes("user", "moment")]
    short: Annotated[str, takes("count", "of")]
    sensitive: str
    no_policy_field: Annotated[str, takes("name")]
    no_fact: Annotated[str, takes("name", "example")]
    newer_model: str
    other_model: Annotated[str, takes("base", "spec")]
    no_transfer: Annotated[str, takes("store", "verdict")]
    no_history: Annotated[str, takes("store", "verdict")]
    no_history_new: Annotated[str, takes("store", "verdict")]
    verdict: Annotated[str, takes("gain", "error", "people")]


class Phrases(Table):
    """All sentences of one language.

    Attributes:
        zone: The zone of every time that a sentence has.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    writing: Writing
    events: Events
    summary: SummaryPhrases
    shift: ShiftPhrases
    reading: ReadingPhrases
    reasons: ReasonPhrases
    why: WhyPhrases
    chat: ChatPhrases
    paths: PathPhrases
    notes: NotePhrases
    screen: ScreenPhrases
    timeline: TimelinePhrases
    generated: GeneratedPhrases
    zone: tzinfo = UTC

    def local(self, time: float) -> datetime:
        """Return a time, in Unix seconds, on a clock of the zone."""
        return datetime.fromtimestamp(time, tz=self.zone)

    def date(self, time: float) -> str:
        """Write the day of a time: `8 July 2017`."""
        return self.writing.date.format(time=self.local(time))

    def moment(self, time: float) -> str:
        """Write a time: `Sat 8 July 2017, 17:18`."""
        return self.writing.moment.format(time=self.local(time))


@cache
def load_phrases(language: Language, zone: tzinfo = UTC) -> Phrases:
    """Load the sentences of a language.

    Args:
        language: The language.
        zone: The zone of all times. The sentences only name it if it is UTC.

    Raises:
        ValueError: The file lacks a key, has one too many, or a sentence takes other values than it must.
    """
    return Phrases.model_validate({**read_phrases(language, local=zone is not UTC), "zone": zone})


def read_phrases(language: Language, *, local: bool = False) -> dict[str, Any]:
    """Read the file of a language. If times are local, they are not called UTC."""
    text = resources.files(__package__).joinpath(f"{language}.toml").read_text("utf-8")
    return tomllib.loads(re.sub(r" UTC|（UTC）| ?\(UTC\)", "", text) if local else text)
