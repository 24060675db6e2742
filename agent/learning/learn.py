"""Learn everything that a log can teach: next topics, item embeddings, channel weights and rankers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.taught_encoder import TeachConfig, teach
from whimbrel.agent.ranking.rankers import FEW_EVENTS, CandidateKind, Ranker, Rankers
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.learned_items import NO_LEARNED_ITEMS, LearnedItems
from whimbrel.tools.progress import NoProgress, Progress

if TYPE_CHECKING:
    from whimbrel.agent.learning.choice_sets import TrainingQuery
    from whimbrel.agent.learning.fusion import Fusion
    from whimbrel.agent.learning.ranking import ChoiceSet
    from whimbrel.agent.learning.taught_worth import TaughtWorth
    from whimbrel.agent.shift.next_topics import NextTopics
    from whimbrel.agent.state import Resources
    from whimbrel.tools.log.interaction_log import InteractionLog
    from whimbrel.tools.retrieval.catalogue import Catalogue

LEAST_USERS, LEAST_USERS_COLD = 200, 50
"""Fewest users of a log to learn rankers for retrieved and given candidates, and fewest for cold candidates."""
STATISTICS_WARM_UP = 0.6
"""Share of the log before the first choice, from which item statistics and embeddings are computed.

Cold candidates have neither, so they need no such share.
"""
MOST_CHOICES, CHANNEL_QUERIES = 2000, 600
"""Most training queries to learn each ranker from, and most to learn channel weights from."""
NEWCOMER_QUERIES = 400
"""Most training queries to learn the weights for new people from."""
CALIBRATION_QUERIES, CALIBRATION_WARM_UP = 300, 0.8
"""Most training queries of a calibration, and the share of the log before the first of them."""


@dataclass(frozen=True)
class Learning:
    """What was learned, and how much data it was learned from.

    Attributes:
        fitted: Everything that was learned.
        moments: The number of events that the models of the next topics were learned from.
        users: The number of users of these events.
        choices: The choice sets that rankers were learned from, keyed by the kind of candidates.
        taught: What a taught text encoder gave held-out people; None if none was to be taught.
    """

    fitted: Fitted
    moments: int
    users: int
    choices: "dict[CandidateKind, list[ChoiceSet]]"
    taught: "TaughtWorth | None" = None


@dataclass(frozen=True)
class Draw:
    """How training queries are drawn.

    Attributes:
        most: The most queries.
        seed: The seed of all random draws.
        progress: Where progress is shown.
        warm_up: The share of the log before the first query.
        until: Only events before this time are learned from.
        newcomers: Whether only the first events of people are drawn who are new after the warm-up.
        teach: How a text encoder is taught; None if it is not.
    """

    most: int = MOST_CHOICES
    seed: int = 0
    progress: Progress = field(default_factory=NoProgress)
    warm_up: float = STATISTICS_WARM_UP
    until: float = math.inf
    newcomers: bool = False
    teach: TeachConfig | None = None


def learn_from(
    catalogue: "Catalogue",
    *,
    kinds: Sequence[CandidateKind] = ("retrieved", "given"),
    start: Fitted | None = None,
    fusion: "Fusion | None" = None,
    draw: Draw | None = None,
) -> Learning:
    """Learn from a log. Each part that the log is too short for stays as in `start`.

    Args:
        catalogue: The items and the log.
        kinds: The kinds of candidates that will be ranked. "given" also teaches "cold". If the log has fewer than
            LEAST_USERS users, only "cold" is learned.
        start: What learning starts from. The default is what is shipped.
        fusion: The weights of another store, to begin with where held-out people gain by it.
        draw: How training queries are drawn.
    """
    draw, start = draw or Draw(), start or Fitted.default()
    topics, moments, users = _learn_topics(catalogue, start.topics, draw)
    few = len(catalogue.log.user_ids) < LEAST_USERS
    draw.progress.step("Learning which items go together", None)
    items, past = LearnedItems.of(catalogue.log), NO_LEARNED_ITEMS if few else past_items(catalogue.log, draw)
    begin, of_kinds = Fitted(topics, start.fusion, past), ("cold",) if few else tuple(kinds)
    if draw.teach is None:
        rankers, drawn = _learn_kinds(catalogue, of_kinds, begin, draw, fusion)
        return Learning(Fitted(topics, rankers, items), moments, users, drawn)
    rankers, drawn, worth = _learn_taught(catalogue, of_kinds, begin, draw, fusion)
    if worth.is_kept:
        items = replace(items, taught=teach(catalogue, seed=draw.seed, progress=draw.progress, config=draw.teach))
    return Learning(Fitted(topics, rankers, items), moments, users, drawn, worth)


def _learn_taught(
    catalogue: "Catalogue", kinds: Sequence[CandidateKind], begin: Fitted, draw: Draw, fusion: "Fusion | None"
) -> "tuple[Rankers, dict[CandidateKind, list[ChoiceSet]], TaughtWorth]":
    """Learn rankers beside a text encoder that was taught before the first query, or without one if it is no gain."""
    from whimbrel.agent.learning.taught_worth import TaughtWorth

    worth, before = TaughtWorth(), first_query(catalogue.log, draw)
    taught = teach(catalogue, before=before, seed=draw.seed, progress=draw.progress, config=draw.teach)
    if taught is not None:
        with_it = replace(begin, items=replace(begin.items, taught=taught))
        rankers, drawn = _learn_kinds(catalogue, kinds, with_it, draw, fusion)
        draw.progress.step("Measuring the tuned text encoder", None)
        kind = kinds[0]
        if drawn[kind]:
            worth = TaughtWorth.of(drawn[kind], begin.fusion.of(kind), seed=draw.seed)
        if worth.is_kept:
            return rankers, drawn, worth
    return *_learn_kinds(catalogue, kinds, begin, draw, fusion), worth


def _learn_kinds(
    catalogue: "Catalogue", kinds: Sequence[CandidateKind], begin: Fitted, draw: Draw, fusion: "Fusion | None"
) -> "tuple[Rankers, dict[CandidateKind, list[ChoiceSet]]]":
    """Learn the weights of channels and features for each kind of candidates. Return them with the choice sets."""
    # What the log is too short for stays as the source has it.
    rankers = fusion.source if fusion else begin.fusion
    drawn = dict[CandidateKind, "list[ChoiceSet]"]()
    for kind in kinds:
        if kind == "retrieved":
            of_channels = draw_channel_choices(catalogue, replace(begin, fusion=rankers), draw)
            channels = learn_channels([of_channels], rankers.channels, seed=draw.seed)
            rankers = rankers.model_copy(update={"channels": channels})
        drawn[kind] = draw_choices(catalogue, kind, replace(begin, fusion=rankers), draw)
        draw.progress.step("Learning the weights of features", None)
        if fusion:
            rankers = fusion.begin(kind, begin.fusion, drawn[kind], rankers, seed=draw.seed)
            if kind == "retrieved":
                channels = learn_channels([of_channels], rankers.channels, seed=draw.seed)
                rankers = rankers.model_copy(update={"channels": channels})
        started = rankers.of(kind)
        rankers = learn_rankers(rankers, {kind: [drawn[kind]]}, seed=draw.seed)
        if kind != "cold":
            rankers = _with_newcomers(catalogue, kind, replace(begin, fusion=rankers), started, draw)
    source = f"{sum(map(len, drawn.values()))} choices of this log"
    return rankers.model_copy(update={"learned_from": source}), drawn


def calibrate(catalogue: "Catalogue", *, progress: Progress | None = None) -> Rankers | None:
    """Weigh the channels and signals by the end of a log, as far as that takes seconds.

    This is the quick part of `learn_from`. Weights for given candidates stay, and nothing is learned of the items.

    Returns:
        The rankers, or None if the log is too short.
    """
    if len(catalogue.log.user_ids) < LEAST_USERS:
        return None
    start = Fitted.default()
    draw = Draw(CALIBRATION_QUERIES, progress=progress or NoProgress(), warm_up=CALIBRATION_WARM_UP)
    channels = learn_channels([draw_channel_choices(catalogue, start, draw)], start.fusion.channels)
    rankers = start.fusion.model_copy(update={"channels": channels})
    choices = draw_choices(catalogue, "retrieved", Fitted(start.topics, rankers), draw)
    learned = learn_rankers(rankers, {"retrieved": [choices]}, trees=False)
    # Nothing is learned of the items here, so new people of a longer part of the log can be asked about.
    longer = replace(draw, warm_up=STATISTICS_WARM_UP)
    learned = _with_newcomers(catalogue, "retrieved", Fitted(start.topics, learned), rankers.retrieved, longer)
    return learned.model_copy(update={"learned_from": f"{len(choices)} choices at the end of this log"})


def _with_newcomers(
    catalogue: "Catalogue", kind: CandidateKind, fitted: Fitted, started: Ranker, draw: Draw
) -> Rankers:
    """Return the rankers with weights for new people, if the ranker of a kind differs from what it started from."""
    from whimbrel.agent.learning.ranking import learn_newcomers

    rankers, ranker = fitted.fusion, fitted.fusion.of(kind)
    if ranker == started:
        return rankers
    choices = draw_choices(
        catalogue, kind, fitted, replace(draw, most=min(draw.most, NEWCOMER_QUERIES), newcomers=True)
    )
    draw.progress.step("Learning the weights for new people", None)
    return rankers.model_copy(
        update={kind: learn_newcomers(choices, ranker, started, few=FEW_EVENTS[kind], seed=draw.seed)}
    )


def past_items(log: "InteractionLog", draw: Draw) -> LearnedItems:
    """Learn models of the items from the part of the log before the first training query.

    Models of later events would contain the very choices that are learned from.
    """
    return LearnedItems.of(log, before=first_query(log, draw)) if len(log.time) else NO_LEARNED_ITEMS


def first_query(log: "InteractionLog", draw: Draw) -> float:
    """Return the moment from which training queries are drawn."""
    size = int(log.time.searchsorted(draw.until))
    return float(log.time[min(int(size * draw.warm_up), size - 1)]) if size else -np.inf


def shipped_before(catalogue: "Catalogue", draw: Draw) -> Fitted:
    """Return what is shipped, with models of the items from before the first training query."""
    return replace(Fitted.default(), items=past_items(catalogue.log, draw))


def learn_rankers(
    start: Rankers,
    choices: "Mapping[CandidateKind, Sequence[Sequence[ChoiceSet]]]",
    *,
    seed: int = 0,
    trees: bool = True,
) -> Rankers:
    """Learn a ranker for each kind of candidates. Each is learned from the choice sets of one or more logs.

    Given candidates also teach the ranker of cold candidates. The features of the log are left out for this.
    """
    from whimbrel.agent.learning.ranking import learn_ranker

    rankers: dict[str, Ranker] = {}
    for kind, logs in choices.items():
        rankers[kind] = learn_ranker(logs, start.of(kind), seed=seed, trees=trees)
        if kind == "given":
            cold = [[choice.without_log() for choice in log] for log in logs]
            rankers["cold"] = learn_ranker(cold, start.of("cold"), seed=seed, trees=False)
    return start.model_copy(update=rankers)


def learn_channels(
    choices: "Sequence[Sequence[ChoiceSet]]", start: Mapping[str, float], *, seed: int = 0
) -> Mapping[str, float]:
    """Learn the weight of each retrieval channel from the choice sets of one or more logs."""
    from whimbrel.agent.learning.ranking import learn_channel_weights

    return learn_channel_weights(choices, start, seed=seed)


def draw_channel_choices(catalogue: "Catalogue", fitted: Fitted, draw: Draw) -> "list[ChoiceSet]":
    """Draw choice sets of the candidates that the retrieval channels find.

    Args:
        catalogue: The items and the log.
        fitted: What was learned so far. Its models of items must be older than the first query (see `past_items`).
        draw: How training queries are drawn.
    """
    from whimbrel.agent.learning.choice_sets import channel_choice_sets

    of_channels = replace(draw, most=min(draw.most, CHANNEL_QUERIES))
    queries, resources = _queries(catalogue, "retrieved", fitted, of_channels)
    draw.progress.step("Searching the channels", len(queries))
    return channel_choice_sets(queries, resources, advance=draw.progress.advance)


def draw_choices(catalogue: "Catalogue", kind: CandidateKind, fitted: Fitted, draw: Draw) -> "list[ChoiceSet]":
    """Draw choice sets of the log's users. All candidates are of one kind. The arguments are as above."""
    from whimbrel.agent.learning.choice_sets import choice_sets

    queries, resources = _queries(catalogue, kind, fitted, draw)
    draw.progress.step(f"Reading choices ({kind} candidates)", len(queries))
    return choice_sets(queries, resources, kind, seed=draw.seed, advance=draw.progress.advance)


