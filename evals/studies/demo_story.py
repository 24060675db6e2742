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
LEAST_EVENTS, MOST_READ = 10, 150
"""The person is chosen among MOST_READ people with at least LEAST_EVENTS events."""
MOST_BACK = 40
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

    Whimbrel reads MOST_READ people without a language model. It chooses the one for whom it is surest of a shift. If it
    names a shift for nobody, it chooses the one whose interest most probably moves. Only what was before the moment
    asked about is read.

    Args:
        log: The log of a case.
        agent: The agent that makes the two lists. It may have a language model.
        progress: Shows the progress.

    Raises:
        DataError: nobody has a history that is long enough.
    """
    person, prediction, read = _surest(log, progress)
    now = _present(person)
    before = _before_shift(log.agent, person, now, set(prediction.shift.to_topics), progress)
    progress.step("Recommending", 2)
    lists = []
    for moment in (before, now):
        lists.append(_recommend(agent, person, moment))
        progress.advance(1)
    return _story(log, person, read, prediction, *lists)


def _present(person: Person) -> _Moment:
    # A person is asked about when they come back. With no times, that is after the last event of the history.
    return _Moment(person.history, person.at and person.later[0].time)


def _surest(log: CaseLog, progress: Progress) -> tuple[Person, Prediction, int]:
    """Return the person with the surest shift, the prediction, and how many people were read."""
    readable = [person for person in log.people if len(person.history) >= LEAST_EVENTS][:MOST_READ]
    progress.step("Looking for an interest that moves", len(readable))
    best: tuple[Person, Prediction] | None = None
    for person in readable:
        prediction = _predicted(log.agent, _present(person))
        progress.advance(1)
        # On equal values the earlier person wins, so that the choice never varies.
        if best is None or _sureness(prediction) > _sureness(best[1]):
            best = person, prediction
    if best is None:
        raise DataError(f"nobody in this log has {LEAST_EVENTS} events before the moment asked about")
    return *best, len(readable)


def _predicted(agent: Agent, moment: _Moment) -> Prediction:
    return agent.run(history_request(moment.history, at=moment.at), SHIFT).prediction


def _sureness(prediction: Prediction) -> tuple[bool, float]:
    """Return how sure a move is. Any named shift is surer than an interest that may move."""
    named = prediction.shift.kind != "none"
    return named, prediction.shift.confidence if named else prediction.p_topic_change or 0.0


def _before_shift(agent: Agent, person: Person, now: _Moment, topics: set[str], progress: Progress) -> _Moment:
    """Return the latest earlier moment at which none of the topics was expected, else the earliest that was tried."""
    moments = list(_earlier(now))[:MOST_BACK]
    progress.step("Going back to before the shift", len(moments))
    for moment in moments:
        shift = _predicted(agent, moment).shift
        progress.advance(1)
        if not topics & set(shift.to_topics):
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
    return answer.model_copy(update={"recommendations": answer.recommendations[:LIST_LENGTH]})


def _story(
    log: CaseLog, person: Person, read: int, prediction: Prediction, before: Recommendations, after: Recommendations
) -> Story:
    until = (person.later[0].time or 0.0) + NEXT_DAYS * DAY_SECONDS if person.at is not None else None
    later = [event for event in person.later if until is None or (event.time or 0.0) < until]
    topics_of = {item.item_id: set(item.topics) for item in (*log.items, *(person.candidates or ()))}
    moved, chosen_topics = set(after.shift.to_topics), {topic for event in later for topic in event.topics}
    chosen = {event.item_id for event in later}

    def listed(answer: Recommendations, fits: set[str]) -> int:
        return sum(bool(topics_of[entry.item_id] & fits) for entry in answer.recommendations)

    return Story(
        user_id=person.user_id,
        read=read,
        timed=person.at is not None,
        moves=prediction.p_topic_change or 0.0,
        before=before,
        after=after,
        in_before=listed(before, moved),
        in_after=listed(after, moved),
        chosen=list(dict.fromkeys(event.title for event in later)),
        hits_before=sum(entry.item_id in chosen for entry in before.recommendations),
        hits_after=sum(entry.item_id in chosen for entry in after.recommendations),
        alike_after=listed(after, chosen_topics),
        came_true=bool(moved & chosen_topics),
    )
