"""Learn the weight of each feature from the choices that people made among candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whimbrel.agent.learning.conditional_logit import Labelled, best_ridge, fit_weights
from whimbrel.agent.ranking.features import FEATURES, LOG_FEATURES
from whimbrel.agent.ranking.rankers import Ranker, moving_share, new_share, row_of
from whimbrel.agent.state import Request, Resources
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.retrieval.channels import LEARNED_CHANNELS

HELD_OUT = 0.25
"""Share of the people held out. The ridge is chosen on them, and trees are kept only if they help them."""
LEAST_CHANNEL_WEIGHT = 0.15
"""Channel weights are learned only if a first rank adds at least this much to the log odds on average.

Below it, the proportions between the channels would be noise.
"""
LEAST_CHOICES, LEAST_FOR_TREES = 100, 500
"""Fewest choice sets to learn weights from, and fewest to learn trees from."""
ROUNDS, PATIENCE = 200, 20
"""Most trees, and the number of trees in a row without a gain that ends training."""
TREES = {
    "objective": "lambdarank",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 20,
    "metric": "ndcg",
    "eval_at": [10],
    "num_threads": 1,  # a repeated fit must give the same trees
    "deterministic": True,
    "verbose": -1,
}
CUT_OFF = 10
SURE_GAIN = 2.0
"""Trees, and weights that depend on a topic change, must gain more than this many standard errors."""
PARTS = (
    "recent_popularity",
    "popularity",
    "itemknn",
    "ridge",
    "ease",
    "user_knn",
    "next_item",
    "co_occurrence",
    "similarity",
)
"""Features that are recommenders of their own. No ranker may be behind the best of them on held-out people."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares that the best part may get in a ranker that is behind it."""
LIKELY_GAIN = 1.0
"""The best part takes a share if it is ahead of the weights by more than this many standard errors."""
NEVER_NEGATIVE = ("similarity", "nearest", "last", "words", "topics", "shift", "taught", "nearest_taught", "modality")
"""Features of similarity. A few choices may suggest a negative weight by chance, so none is allowed."""
LOWEST_WEIGHTS = np.where(np.isin(FEATURES, NEVER_NEGATIVE), 0.0, -np.inf)
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Asked:
    """How a language model is asked about a choice: the request, what answers it, and the item that was chosen."""

    request: Request
    resources: Resources
    chosen_id: str


@dataclass(frozen=True)
class ChoiceSet:
    """A list of candidates, of which one was chosen.

    Attributes:
        user: The id of the user.
        features: Standardised features, shape (candidates, FEATURES), or values of ranks, shape (candidates, channels).
        chosen: The row of the chosen item.
        p_topic_change: The probability that the next event has none of the latest topics; None if unknown.
        asked: How a language model is asked about the choice; None if it cannot be asked.
        known: How many events of the user were known; None for many.
    """

    user: str
    features: Floats
    chosen: int
    p_topic_change: float | None = None
    asked: Asked | None = None
    known: int | None = None

    def without_log(self) -> "ChoiceSet":
        """Return the choice set as it looks if the log does not know the candidates."""
        return replace(self, features=self.features * np.isin(FEATURES, LOG_FEATURES, invert=True))

    @property
    def labelled(self) -> Labelled:
        """The choice in the form that the conditional logit reads."""
        return Labelled(self.features, self.chosen)

    @property
    def mixed(self) -> Labelled:
        """The choice with each feature twice: in its share for a user who stays, and for one who moves."""
        share = moving_share(self.p_topic_change)
        return Labelled(np.hstack([(1 - share) * self.features, share * self.features]), self.chosen)


def learn_ranker(
    logs: Sequence[Sequence[ChoiceSet]], start: Ranker, *, seed: int = 0, trees: bool = True, least: int = LEAST_CHOICES
) -> Ranker:
    """Learn weights and trees. The trees are kept only if they help held-out people.

    Args:
        logs: The choice sets of each log. Each log counts the same. Logs with fewer than `least` are left out.
        start: The ranker to start from. Its weights are what the ridge draws towards. It is returned unchanged if no
            log has enough choice sets.
        seed: The seed of the draw of held-out people and of the trees.
        trees: Whether trees may be learned.
        least: The fewest choice sets that a log needs.
    """
    usable = [log for log in logs if len(log) >= least]
    if not usable:
        return start
    learned_from, held_out = _split_people(usable, seed)
    plain, ridge = _fit(_labelled(learned_from), _labelled(held_out), row_of(start.weights))
    begin = np.append(row_of(start.weights), row_of(start.moving or start.weights))
    mixed, mixed_ridge = _fit(_mixed(learned_from), _mixed(held_out), begin)
    validation = [choice for log in held_out for choice in log]
    part = _best_part([choice for log in learned_from for choice in log])
    share = _share_of_part(plain, part, validation)
    plain = _with_part(plain, part, share)
    gained = gains(Ranker(**_halves(mixed)), validation) - gains(Ranker(weights=_by_name(plain)), validation)
    if _is_sure(gained):
        weights = fit_weights(_mixed(usable), begin, ridge=mixed_ridge, bound=np.tile(LOWEST_WEIGHTS, 2))
        ranker, tested = start.model_copy(update=_halves(weights)), Ranker(**_halves(mixed))
    else:
        weights = fit_weights(_labelled(usable), row_of(start.weights), ridge=ridge, bound=LOWEST_WEIGHTS)
        weights = _with_part(weights, part, share)
        ranker = start.model_copy(update={"weights": _by_name(weights), "moving": {}})
        tested = Ranker(weights=_by_name(plain))
    ranker = ranker.with_trees("")
    if not trees or min(map(len, usable)) < LEAST_FOR_TREES:
        return ranker
    # The trees are tested on the held-out people, so they build on weights that are fitted without these people.
    return ranker.with_trees(_grow_trees([c for log in learned_from for c in log], validation, tested, seed))


