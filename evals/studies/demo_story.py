"""The story of a case: one person whose interest moves, the lists before and after, and what really came next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whimbrel.agent.agent import Agent, history_request
from whimbrel.agent.answers import answer_of
from whimbrel.agent.pipeline import RECOMMEND, SHIFT
from whimbrel.agent.schema.results import Recommendations, Shift
from whimbrel.agent.shift.predict import Prediction
from whimbrel.evals.studies.demo_cases import CaseLog, Person
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.sessions import session_starts
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import DAY_SECONDS

LIST_LENGTH = 5
LEAST_EVENTS, MOST_READ, SUREST = 10, 100, 8
"""MOST_READ people with at least LEAST_EVENTS events are read. For the SUREST of them lists are made."""
MOST_BACK = 20
"""How many earlier moments of the person are tried for the list before the shift."""
LEAST_PREFIX = 5
"""Without times, the list before the shift knows at least this many events."""
NEXT_DAYS = 14
"""The lists are compared with what was chosen in this many days."""


@dataclass(frozen=True)
class Story:
    """The lists of one person before and after a shift, and what came next.

    If no shift is named, the topics of the shift are the likeliest next topics.

    Attributes:
        read: How many people the person was chosen from.
        timed: Whether the log has times.
        moves: The probability that the next event has none of the latest topics.
        before: The list at the last earlier moment at which none of the shift's topics was expected.
        after: The list at the moment asked about.
        in_before: How many items of the list before have a topic of the shift.
        in_after: How many items of the list after have one.
        chosen: Titles of what was chosen next, each once, in order.
        hits_before: How many items of the list before were chosen next.
        hits_after: How many items of the list after were chosen next.
        alike_after: Of how many items of the list after something with a common topic was chosen.
        came_true: Whether something with a topic of the shift was chosen next.
    """

    user_id: str
    read: int
    timed: bool
    moves: float
    before: Recommendations
    after: Recommendations
    in_before: int
    in_after: int
    chosen: list[str]
    hits_before: int
    hits_after: int
    alike_after: int
    came_true: bool

    @property
    def shift(self) -> Shift:
        """The shift at the moment asked about."""
        return self.after.shift

    def document(self) -> dict[str, Any]:
        """Return the story as JSON."""
        listed = {name: getattr(self, name).model_dump(mode="json") for name in ("before", "after")}
        return {**{name: value for name, value in vars(self).items() if name not in listed}, **listed}


@dataclass(frozen=True)
class _Moment:
    """What is known at a moment of a person."""

    history: Sequence[Item]
    at: float | None


def tell_story(log: CaseLog, agent: Agent, progress: Progress) -> Story:
    """Choose a person, and recommend before and after the shift.

    Whimbrel reads MOST_READ people without a language model. It is surest of a shift for SUREST of them. If it names
    too few, those follow whose interest most probably moves. Of these people, the one is shown whose list moves most
    towards the topics of the shift. Only what was before the moment asked about is read.

    Args:
        log: The log of a case.
        agent: The agent that makes the two lists. It may have a language model.
        progress: Shows the progress.

    Raises:
        DataError: nobody has a history that is long enough.
    """
    read, surest = _surest(log, progress)
    progress.step("Making lists before and after", len(surest))
    shown = None
    for person, prediction in surest:
        topics = set(prediction.shift.to_topics)
        moments = _before_shift(log.agent, person, topics), _present(person)
        titles = [_recommend(log.agent, person, moment) for moment in moments]
        gain = _count(log, person, titles[1], topics) - _count(log, person, titles[0], topics)
        # On equal gain the surest person is shown.
        if shown is None or gain > shown[0]:
            shown = gain, person, prediction, moments
        progress.advance(1)
    if shown is None:
        raise DataError(f"nobody in this log has {LEAST_EVENTS} events before the moment asked about")
    _, person, prediction, moments = shown
    progress.step("Recommending", None)
    return _story(log, person, read, prediction, *(_recommend(agent, person, moment) for moment in moments))


def _present(person: Person) -> _Moment:
    # A person is asked about when they come back. With no times, that is after the last event of the history.
    return _Moment(person.history, person.at and person.later[0].time)


def _surest(log: CaseLog, progress: Progress) -> tuple[int, list[tuple[Person, Prediction]]]:
    """Return how many people were read, and the people with the surest predictions, the surest first."""
    readable = [person for person in log.people if len(person.history) >= LEAST_EVENTS][:MOST_READ]
    progress.step("Looking for an interest that moves", len(readable))
    read = []
    for person in readable:
        read.append((person, _predicted(log.agent, _present(person))))
        progress.advance(1)
    return len(read), sorted(read, key=lambda pair: _sureness(pair[1]), reverse=True)[:SUREST]


def _predicted(agent: Agent, moment: _Moment) -> Prediction:
    return agent.run(history_request(moment.history, at=moment.at), SHIFT).prediction


def _sureness(prediction: Prediction) -> tuple[bool, float]:
    """Return how sure a move is. Any named shift is surer than an interest that may move."""
    named = prediction.shift.kind != "none"
    return named, prediction.shift.confidence if named else prediction.p_topic_change or 0.0


def _before_shift(agent: Agent, person: Person, topics: set[str]) -> _Moment:
    """Return the latest earlier moment at which none of the topics was expected, else the earliest that was tried."""
    now = _present(person)
    moments = _earlier(now)[:MOST_BACK]
    for moment in moments:
        if not topics & set(_predicted(agent, moment).shift.to_topics):
            return moment
    return moments[-1] if moments else now


def _earlier(now: _Moment) -> list[_Moment]:
    """Return the earlier moments, the latest first: the starts of sessions or, without times, the single events."""
    history = now.history
    if now.at is None:
        return [_Moment(history[:count], None) for count in range(len(history) - 1, LEAST_PREFIX - 1, -1)]
    times = [event.time or 0.0 for event in history]
    starts = session_starts(times).tolist()[1:]
    return [_Moment(history[:start], times[start]) for start in reversed(starts)]


def _recommend(agent: Agent, person: Person, moment: _Moment) -> Recommendations:
    request = history_request(moment.history, at=moment.at, k=LIST_LENGTH, candidates=person.candidates)
    answer = answer_of(agent.run(request, RECOMMEND), 0.0)
    listed = answer.recommendations[:LIST_LENGTH]
    if moment.at is None:  # reasons cite dated events, and this log has none
        items = {item.item_id: item for item in person.candidates or ()}
        listed = tuple(
            entry.model_copy(update={"explanation": undated_reason(items[entry.item_id], moment.history)})
            for entry in listed
        )
    return answer.model_copy(update={"recommendations": listed})


def undated_reason(item: Item, history: Sequence[Item]) -> str:
    """Return which item of the history shares the most topics with an item, the latest one if several do.

    Example:
        >>> tea, mug = Item(title="Green tea", topics=("Tea",)), Item(title="Tea mug", topics=("Tea", "Mugs"))
        >>> undated_reason(mug, [tea])
        "Like 'Green tea', which was chosen before: Tea."
    """
    nearest = max(reversed(history), key=lambda event: len(set(event.topics) & set(item.topics)), default=item)
    common = [topic for topic in item.topics if topic in nearest.topics]
    if nearest is item or not common:
        return "Nothing that was chosen before has its topics."
    return f"Like {nearest.title!r}, which was chosen before: {', '.join(common)}."


def _topics(log: CaseLog, person: Person) -> dict[str, set[str]]:
    return {item.item_id: set(item.topics) for item in person.candidates or log.items}


def _count(log: CaseLog, person: Person, answer: Recommendations, topics: set[str]) -> int:
    """Return how many listed items have one of the topics."""
    topics_of = _topics(log, person)
    return sum(bool(topics_of[entry.item_id] & topics) for entry in answer.recommendations)


def _story(
    log: CaseLog, person: Person, read: int, prediction: Prediction, before: Recommendations, after: Recommendations
) -> Story:
    until = (person.later[0].time or 0.0) + NEXT_DAYS * DAY_SECONDS if person.at is not None else None
    later = [event for event in person.later if until is None or (event.time or 0.0) < until]
    moved, chosen_topics = set(after.shift.to_topics), {topic for event in later for topic in event.topics}
    chosen = {event.item_id for event in later}

    return Story(
        user_id=person.user_id,
        read=read,
        timed=person.at is not None,
        moves=prediction.p_topic_change or 0.0,
        before=before,
        after=after,
        in_before=_count(log, person, before, moved),
        in_after=_count(log, person, after, moved),
        chosen=list(dict.fromkeys(event.title for event in later)),
        hits_before=sum(entry.item_id in chosen for entry in before.recommendations),
        hits_after=sum(entry.item_id in chosen for entry in after.recommendations),
        alike_after=_count(log, person, after, chosen_topics),
        came_true=bool(moved & chosen_topics),
    )