def _queries(
    catalogue: "Catalogue", kind: CandidateKind, fitted: Fitted, draw: Draw
) -> "tuple[list[TrainingQuery], Resources]":
    """Draw training queries in order of time, and return them with what answers them.

    There are no queries if the log has too few users.
    """
    from whimbrel.agent.learning.choice_sets import training_queries
    from whimbrel.agent.state import Resources

    log = catalogue.log
    cold = kind == "cold"
    if len(log.user_ids) < (LEAST_USERS_COLD if cold else LEAST_USERS) or not len(log.time):
        return [], Resources(catalogue, fitted)
    warm_up = 0.0 if cold else draw.warm_up
    queries = list(
        training_queries(
            catalogue, most=draw.most, seed=draw.seed, warm_up=warm_up, until=draw.until, newcomers=draw.newcomers
        )
    )
    # In order of time, since counts as of one moment make those of the next one cheap.
    queries.sort(key=lambda query: (query.before, query.user))
    return queries, Resources(catalogue, replace(fitted, items=NO_LEARNED_ITEMS) if cold else fitted)


def _learn_topics(catalogue: "Catalogue", start: "NextTopics", draw: Draw) -> "tuple[NextTopics, int, int]":
    """Learn the models of the next topics. Return them with the number of moments and the number of users."""
    from whimbrel.agent.learning.topic_moments import draw_topic_moments
    from whimbrel.agent.learning.topics import fit_next_topics

    moments = draw_topic_moments(catalogue, seed=draw.seed, progress=draw.progress)
    draw.progress.step("Learning which topics come next", None)
    try:
        topics = fit_next_topics([moments], learned_from=f"{len(moments)} events of this log", seed=draw.seed)
    except DataError:
        return start, 0, 0
    return topics, len(moments), len({moment.user for moment in moments})