def learn_newcomers(choices: Sequence[ChoiceSet], ranker: Ranker, start: Ranker, *, few: int, seed: int = 0) -> Ranker:
    """Learn the weights for people of whom nothing is known yet. All else of a ranker stays.

    What a log teaches of long histories misleads for short ones: popular items are then mostly met already. Where all
    histories are short, as in sessions, one set of weights suffices. So these are kept only if they surely help
    held-out people.

    Args:
        choices: Choice sets of people of whom little was known.
        ranker: What was learned from people of whom more is known.
        start: The ranker that this learning began with. The ridge draws towards its weights, which hold for new people
            if there are too few choice sets.
        few: Only choices of people with fewer known events are learned from, and only for these the weights count.
        seed: The seed of the draw of held-out people.
    """
    choices = [choice for choice in choices if (choice.known or 0) < few]
    begin = row_of(start.new) if start.new else start.weights_at(None)
    base = ranker.model_copy(update={"new": {}, "few": few})
    if len(choices) < LEAST_CHOICES:
        return base.model_copy(update={"new": _by_name(begin)})
    (learned_from,), (held_out,) = _split_people([choices], seed)
    parts, held_parts = ([_new_part(base, choice) for choice in half] for half in (learned_from, held_out))
    ridge = best_ridge([parts], [held_parts], begin, bound=LOWEST_WEIGHTS)
    tested = base.model_copy(update={"new": _by_name(fit_weights([parts], begin, ridge=ridge, bound=LOWEST_WEIGHTS))})
    if not _is_sure(gains(tested, held_out) - gains(base, held_out)):
        return base
    weights = fit_weights([[*parts, *held_parts]], begin, ridge=ridge, bound=LOWEST_WEIGHTS)
    return base.model_copy(update={"new": _by_name(weights)})


def _new_part(base: Ranker, choice: ChoiceSet) -> Labelled:
    """Return a choice of which the weights for new people explain their share, beside the score by the others."""
    share = new_share(choice.known or 0, base.few)
    return Labelled(share * choice.features, choice.chosen, (1 - share) * scores(base, choice))


def _best_part(choices: Sequence[ChoiceSet]) -> str:
    """Return the feature of PARTS that ranks the choices best by itself."""
    return max(PARTS, key=lambda name: gains(Ranker(weights={name: 1.0}), choices).mean())


def _share_of_part(weights: Floats, part: str, held_out: Sequence[ChoiceSet]) -> float:
    """Return the share of the best part. It is 0 unless the part is likely ahead of the weights on held-out people."""
    gained = {share: gains(Ranker(weights=_by_name(_with_part(weights, part, share))), held_out) for share in SHARES}
    ahead = _is_sure(gained[1.0] - gained[0.0], LIKELY_GAIN)
    return max(SHARES, key=lambda share: float(gained[share].mean())) if ahead else 0.0


def _with_part(weights: Floats, part: str, share: float) -> Floats:
    """Return weights of which a share belongs to one part alone. The part's weight has the length of the others."""
    alone = row_of({part: float(np.linalg.norm(weights))})
    return (1 - share) * weights + share * alone


