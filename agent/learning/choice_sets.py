"""Choice sets: an item that somebody chose, with the items that they could have chosen instead.

Rankers learn from choice sets. A training query is a moment of the log at which somebody interacted with items that
were new to them. The pipeline answers it as a request made at that moment. Candidates and features therefore use
nothing that happened at the moment or later. Each item of a basket makes a separate choice set, which leaves out the
other items of the basket.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from whimbrel.agent.learning.ranking import Asked, ChoiceSet
from whimbrel.agent.pipeline import FEATURES, QUERY, retrieval_query, run
from whimbrel.agent.ranking.rankers import FEW_EVENTS, CandidateKind
from whimbrel.agent.schema.context import Context
from whimbrel.agent.state import Request, Resources, State
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.channels import LEARNED_CHANNELS, reciprocal, search_channels
from whimbrel.tools.store.in_memory import InMemory

T = TypeVar("T")
Advance = Callable[[int], None]

LEAST_EVENTS = 2
"""A training query needs at least this many events of the user before it."""
UNIFORM, POPULAR = 10, 9
"""How many negatives of a sampled list are drawn uniformly, and how many by popularity."""
MOST_EVENTS = 1000
"""How many of the latest events a training query reads. Longer histories cost time and change little."""
MOST_CHOSEN = 8
"""Most items of one moment to learn from."""


@dataclass(frozen=True)
class TrainingQuery:
    """A moment in which a user chose items.

    Attributes:
        user: The id of the user.
        history: The user's events before the moment.
        before: The moment, on the log's time scale.
        chose: Ids of the items chosen, in random order.
        context: The situation at the moment.
    """

    user: str
    history: Sequence[Item]
    before: float
    chose: Sequence[str]
    context: Context

    def request(self, candidates: Sequence[Item] | None = None) -> Request:
        """Return the request to rank these candidates, or the whole catalogue if they are None."""
        at = None if np.isinf(self.before) else self.before
        return Request(history=self.history, at=at, context=self.context, candidates=candidates)


def training_queries(
    catalogue: Catalogue,
    *,
    most: int,
    warm_up: float,
    seed: int = 0,
    until: float = np.inf,
    among: Collection[str] | None = None,
    newcomers: bool = False,
) -> Iterator[TrainingQuery]:
    """Draw moments of the log at which somebody interacted with an item that was new to them.

    Users are drawn at random. The more users a log has, the fewer moments of one user are drawn.

    Args:
        catalogue: The log.
        most: The most moments to draw.
        warm_up: The share of the log that lies before the first moment.
        seed: The seed of all random draws.
        until: All moments lie before this time. The warm-up is a share of the log before it.
        among: Ids of the users to draw from; None for all.
        newcomers: Whether only the first few events of users are drawn who begin after the warm-up (see FEW_EVENTS).
    """
    log = catalogue.log
    size = int(np.searchsorted(log.time, until))
    if not size:
        return
    since = log.time[min(int(size * warm_up), size - 1)]
    random = np.random.default_rng(seed)
    order = np.argsort(log.user, kind="stable")
    bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
    late = np.unique(log.user[(log.time >= since) & (log.time < until)])
    if among is not None:
        late = late[[log.user_ids[user] in among for user in late]]
    per_user = max(2, -(-2 * most // max(len(late), 1)))
    drawn = 0
    for user in random.permutation(late):
        events = order[bounds[user] : bounds[user + 1]]
        first = np.sort(np.unique(log.item[events], return_index=True)[1])
        starts = np.searchsorted(log.time[events], log.time[events])
        times = log.time[events[first]]
        before = starts[first]
        suits = (before < max(FEW_EVENTS.values())) & (times[0] >= since) if newcomers else before >= LEAST_EVENTS
        new = first[(times >= since) & (times < until) & suits]
        if not len(new):
            continue
        user_id = log.user_ids[user]
        history = catalogue.history(user_id)
        for start in random.permutation(np.unique(starts[new]))[:per_user]:
            known = history[max(int(start) - MOST_EVENTS, 0) : int(start)]
            chosen = [history[row] for row in random.permutation(new[starts[new] == start])[:MOST_CHOSEN]]
            ids, context = [item.item_id for item in chosen], _situation(chosen[0])
            yield TrainingQuery(user_id, known, float(log.time[events[start]]), ids, context)
            drawn += 1
            if drawn == most:
                return


def _situation(event: Item) -> Context:
    """Return the situation of an event. It is empty if it is not valid as the context of a request."""
    try:
        return Context.model_validate(getattr(event, "context", {}) or {})
    except ValidationError:
        return Context()


def choice_sets(
    queries: Iterable[TrainingQuery],
    resources: Resources,
    kind: CandidateKind,
    *,
    seed: int = 0,
    advance: Advance = lambda count: None,
) -> list[ChoiceSet]:
    """Make choice sets from training queries.

    Args:
        queries: The moments.
        resources: The catalogue and what was learned so far, without a language model.
        kind: The kind of candidates. With "retrieved", a chosen item that is not retrieved makes no choice set. With
            "given" and "cold", negatives are sampled. "cold" also removes the features of the log.
        seed: The seed of the sampled negatives.
        advance: Called with 1 after each query.
    """
    random, sets = np.random.default_rng(seed), list[ChoiceSet]()
    for query in queries:
        if kind == "retrieved":
            sets += choices_of(run(query.request(), resources, FEATURES), query, resources)
        elif items := _sampled_list(query, resources, random, known=kind == "given"):
            sets += choices_of(run(query.request(items), resources, FEATURES), query, resources)
        advance(1)
    return [without_log(choice) for choice in sets] if kind == "cold" else sets


def without_log(choice: ChoiceSet) -> ChoiceSet:
    """Return a choice set as if no log existed, also for a language model that is asked about it."""
    cold, asked = choice.without_log(), choice.asked
    if asked is None:
        return cold
    empty = InMemory([], InteractionLog.build([], []), timed=True)
    return replace(cold, asked=replace(asked, resources=replace(asked.resources, catalogue=empty)))


def channel_choice_sets(
    queries: Iterable[TrainingQuery],
    resources: Resources,
    *,
    advance: Advance = lambda count: None,
) -> list[ChoiceSet]:
    """Make choice sets with one feature for each of LEARNED_CHANNELS: the score of a candidate's rank in it.

    The features have shape (candidates, channels). A feature is 0 if the channel did not find the candidate.
    """
    sets = list[ChoiceSet]()
    for query in queries:
        state = run(query.request(), resources, QUERY)
        channels = search_channels(
            resources.catalogue, retrieval_query(state, resources), n=resources.config.candidates
        )
        scores = reciprocal(channels.ranks)
        column = {channel: scores[:, number] for number, channel in enumerate(channels.channels)}
        worth = np.stack([column.get(name, np.zeros(len(scores))) for name in LEARNED_CHANNELS], axis=1)
        for kept, chosen in _one_choice_each(
            channels.rows.tolist(), resources.catalogue.log.rows(query.chose).tolist()
        ):
            sets.append(ChoiceSet(query.user, worth[kept], chosen))
        advance(1)
    return sets


@dataclass(frozen=True)
class GivenQuery:
    """A training query with the list that was shown, and with the click rates of lists shown to other users."""

    query: TrainingQuery
    candidates: Sequence[Item]
    click_rates: ClickRates


def given_choice_sets(queries: Iterable[GivenQuery], resources: Resources) -> dict[CandidateKind, list[ChoiceSet]]:
    """Make choice sets from lists that were shown. They are keyed by the kind of the candidates."""
    sets: dict[CandidateKind, list[ChoiceSet]] = {}
    for given in queries:
        known = replace(resources, click_rates=given.click_rates)
        state = run(given.query.request(given.candidates), known, FEATURES)
        sets.setdefault(state.kind, []).extend(choices_of(state, given.query, known))
    return sets


def choices_of(state: State, query: TrainingQuery, resources: Resources) -> list[ChoiceSet]:
    """Make one choice set for each chosen item among the candidates of a state.

    A chosen item makes no choice set if all candidates were chosen.
    """
    ids = [item.item_id for item in state.candidates.items]
    return [
        ChoiceSet(
            query.user,
            state.features[kept],
            chosen,
            state.prediction.p_topic_change,
            Asked(_request_of(state, kept), resources, ids[kept[chosen]]),
            len(state.recall.whole),
        )
        for kept, chosen in _one_choice_each(ids, query.chose)
    ]


def _request_of(state: State, kept: Sequence[int]) -> Request:
    """Return the request that asks about these candidates alone, or about the whole catalogue without the others."""
    request, left_out = state.request, set(range(len(state.candidates))) - set(kept)
    if request.candidates is None:
        return replace(request, without=[state.candidates[row].item.item_id for row in sorted(left_out)])
    return replace(request, candidates=[state.candidates[row].item for row in kept])


def _one_choice_each(ids: Sequence[T], chose: Sequence[T]) -> Iterator[tuple[list[int], int]]:
    """Yield a pair for each chosen id: the rows without the other chosen ids, and its position in these rows."""
    wanted = set(chose)
    chosen_rows = [row for row, item_id in enumerate(ids) if item_id in wanted]
    for chosen in chosen_rows:
        kept = [row for row in range(len(ids)) if row == chosen or row not in chosen_rows]
        if len(kept) > 1:
            yield kept, kept.index(chosen)


def _sampled_list(
    query: TrainingQuery, resources: Resources, random: np.random.Generator, *, known: bool
) -> list[Item]:
    """Sample negatives for the first chosen item, and return them together in random order.

    Negatives are items that the log knew at the moment and that the user neither chose nor has in the history. The
    list is empty if there are too few. With `known`, it is also empty if the log did not know the chosen item then.
    """
    log = resources.catalogue.log
    free = log.known(before=query.before)
    met = log.rows([*query.chose, *(item.item_id for item in query.history)])
    # All negatives are known to the log. A chosen item that the log does not know would stand out for this alone.
    if known and not free[met[0]]:
        return []
    free[met[met >= 0]] = False
    rows = np.flatnonzero(free)
    if len(rows) <= UNIFORM + POPULAR:
        return []
    negatives = random.choice(rows, UNIFORM, replace=False)
    share = log.popularity(before=query.before)[rows] + 0.1  # items without interactions may be drawn too
    negatives = np.union1d(negatives, random.choice(rows, POPULAR, replace=False, p=share / share.sum()))
    ids = [log.item_ids[row] for row in random.permutation(np.append(negatives, met[0]))]
    items = resources.catalogue.items(ids)
    return [items[item_id] for item_id in ids]
