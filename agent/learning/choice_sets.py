"""What people chose, with what they could have chosen instead: moments of a log, as the fusion learns from them.

Nothing that happened at or after a moment has any part in its candidates and signals. What was met before is no choice:
it is learned which new item comes. Of several at one moment (a basket) each is a choice of its own, without the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from whimbrel.agent.language_models.option_scores import HISTORY_SHOWN
from whimbrel.agent.learning.ranking import Choice
from whimbrel.agent.profile.summarise import short_titles
from whimbrel.agent.ranking.features import signals_of
from whimbrel.agent.ranking.fusion import Where
from whimbrel.agent.ranking.rank import where_listed
from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.agent.shift.predict import Prediction, predict_shift
from whimbrel.tools.log.click_rates import Appeal
from whimbrel.tools.log.co_occurrence import Crowd
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemFactors
from whimbrel.tools.log.topic_habits import HabitsInTime
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import (
    LEARNED,
    Candidate,
    Catalogue,
    Interest,
    Query,
    described,
    interest_of,
    reciprocal,
    retrieve,
    search,
)
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.item_vectors import item_vectors

T = TypeVar("T")

LEAST_EVENTS = 2
"""Events of a person before a moment."""
UNIFORM, POPULAR = 10, 9
"""Candidates beside what was chosen, where they are listed: drawn alike, and as often as they were met."""
RETRIEVED = 200
"""Candidates of a whole catalogue."""
MOST_EVENTS = 1000
"""Latest events of a history that are read."""
MOST_CHOSEN = 8
"""Items of one moment that are learned from."""


class Library(Catalogue, Protocol):
    """A catalogue that knows the people of its log."""

    def history(self, user_id: str) -> Sequence[Item]:
        """All events of a person, in the order of the log."""

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """The vectors of these topics' names; a topic without one is left out."""


@dataclass(frozen=True)
class Moment:
    """Somebody `chose` items at the time `before`, which the log counts in, after this history; in random order."""

    user: str
    history: Sequence[Item]
    before: float
    chose: Sequence[str]
    context: Context