def _fit(
    learned_from: Sequence[Sequence[Labelled]], held_out: Sequence[Sequence[Labelled]], begin: Floats
) -> tuple[Floats, float]:
    """Return weights that are learned without the held-out people, and the ridge that suits these people best."""
    bound = np.tile(LOWEST_WEIGHTS, len(begin) // len(LOWEST_WEIGHTS))
    ridge = best_ridge(learned_from, held_out, begin, bound=bound)
    return fit_weights(learned_from, begin, ridge=ridge, bound=bound), ridge


def _is_sure(gained: Floats, errors: float = SURE_GAIN) -> bool:
    """Return whether gains of held-out choices are above 0 by more than so many standard errors."""
    return bool(gained.mean() > errors * gained.std() / max(len(gained), 1) ** 0.5)


def learn_channel_weights(
    logs: Sequence[Sequence[ChoiceSet]], start: Mapping[str, float], *, seed: int = 0
) -> Mapping[str, float]:
    """Learn the weight of each retrieval channel from `channel_choice_sets`.

    The weights are scaled to a mean of 1. Each log counts the same.
    """
    usable = [log for log in logs if len(log) >= LEAST_CHOICES]
    if not usable:
        return start
    # A channel that found nothing, such as that of an encoder that was not taught, has no say in the mean.
    used = np.any([choice.features.any(axis=0) for log in usable for choice in log], axis=0)
    names = [name for name, is_used in zip(LEARNED_CHANNELS, used, strict=True) if is_used]
    narrowed = [[replace(choice, features=choice.features[:, used]) for choice in log] for log in usable]
    learned_from, held_out = _split_people(narrowed, seed)
    begin = np.array([start.get(name, 1.0) for name in names])
    ridge = best_ridge(_labelled(learned_from), _labelled(held_out), begin, bound=0.0)
    weights = fit_weights(_labelled(narrowed), begin, ridge=ridge, bound=0.0)
    if weights.mean() < LEAST_CHANNEL_WEIGHT:
        return start
    return {name: round(float(w / weights.mean()), 3) for name, w in zip(names, weights, strict=True)}


def gains(ranker: Ranker, choices: Sequence[ChoiceSet]) -> Floats:
    """Return NDCG@10 of each choice set, shape (choices,). Tied candidates share their mean rank."""
    return np.array([gain(scores(ranker, choice), choice.chosen) for choice in choices])


def _labelled(logs: Sequence[Sequence[ChoiceSet]]) -> list[list[Labelled]]:
    return [[choice.labelled for choice in log] for log in logs]


def _mixed(logs: Sequence[Sequence[ChoiceSet]]) -> list[list[Labelled]]:
    return [[choice.mixed for choice in log] for log in logs]


def _halves(weights: Floats) -> dict[str, dict[str, float]]:
    """Return the two halves of the weights of mixed choices, each keyed by feature."""
    staying, moving = np.split(weights, 2)
    return {"weights": _by_name(staying), "moving": _by_name(moving)}


def scores(ranker: Ranker, choice: ChoiceSet) -> Floats:
    """Return the score of each candidate of a choice set, shape (candidates,)."""
    contributions = ranker(choice.features, p_topic_change=choice.p_topic_change, known=choice.known).values()
    return np.asarray(sum(contributions, np.zeros(len(choice.features))))


def gain(scores: Floats, chosen: int) -> float:
    """Return NDCG@10 of scores. Tied candidates share their mean rank."""
    above, level = (scores > scores[chosen]).sum(), (scores == scores[chosen]).sum() - 1
    # Half of the tied candidates count as ranked above, which gives the mean rank of the tie.
    rank = 1 + above + level / 2
    return float(1 / np.log2(rank + 1)) if rank <= CUT_OFF else 0.0


def _by_name(weights: Floats) -> dict[str, float]:
    return {name: round(float(weight), 4) for name, weight in zip(FEATURES, weights, strict=True) if abs(weight) > 1e-3}


def _split_people(
    logs: Sequence[Sequence[ChoiceSet]], seed: int
) -> tuple[list[list[ChoiceSet]], list[list[ChoiceSet]]]:
    """Split each log's choice sets into those to learn from and those of held-out people."""
    learned_from, held_out = list[list[ChoiceSet]](), list[list[ChoiceSet]]()
    for log in logs:
        users = sorted({choice.user for choice in log})
        drawn = np.random.default_rng(seed).permutation(len(users))[: max(int(len(users) * HELD_OUT), 1)]
        held = {users[number] for number in drawn}
        learned_from.append([choice for choice in log if choice.user not in held] or list(log))
        held_out.append([choice for choice in log if choice.user in held])
    return learned_from, held_out


def _grow_trees(learned_from: Sequence[ChoiceSet], held_out: Sequence[ChoiceSet], plain: Ranker, seed: int) -> str:
    """Return trees that improve on the order by weights; "" if they do not surely help the held-out people."""
    import lightgbm

    def table(choices: Sequence[ChoiceSet]) -> Any:
        sizes = [len(choice.features) for choice in choices]
        labels = np.concatenate([np.arange(len(c.features)) == c.chosen for c in choices]).astype(int)
        features = np.concatenate([choice.features for choice in choices])
        start = np.concatenate([scores(plain, choice) for choice in choices])
        return lightgbm.Dataset(features, labels, group=sizes, init_score=start, free_raw_data=False)

    # The number of trees is chosen on one half of the held-out people, and the gain is tested on the other.
    people = {user: number for number, user in enumerate(sorted({choice.user for choice in held_out}))}
    stopping = [choice for choice in held_out if people[choice.user] % 2]
    tested = [choice for choice in held_out if not people[choice.user] % 2]
    if not stopping:
        return ""
    training, validation = table(learned_from), table(stopping)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(TREES | {"seed": seed}, training, ROUNDS, valid_sets=[validation], callbacks=[stop])
    if not booster.best_iteration:
        return ""
    trees = str(booster.model_to_string(num_iteration=booster.best_iteration))
    gained = gains(plain.with_trees(trees), tested) - gains(plain, tested)
    return trees if _is_sure(gained) else ""
