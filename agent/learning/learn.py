"""Learning from a log what its people's next topics and choices tell of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.ranking.fusion import CandidateKind, Ranker, Rankers
from whimbrel.agent.shift.next_topics import NextTopics, Person
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.topic_habits import TopicHabitsOverTime
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.text.titles import short_titles

if TYPE_CHECKING:
    from whimbrel.agent.learning.choice_sets import TrainingQuery
    from whimbrel.agent.learning.ranking import ChoiceSet
    from whimbrel.agent.learning.topics import TopicMoment
    from whimbrel.tools.records import Item
    from whimbrel.tools.retrieval.catalogue import Catalogue

MOST_MOMENTS, PER_USER = 3000, 4
"""Events that are learned from at most, and those of one person, more where there are few people."""
LEAST_EVENTS, MOST_EVENTS = 5, 1500
"""Events before a moment without which nothing is learned from it, and the latest ones that it is learned from."""
TITLES = 15
"""Latest titles that a language model may be shown."""
WARM_UP = 0.4
"""Share of the log before the first moment: habits need something to be counted from."""
LEAST_USERS, LEAST_ALONE = 200, 50
"""People without whom nothing is learned of what a log tells, and of what titles and topics tell."""
STATISTICS_WARM_UP = 0.6
"""Share of the log before the first choice, unless no log is asked: the statistics and its embeddings are learned
from it."""
MOST_CHOICES, CHANNEL_MOMENTS = 2000, 600
"""Choices that the fusion learns from, and moments that tell what the channels of retrieval are worth."""


@dataclass(frozen=True)
class Learning:
    """What a fit did: moments and people that topics were learned from, and the choices that the fusion was, by the
    kind of candidates."""

    fitted: Fitted
    moments: int
    users: int
    choices: "dict[CandidateKind, list[ChoiceSet]]"


def learn_from(
    library: "Catalogue",
    *,
    kinds: Sequence[CandidateKind] = ("retrieved", "given"),
    begun: Fitted | None = None,
    most: int = MOST_CHOICES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learning:
    """Learn from a log all that can be: which signals tell its people's next topics and choices, and items as vectors.

    `kinds` are those of candidates that will be ranked; `alone` is learned with `listed`, and is all that is learned
    from a few people. What a log is too short for stays as it was `begun`, by default as shipped.
    """
    progress, begun = progress or NoProgress(), begun or Fitted.default()
    topics, moments, users = _topics(library, begun.topics, seed, progress)
    progress.step("Learning what is met together", None)
    embeddings = ItemEmbeddings.of(library.log)
    found = begun.fusion
    drawn: dict[CandidateKind, list[ChoiceSet]] = {}
    few = len(library.log.user_ids) < LEAST_USERS
    for kind in ("cold",) if few else kinds:
        if kind == "retrieved":
            channels = learn_channels([draw_channels(library, topics, seed=seed, progress=progress)], found.channels)
            found = found.model_copy(update={"channels": channels})
        choices = draw_choices(library, kind, topics, channels=found.channels, most=most, seed=seed, progress=progress)
        progress.step("Learning what signals are worth", None)
        found = learn_fusion(found, {kind: [choices]}, seed=seed)
        drawn[kind] = choices
    told = f"{sum(map(len, drawn.values()))} choices of this log"
    fusion = found.model_copy(update={"learned_from": told})
    return Learning(Fitted(topics, fusion, embeddings), moments, users, drawn)


def learn_fusion(
    begun: Rankers, choices: "dict[CandidateKind, Sequence[Sequence[ChoiceSet]]]", *, seed: int = 0, trees: bool = True
) -> Rankers:
    """Weights for each kind of candidates, from the choices of several logs each; from listed ones also those for
    candidates of which no log knows."""
    from whimbrel.agent.learning.ranking import learn

    found: dict[str, Ranker] = {}
    for kind, logs in choices.items():
        found[kind] = learn(logs, begun.of(kind), seed=seed, trees=trees)
        if kind == "given":
            alone = [[choice.without_log() for choice in log] for log in logs]
            found["cold"] = learn(alone, begun.of("cold"), seed=seed, trees=False)
    return begun.model_copy(update=found)


def learn_channels(
    choices: "Sequence[Sequence[ChoiceSet]]", begun: Mapping[str, float], *, seed: int = 0
) -> Mapping[str, float]:
    """What each channel of retrieval is worth, from the choices of several logs."""
    from whimbrel.agent.learning.ranking import learn_channels

    return learn_channels(choices, begun, seed=seed)


def draw_channels(library: "Catalogue", topics: NextTopics, *, seed: int, progress: Progress) -> "list[ChoiceSet]":
    """What the channels bring of moments of the log's people; embeddings are those of the time before the first one."""
    from whimbrel.agent.learning.choice_sets import channel_choices

    drawn, embeddings = _drawn(library, LEAST_USERS, STATISTICS_WARM_UP, most=CHANNEL_MOMENTS, seed=seed)
    progress.step("Reading what channels bring", len(drawn))
    return channel_choices(drawn, library, learned=topics, embeddings=embeddings, advance=progress.advance)


