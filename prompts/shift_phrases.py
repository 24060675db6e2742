"""The sentences about a shift of interest: where the interest is going, and why."""

from collections.abc import Mapping
from typing import Annotated

from whimbrel.prompts.sentence_types import Counted, Table, counts, takes, takes_any


class CountPhrases(Table):
    """How many of several sessions or events have a topic.

    Attributes:
        all: All of them.
        only: All of them, if there is a single one.
        both: All of them, if there are two.
        some: Some of them.
        none: None of them.
    """

    all: Annotated[str, takes(optional="of")]
    only: Annotated[str, takes(optional="of")]
    both: Annotated[str, takes(optional="of")]
    some: Annotated[str, takes("count", optional="of")]
    none: Annotated[str, takes(optional="of")]


class PlacePhrases(Table):
    """The names of a segment at the end of a history, and of the events before it.

    Attributes:
        since: The segment, at the beginning of a story.
        since_then: The segment, at the beginning of a later sentence.
        then_since: The segment, in the second half of a sentence.
        before: The events before the segment, at the beginning of a story.
        before_that: These events, at the beginning of a later sentence.
        then_before: These events, in the second half of a sentence.
    """

    since: Annotated[str, takes_any("since", "count")]
    since_then: Annotated[str, takes_any("count")]
    then_since: Annotated[str, takes_any("count")]
    before: Annotated[str, takes_any("since")]
    before_that: str
    then_before: str


class ShiftPhrases(Table):
    """Where the interest is going, and why.

    Attributes:
        contrast: How often topics occur `here` (`now`), and how often elsewhere (`then`). `habit` is `mostly` or empty,
            `last` is `last_on` or empty.
        no_contrast: A shift, if no single topic is clearly more frequent on one side.
        mostly: The part of the day or week that nearly all events of a topic belong to.
        last_on: The last day of topics that occur no more.
        either: Joins topics of which any may occur.
        habit_since: A habit at the beginning of a story, with the first day of the history.
        habit_first: A habit that is much younger than the history, with its first day.
        so_far: A habit at the beginning of a story, if no times are known.
        instead: The opposite of a habit, at the beginning of a later sentence.
        at_hour: A time on a day, if the day alone does not tell.
        in_them: How many of events that were just named.
        no_shift: The strongest difference, if chance explains it.
        there_already: The latest events are already in the segment that differs. A contrast follows.
        doubt: The interest probably moves, but no difference shows where to. `moves` is the probability.
        last_events: The first of the names that `inside` and `outside` can have.
        hours: A part of the day.
        days: On working days, and at weekends.
        weekdays: From Monday to Sunday.
        day_parts: The four parts of the day, from midnight on.
        expects: The most likely topic of the next event and the signal that speaks most for it.
        signals: For each of `next_topics.TOPIC_FEATURES`, what it says of that topic, after "because".
        wished: A stated wish; `nearest` is `nearest_topics` or `no_topic_near`.
    """

    no_history: str
    no_topics: str
    too_few: Annotated[Counted, counts()]
    contrast: Annotated[str, takes("here", "topics", "habit", "now", "last", "there", "then")]
    no_contrast: str
    mostly: Annotated[str, takes("when")]
    last_on: Annotated[str, takes("day")]
    either: str
    habit_since: Annotated[str, takes("since", "where")]
    habit_first: Annotated[str, takes("where", "day")]
    so_far: Annotated[str, takes("where")]
    instead: Annotated[str, takes("where")]
    at_hour: Annotated[str, takes("time", "day")]
    trend: PlacePhrases
    session: PlacePhrases
    latest: PlacePhrases
    in_sessions: CountPhrases
    in_events: CountPhrases
    in_them: CountPhrases
    no_shift: Annotated[str, takes("inside", "outside")]
    there_already: str
    doubt: Annotated[Counted, counts("moves")]
    last_events: Annotated[str, takes("count")]
    events_before: Annotated[str, takes("count")]
    last_sessions: Annotated[str, takes("count")]
    sessions_before: Annotated[str, takes("count")]
    sessions: Annotated[str, takes("count", "which")]
    in_situation: Annotated[str, takes("key", "value")]
    in_other_situation: Annotated[str, takes("key", "value")]
    hours: Annotated[str, takes("first", "end")]
    other_hours: str
    days: tuple[str, str]
    weekdays: tuple[str, str, str, str, str, str, str]
    other_weekdays: str
    day_parts: tuple[str, str, str, str]
    season: str
    other_seasons: str
    expects: Annotated[str, takes("topic", "share", "signal")]
    signals: Mapping[str, str]
    wished: Annotated[str, takes("wish", "nearest", "share")]
    nearest_topics: Annotated[str, takes("topics")]
    no_topic_near: str