def moments(library: Library, *, most: int, warm_up: float, seed: int = 0) -> Iterator[Moment]:
    """Moments of the log in which somebody met an item that was new to them, drawn at random, those of one person as
    few as the number of people allows. The share `warm_up` of the log lies before all of them."""
    log = library.log
    if not len(log.time):
        return
    since = log.time[min(int(len(log.time) * warm_up), len(log.time) - 1)]
    random = np.random.default_rng(seed)
    order = np.argsort(log.user, kind="stable")
    bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
    late = np.unique(log.user[log.time >= since])
    per_user = max(2, -(-2 * most // max(len(late), 1)))
    found = 0
    for user in random.permutation(late):
        events = order[bounds[user] : bounds[user + 1]]
        first = np.sort(np.unique(log.item[events], return_index=True)[1])
        starts = np.searchsorted(log.time[events], log.time[events])
        new = first[(log.time[events[first]] >= since) & (starts[first] >= LEAST_EVENTS)]
        if not len(new):
            continue
        name = log.user_ids[user]
        history = library.history(name)
        for start in random.permutation(np.unique(starts[new]))[:per_user]:
            known = history[max(int(start) - MOST_EVENTS, 0) : int(start)]
            came = [history[place] for place in random.permutation(new[starts[new] == start])[:MOST_CHOSEN]]
            chose, context = [item.item_id for item in came], _situation(came[0])
            yield Moment(name, known, float(log.time[events[start]]), chose, context)
            found += 1
            if found == most:
                return


def _situation(event: Item) -> Context:
    """That of an event; one that could be no request's tells nothing."""
    try:
        return Context.model_validate(getattr(event, "context", {}) or {})
    except ValidationError:
        return Context()


def choices(
    given: Sequence[Moment],
    library: Library,
    where: Where,
    *,
    learned: NextTopics,
    factors: ItemFactors | None,
    channels: Mapping[str, float] | None = None,
    retrieved: int = RETRIEVED,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Choice]:
    """What the fusion sees of moments; those whose item retrieval does not bring teach nothing of a catalogue, whose
    `channels` weigh as told."""
    habits, random = HabitsInTime(library.log), np.random.default_rng(seed)
    found = []
    for moment in given:
        seen = Seen.of_library(moment, library, habits, learned)
        if where == "catalogue":
            query = seen.query(moment, factors)
            candidates = retrieve(library, query, weights=channels, n=retrieved, by_title=False)
        else:
            candidates = _listed(moment, library, factors, random, known=where == "listed")
        found += seen.choice(moment, candidates)
        advance(1)
    return found


def channel_choices(
    given: Sequence[Moment],
    library: Library,
    *,
    learned: NextTopics,
    factors: ItemFactors | None,
    n: int = RETRIEVED,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Choice]:
    """What retrieval sees of moments: instead of signals what the place of a candidate in each of the channels LEARNED
    is worth, 0 where a channel does not bring it, shape (candidates, channels)."""
    habits, found = HabitsInTime(library.log), list[Choice]()
    for moment in given:
        seen = Seen.of_library(moment, library, habits, learned)
        brought = search(library, seen.query(moment, factors), n=n).places
        worth = [[reciprocal(own[name]) if name in own else 0.0 for name in LEARNED] for own in brought.values()]
        for kept, place in _apart(list(brought), library.log.rows(moment.chose).tolist()):
            found.append(Choice(moment.user, np.array(worth)[kept], place))
        advance(1)
    return found


def given_choices(
    given: Sequence[tuple[Moment, Sequence[Item], Appeal]],
    log: InteractionLog,
    *,
    learned: NextTopics,
    factors: ItemFactors | None,
) -> dict[Where, list[Choice]]:
    """The same of moments whose candidates were given, by what the log, all of which lies before, knows of these, and
    what lists that were shown to others tell."""
    habits, found = HabitsInTime(log), dict[Where, list[Choice]]()
    for moment, items, appeal in given:
        vectors = dict(zip([i.item_id for i in items], item_vectors(items), strict=True))
        met = dict(zip([i.item_id for i in moment.history], item_vectors(moment.history), strict=True))
        seen = Seen.of(moment, met, encode, habits, learned)
        candidates = described(items, vectors, Crowd.of(log, moment.history, before=moment.before, factors=factors))
        found.setdefault(where_listed(candidates), []).extend(seen.choice(moment, candidates, appeal))
    return found


@dataclass(frozen=True)
class Seen:
    """What the agent makes of a moment before it looks at candidates."""

    prediction: Prediction
    interest: Interest

    @classmethod
    def of(
        cls,
        moment: Moment,
        vectors: Mapping[str, Vectors],
        vectors_of_topics: Callable[[Sequence[str]], Iterable[Vectors]],
        habits: HabitsInTime,
        learned: NextTopics,
    ) -> "Seen":
        """Without a language model, from the vectors of the items of the history."""
        times = [item.time for item in moment.history]
        known = habits.before(moment.before)
        prediction = predict_shift(
            moment.history,
            at=moment.before if times and None not in times else None,
            context=moment.context,
            topic_vectors={},
            llm=None,
            habits=known if len(known.topics) else None,
            learned=learned,
        )
        predicted = list(vectors_of_topics(prediction.shift.to_topics)) if prediction.shift.to_topics else []
        return cls(prediction, interest_of(moment.history, vectors, predicted=predicted))

    @classmethod
    def of_library(cls, moment: Moment, library: Library, habits: HabitsInTime, learned: NextTopics) -> "Seen":
        """The same, vectors being those of a library."""
        met = library.item_vectors(sorted({item.item_id for item in moment.history}))
        return cls.of(moment, met, library.vectors_of_topics, habits, learned)

    def query(self, moment: Moment, factors: ItemFactors | None) -> Query:
        """What retrieval is asked."""
        return Query(moment.history, moment.before, self.interest, self.prediction.topics, factors)

    def choice(self, moment: Moment, candidates: Sequence[Candidate], appeal: Appeal | None = None) -> list[Choice]:
        """What was chosen among candidates, one choice an item; none where it is not among them, or alone."""
        apart = list(_apart([candidate.item.item_id for candidate in candidates], moment.chose))
        if not apart:
            return []
        shift = self.prediction.shift
        signals = signals_of(
            candidates,
            history=moment.history,
            interest=self.interest,
            expected=self.prediction.topics,
            moved=shift.confidence if shift.kind != "none" else 0.0,
            appeal=appeal,
        )
        titles = short_titles([candidate.item for candidate in candidates])
        shown = tuple(short_titles(moment.history[-HISTORY_SHOWN:]))
        return [
            Choice(moment.user, signals[kept], place, tuple(titles[row] for row in kept), shown)
            for kept, place in apart
        ]


def _apart(ids: Sequence[T], chose: Sequence[T]) -> Iterator[tuple[list[int], int]]:
    """For each of `ids` that was chosen the rows left without the others that were, and its place among these."""
    chosen = [row for row, name in enumerate(ids) if name in chose]
    for one in chosen:
        kept = [row for row in range(len(ids)) if row == one or row not in chosen]
        if len(kept) > 1:
            yield kept, kept.index(one)


def _listed(
    moment: Moment, library: Library, factors: ItemFactors | None, random: np.random.Generator, *, known: bool
) -> list[Candidate]:
    """What was chosen (the first) among items drawn from those known then and not met, in random order; with nothing
    that a log would tell of them unless it is `known`."""
    log = library.log
    crowd = Crowd.of(log, moment.history, before=moment.before, factors=factors)
    free = log.known(before=moment.before)
    met = log.rows([*moment.chose, *(item.item_id for item in moment.history)])
    if known and not free[met[0]]:  # being new would tell it from the others
        return []
    free[met[met >= 0]] = False
    rows = np.flatnonzero(free)
    if len(rows) <= UNIFORM + POPULAR:
        return []
    drawn = random.choice(rows, UNIFORM, replace=False)
    share = crowd.ever[rows] + 0.1
    drawn = np.union1d(drawn, random.choice(rows, POPULAR, replace=False, p=share / share.sum()))
    drawn = random.permutation(np.append(drawn, met[0]))
    ids = [log.item_ids[row] for row in drawn]
    items = library.items(ids)
    found = described([items[item_id] for item_id in ids], library.item_vectors(ids), crowd)
    return found if known else [Candidate(candidate.item, candidate.vector) for candidate in found]
