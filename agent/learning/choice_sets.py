"""What people chose, with what they could have chosen instead: moments of a log, as the fusion learns from them.

Nothing that happened at or after a moment has any part in its candidates and signals. What was met before is no choice:
it is learned which new item comes. Of several at one moment (a basket) each is a choice of its own, without the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from whimbrel.agent.language_models.option_scores import HISTORY_SHOWN
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.ranking.features import signals_of
from whimbrel.agent.ranking.fusion import CandidateKind
from whimbrel.agent.ranking.rank import kind_of_given
from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.topic_habits import TopicHabitsOverTime
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import (
    LEARNED,
    Candidate,
    Interest,
    Query,
    as_candidates,
    interest_of,
    reciprocal,
    retrieve,
    search,
)
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.item_vectors import item_vectors
from whimbrel.tools.text.titles import short_titles

T = TypeVar("T")

LEAST_EVENTS = 2
"""Events of a person before a query_."""
UNIFORM, POPULAR = 10, 9
"""Candidates beside what was chosen, where they are listed: drawn alike, and as often as they were met."""
RETRIEVED = 200
"""Candidates of a whole catalogue."""
MOST_EVENTS = 1000
"""Latest events of a history that are read."""
MOST_CHOSEN = 8
"""Items of one moment that are learned from."""


@dataclass(frozen=True)
class TrainingQuery:
    """Somebody `chose` items at the time `before`, which the log counts in, after this history; in random order."""

    user: str
    history: Sequence[Item]
    before: float
    chose: Sequence[str]
    context: Context


def training_queries(library: Catalogue, *, most: int, warm_up: float, seed: int = 0) -> Iterator[TrainingQuery]:
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
            yield TrainingQuery(name, known, float(log.time[events[start]]), chose, context)
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
    given: Sequence[TrainingQuery],
    library: Catalogue,
    where: CandidateKind,
    *,
    learned: NextTopics,
    embeddings: ItemEmbeddings | None,
    channels: Mapping[str, float] | None = None,
    retrieved: int = RETRIEVED,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> list[ChoiceSet]:
    """What the fusion sees of moments; those whose item retrieval does not bring teach nothing of a catalogue, whose
    `channels` weigh as told."""
    habits, random = TopicHabitsOverTime(library.log), np.random.default_rng(seed)
    found = []
    for query_ in given:
        seen = Seen.of_library(query_, library, habits, learned)
        if where == "retrieved":
            query = seen.query(query_, embeddings)
            candidates = retrieve(library, query, weights=channels, n=retrieved, by_title=False)
        else:
            candidates = _listed(query_, library, embeddings, random, known=where == "given")
        found += seen.choice(query_, candidates)
        advance(1)
    return found


def channel_choices(
    given: Sequence[TrainingQuery],
    library: Catalogue,
    *,
    learned: NextTopics,
    embeddings: ItemEmbeddings | None,
    n: int = RETRIEVED,
    advance: Callable[[int], None] = lambda count: None,
) -> list[ChoiceSet]:
    """What retrieval sees of moments: instead of signals what the place of a candidate in each of the channels LEARNED
    is worth, 0 where a channel does not bring it, shape (candidates, channels)."""
    habits, found = TopicHabitsOverTime(library.log), list[ChoiceSet]()
    for query_ in given:
        seen = Seen.of_library(query_, library, habits, learned)
        brought = search(library, seen.query(query_, embeddings), n=n).places
        worth = [[reciprocal(own[name]) if name in own else 0.0 for name in LEARNED] for own in brought.values()]
        for kept, place in _apart(list(brought), library.log.rows(query_.chose).tolist()):
            found.append(ChoiceSet(query_.user, np.array(worth)[kept], place))
        advance(1)
    return found


def given_choices(
    given: Sequence[tuple[TrainingQuery, Sequence[Item], ClickRates]],
    log: InteractionLog,
    *,
    learned: NextTopics,
    embeddings: ItemEmbeddings | None,
) -> dict[CandidateKind, list[ChoiceSet]]:
    """The same of moments whose candidates were given, by what the log, all of which lies before, knows of these, and
    what lists that were shown to others tell."""
    habits, found = TopicHabitsOverTime(log), dict[CandidateKind, list[ChoiceSet]]()
    for query_, items, click_rates in given:
        vectors = dict(zip([i.item_id for i in items], item_vectors(items), strict=True))
        met = dict(zip([i.item_id for i in query_.history], item_vectors(query_.history), strict=True))
        seen = Seen.of(query_, met, encode, habits, learned)
        candidates = as_candidates(
            items, vectors, ItemStatistics.of(log, query_.history, before=query_.before, embeddings=embeddings)
        )
        found.setdefault(kind_of_given(candidates), []).extend(seen.choice(query_, candidates, click_rates))
    return found


@dataclass(frozen=True)
class Seen:
    """What the agent makes of a moment before it looks at candidates."""

    prediction: Prediction
    interest: Interest

    @classmethod
    def of(
        cls,
        query_: TrainingQuery,
        vectors: Mapping[str, Vectors],
        vectors_of_topics: Callable[[Sequence[str]], Iterable[Vectors]],
        habits: TopicHabitsOverTime,
        learned: NextTopics,
    ) -> "Seen":
        """Without a language model, from the vectors of the items of the history."""
        times = [item.time for item in query_.history]
        known = habits.before(query_.before)
        prediction = predict_shift(
            query_.history,
            ShiftQuery(
                at=query_.before if times and None not in times else None,
                context=query_.context,
                habits=known if len(known.topics) else None,
            ),
            topics=learned,
        )
        predicted = list(vectors_of_topics(prediction.shift.to_topics)) if prediction.shift.to_topics else []
        return cls(prediction, interest_of(query_.history, vectors, predicted=predicted))

    @classmethod
    def of_library(
        cls, query_: TrainingQuery, library: Catalogue, habits: TopicHabitsOverTime, learned: NextTopics
    ) -> "Seen":
        """The same, vectors being those of a library."""
        met = library.item_vectors(sorted({item.item_id for item in query_.history}))
        return cls.of(query_, met, library.vectors_of_topics, habits, learned)

    def query(self, query_: TrainingQuery, embeddings: ItemEmbeddings | None) -> Query:
        """What retrieval is asked."""
        return Query(query_.history, query_.before, self.interest, self.prediction.topics, embeddings)

    def choice(
        self, query_: TrainingQuery, candidates: Sequence[Candidate], click_rates: ClickRates | None = None
    ) -> list[ChoiceSet]:
        """What was chosen among candidates, one choice an item; none where it is not among them, or alone."""
        apart = list(_apart([candidate.item.item_id for candidate in candidates], query_.chose))
        if not apart:
            return []
        shift = self.prediction.shift
        signals = signals_of(
            candidates,
            history=query_.history,
            interest=self.interest,
            expected=self.prediction.topics,
            moved=shift.confidence if shift.kind != "none" else 0.0,
            click_rates=click_rates,
        )
        titles = short_titles([candidate.item for candidate in candidates])
        shown = tuple(short_titles(query_.history[-HISTORY_SHOWN:]))
        return [
            ChoiceSet(query_.user, signals[kept], place, tuple(titles[row] for row in kept), shown)
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
    query_: TrainingQuery,
    library: Catalogue,
    embeddings: ItemEmbeddings | None,
    random: np.random.Generator,
    *,
    known: bool,
) -> list[Candidate]:
    """What was chosen (the first) among items drawn from those known then and not met, in random order; with nothing
    that a log would tell of them unless it is `known`."""
    log = library.log
    statistics = ItemStatistics.of(log, query_.history, before=query_.before, embeddings=embeddings)
    free = log.known(before=query_.before)
    met = log.rows([*query_.chose, *(item.item_id for item in query_.history)])
    if known and not free[met[0]]:  # being new would tell it from the others
        return []
    free[met[met >= 0]] = False
    rows = np.flatnonzero(free)
    if len(rows) <= UNIFORM + POPULAR:
        return []
    drawn = random.choice(rows, UNIFORM, replace=False)
    share = statistics.popularity[rows] + 0.1
    drawn = np.union1d(drawn, random.choice(rows, POPULAR, replace=False, p=share / share.sum()))
    drawn = random.permutation(np.append(drawn, met[0]))
    ids = [log.item_ids[row] for row in drawn]
    items = library.items(ids)
    found = as_candidates([items[item_id] for item_id in ids], library.item_vectors(ids), statistics)
    return found if known else [Candidate(candidate.item, candidate.vector) for candidate in found]