def draw_choices(
    library: "Catalogue",
    kind: CandidateKind,
    topics: NextTopics,
    *,
    channels: Mapping[str, float],
    most: int,
    seed: int,
    progress: Progress,
) -> "list[ChoiceSet]":
    """Choices of the log's people, where `channels` are worth so much."""
    from whimbrel.agent.learning.choice_sets import choices

    people, share = (LEAST_ALONE, 0.0) if kind == "cold" else (LEAST_USERS, STATISTICS_WARM_UP)
    drawn, embeddings = _drawn(library, people, share, most=most, seed=seed)
    progress.step(f"Reading choices ({kind})", len(drawn))
    return choices(
        drawn,
        library,
        kind,
        learned=topics,
        embeddings=embeddings,
        channels=channels,
        seed=seed,
        advance=progress.advance,
    )


def _drawn(
    library: "Catalogue", people: int, share: float, *, most: int, seed: int
) -> "tuple[list[TrainingQuery], ItemEmbeddings | None]":
    """Moments after a share of the log, none where there are fewer people, and the embeddings of that share."""
    from whimbrel.agent.learning.choice_sets import training_queries

    log = library.log
    if len(log.user_ids) < people or not len(log.time):
        return [], None
    embeddings = ItemEmbeddings.of(log, before=float(log.time[int(len(log.time) * share)])) if share else None
    return list(training_queries(library, most=most, seed=seed, warm_up=share)), embeddings


def _topics(library: "Catalogue", begun: NextTopics, seed: int, progress: Progress) -> tuple[NextTopics, int, int]:
    """What tells the next topics, with how many moments of how many people taught it."""
    from whimbrel.agent.learning.topics import learn

    log = library.log
    since = float(log.time[int(len(log.time) * WARM_UP)]) if len(log.time) else np.inf
    habits = TopicHabitsOverTime(log)
    users = [log.user_ids[row] for row in np.random.default_rng(seed).permutation(len(log.user_ids))]
    per_user = max(PER_USER, -(-MOST_MOMENTS // max(len(users), 1)))
    moments: list[TopicMoment] = []
    progress.step("Reading histories", MOST_MOMENTS)
    for user in users if log.topics else ():
        found = moments_of(
            user, library.history(user), habits, since=since, per_user=per_user, seed=seed + len(moments)
        )
        progress.advance(min(len(found), MOST_MOMENTS - len(moments)))
        moments += found
        if len(moments) >= MOST_MOMENTS:
            break
    progress.step("Learning what tells the next topics", None)
    try:
        learned = learn([moments], learned_from=f"{len(moments)} events of this log", seed=seed)
    except DataError:
        return begun, 0, 0
    return learned, len(moments), len({moment.user for moment in moments})


def moments_of(
    user: str,
    history: "Sequence[Item]",
    habits: TopicHabitsOverTime | None,
    *,
    since: float,
    until: float = np.inf,
    per_user: int = PER_USER,
    seed: int = 0,
) -> "list[TopicMoment]":
    """Some events of a person as moments: of those in [since, until) that bear topics, have enough events before them
    and none at the same time."""
    from whimbrel.agent.learning.topics import TopicMoment

    times = [event.time or 0.0 for event in history]
    open_ = [
        place
        for place in range(LEAST_EVENTS, len(history))
        if since <= times[place] < until and times[place] > times[place - 1] and history[place].topics
    ]
    drawn = np.random.default_rng(seed).permutation(len(open_))[:per_user]
    moments = []
    for place in sorted(open_[n] for n in drawn):
        known = habits.before(times[place]) if habits else None
        moments.append(
            TopicMoment(
                user=user,
                person=Person.of(history[max(place - MOST_EVENTS, 0) : place], known),
                at=times[place],
                situation=getattr(history[place], "context", {}),
                habits=known,
                came=frozenset(history[place].topics),
                titles=tuple(short_titles(history[max(place - TITLES, 0) : place])),
            )
        )
    return moments
