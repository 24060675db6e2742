"""The sentences that give reasons, as `phrases.py` has those of every other stage."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from whimbrel.prompts.sentence_types import Counted, Table, counts, takes


class DayPhrases(Table):
    """When an event was, seen from the moment of the request.

    Attributes:
        on: The date, for an event of long ago.
        hours: Less than a day ago.
        weekday: In the last six days, and in the week before.
        this_weekday: In the last six days, and in the same week, which begins on Monday.
        weeks: From one to eight weeks ago.
        weekdays: The names from Monday to Sunday.
    """

    on: Annotated[str, takes("date")]
    hours: str
    yesterday: str
    weekday: Annotated[str, takes("weekday")]
    this_weekday: Annotated[str, takes("weekday")]
    weeks: tuple[str, str, str, str, str, str, str, str]
    weekdays: tuple[str, str, str, str, str, str, str]


class ReasonForms(Table):
    """The sentences that give a reason, each of which holds only where its facts do (`explanation.facts.Facts`).

    The values: `did`, what the person did with one or two items; `last`, the same of the latest event; `title` and
    `which`, an item and what the person did with it; `people`, a number of other people; `verb`, what they did; `count`
    and `of`, numbers; `topics`, shared topics; `topic`, a topic of the item; `words`, shared words of titles; `window`,
    a span of time.

    Attributes:
        others_most: More than half of those who chose the event's item.
        others_top: The event has the person's highest rating.
        topic_all: Item and event have the same topics.
        topic_rare: Few items of the catalogue have the topic.
        topic_top: As `others_top`.
        expected_other: No event has the expected topic.
        repeat_once: The person chose the item itself once.
        elsewhere_topic, elsewhere_close: What the person chose in another store is like it.
        looks: The image of the item is much like that of the event's item.
        modality: Another vector of the item is much like that of the event's item. `modality` is what it is of.
        near, near_topic, wish_near: The text is nearer to the wish than that of most items, and shows no more.
        wish_new: A wish of a person without history, for an item that few people chose.
        unknown_new: Neither the person nor the item is known.
    """

    others_share: Annotated[str, takes("did", "verb", "count", "of")]
    others_count: Annotated[str, takes("title", "which", "verb", "people")]
    others_most: Annotated[str, takes("title", "which", "verb", "count", "of")]
    others_top: Annotated[str, takes("title", "rating", "day", "verb", "people")]
    others_topic: Annotated[str, takes("title", "which", "topics", "verb", "people")]
    others_more: Annotated[str, takes("title", "which", "topics", "verb", "count", "of")]
    others_both: Annotated[str, takes("did", "verb", "count", "of")]
    topic: Annotated[str, takes("did", "topics")]
    topic_more: Annotated[str, takes("title", "which", "topics")]
    topic_several: Annotated[str, takes("title", "which", "topics")]
    topic_all: Annotated[str, takes("title", "which", "topics")]
    topic_two: Annotated[str, takes("did", "topics")]
    topic_rare: Annotated[str, takes("title", "which", "topic", "count", "of")]
    topic_top: Annotated[str, takes("title", "rating", "day", "topics")]
    words: Annotated[str, takes("did", "words")]
    words_more: Annotated[str, takes("title", "which", "words")]
    close: Annotated[str, takes("title", "which")]
    looks: Annotated[str, takes("title", "which")]
    modality: Annotated[str, takes("title", "which", "modality")]
    popular_topic: Annotated[str, takes("title", "which", "topics", "verb", "people", "window")]
    popular_since: Annotated[str, takes("did", "verb", "people")]
    popular_expected: Annotated[str, takes("did", "topic", "verb", "people", "window")]
    popular: Annotated[str, takes("last", "verb", "people", "window")]
    moves: Annotated[str, takes("did", "topic")]
    expected: Annotated[str, takes("did", "topic")]
    expected_other: Annotated[str, takes("last", "topic")]
    habit: Annotated[str, takes("title", "day", "topic", "count", "of")]
    repeat: Annotated[str, takes("verb", "count", "day")]
    repeat_once: Annotated[str, takes("verb", "day")]
    price: Annotated[str, takes("last", "price", "usual")]
    rare_topic: Annotated[str, takes("did", "topics", "verb", "people")]
    rare: Annotated[str, takes("last", "verb", "people")]
    fits_topic: Annotated[str, takes("did", "topics")]
    fits_expected: Annotated[str, takes("title", "which", "topic")]
    fits_others: Annotated[str, takes("title", "which", "verb", "people")]
    fits_popular: Annotated[str, takes("last", "verb", "people", "window")]
    fits: Annotated[str, takes("last")]
    near_topic: Annotated[str, takes("did", "topics")]
    near: Annotated[str, takes("last")]
    likely: Annotated[str, takes("last")]
    leftover: Annotated[str, takes("last")]
    elsewhere_topic: Annotated[str, takes("title", "topics")]
    elsewhere_close: Annotated[str, takes("title")]
    wish_popular: Annotated[str, takes("verb", "people", "window")]
    wish_new: str
    wish_near: str
    unknown_popular: Annotated[str, takes("verb", "people", "window")]
    unknown_new: str


class FactPhrases(Table):
    """The verified facts of an item, as a model that writes freely sees them. `events` are numbers in brackets."""

    topics: Annotated[str, takes("topics", "events")]
    words: Annotated[str, takes("words", "events")]
    close: Annotated[str, takes("events")]
    modality: Annotated[str, takes("modality", "events")]
    others: Annotated[str, takes("verb", "count", "of", "events")]
    popular: Annotated[str, takes("verb", "people", "window")]
    moves: Annotated[str, takes("topic")]
    expected: Annotated[str, takes("topic")]
    habit: Annotated[str, takes("topic", "count", "of")]
    repeat: Annotated[str, takes("count")]
    price: Annotated[str, takes("price", "usual")]
    wish: str
    shift: Annotated[str, takes("from_", "to")]
    no_shift: Annotated[str, takes("to")]


class ReasonPhrases(Table):
    """Why an item is recommended.

    Attributes:
        others_mark: Words that every sentence about other people has. They tell which figures an evaluation verifies.
        people: A number of other people.
        few: The same where the number is too small to be told.
        did: A verb and the titles that it holds for, with the day.
        did_again: The same on another day, after `did` with the same verb.
        also_did: Joins two parts of `did`.
        last: `did`, if it was the last thing that the person did.
        title_rated: A title in `did` with the rating that the person gave.
        which: What the person did with an item that the sentence names.
        which_rated: The same with the rating.
        windows: For each of `explanation.facts.WINDOWS` and `ever`, the span before the moment of the request.
        windows_until: The same before a date, where the moment is unknown.
    """

    others_mark: str
    people: Annotated[Counted, counts()]
    few: Annotated[str, takes("count")]
    did: Annotated[str, takes("verb", "titles", "day")]
    did_again: Annotated[str, takes("titles", "day", optional="verb")]
    also_did: str
    last: Annotated[str, takes("did")]
    title_rated: Annotated[str, takes("title", "rating")]
    which: Annotated[str, takes("verb", "day")]
    which_rated: Annotated[str, takes("rating", "day", optional="verb")]
    day: DayPhrases
    windows: Mapping[str, str]
    windows_until: Mapping[str, str]
    forms: ReasonForms
    facts: FactPhrases


def _split(text: object) -> object:
    if not isinstance(text, str):
        return text
    # A line may end within a phrase. `split` keeps NUL, which stands for a name.
    return tuple(" ".join(part.split()) for part in text.split(",") if part.strip())


def _valued(text: object) -> object:
    return dict(pair.split() for pair in text.split(",")) if isinstance(text, str) else text


Listed = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Words or phrases in lower case; the file lists them in one text, with commas between. A word of a script with spaces
that ends with `*` stands for all words that begin with it. NUL stands for a name."""


class FreePhrases(Table):
    """What a model that writes freely is given, and the words by which its claims are checked (`explanation.claims`).

    Attributes:
        event_line: An event as the model sees it.
        people: Words about other people, which need a fact with a number.
        people_count: A pattern that finds the number of people in a claim.
        likeness: Words that call things alike, which need something shared.
        moves: Words about a change of interest.
        wishes: Words about what the person asked for.
        feelings: Verbs of liking, which need a rating.
        times: Words about days and times, which must be given.
        lately: Those of `times` that an event of the last days supports.
        number_words: Numbers in words.
        numbers: The values of the smaller ones: `two 2, three 3`.
        unsupported: Praise, promises, knowledge of the world, and claims of always or never.
        openers: Words with which a sentence may begin; any other may be a name.
    """

    event_line: Annotated[str, takes("number", "did")]
    people: Listed
    people_count: str
    likeness: Listed
    moves: Listed
    wishes: Listed
    feelings: Listed
    times: Listed
    lately: Listed
    number_words: Listed
    numbers: Annotated[Mapping[str, int], BeforeValidator(_valued)]
    unsupported: Listed
    openers: Listed
