"""Fuse the weights of two stores: those of the source are where the weights of the target begin.

A ridge draws the weights of a fit towards where they begin, and held-out people choose its strength. With few choices
of its own, a store therefore keeps near the source. With many, it leaves it. Where held-out people lose by that, beside
a fit that begins with the shipped weights (negative transfer), the source is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from whimbrel.agent.learning.held_out import Verdict
from whimbrel.agent.learning.ranking import ChoiceSet, gains, learn_ranker
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker, Rankers

FOLDS = 3
"""Every person is held out once, in one of so many folds."""
MOST_COMPARED = 600
"""Most choices that the two beginnings are compared on."""


@dataclass(frozen=True)
class Fusion:
    """The rankers of a source, and what held-out people of the target said of them.

    Attributes:
        name: Where the source lies.
        source: The rankers of the source.
        verdicts: For each kind of candidates, how much better a fit ranks that begins with the source's weights.
    """

    name: str
    source: Rankers
    verdicts: dict[CandidateKind, Verdict] = field(default_factory=dict)

    def begin(
        self, kind: CandidateKind, shipped: Rankers, choices: Sequence[ChoiceSet], rankers: Rankers, *, seed: int
    ) -> Rankers:
        """Return the rankers with the weights that learning begins with for this kind of candidates.

        They are those of the source, or the shipped ones where held-out people lose by the source's.
        """
        verdict = compare_beginnings(choices, self.source.of(kind), shipped.of(kind), seed=seed)
        self.verdicts[kind] = verdict
        kept = shipped if is_negative(verdict) else self.source
        kinds: tuple[CandidateKind, ...] = ("given", "cold") if kind == "given" else (kind,)
        return rankers.model_copy(update={kind: kept.of(kind) for kind in kinds})

    def words(self, among: Mapping[CandidateKind, str]) -> str:
        """Say for each kind of candidates whether the source was used."""
        return f"; began with {self.name!r} " + ", ".join(
            f"{among[kind]} ({_words(verdict)})" for kind, verdict in self.verdicts.items()
        )


def is_negative(verdict: Verdict) -> bool:
    """Return whether a beginning is to be dropped: enough people are held out, and it loses on them."""
    return verdict.is_known and verdict.gain < 0


def _words(verdict: Verdict) -> str:
    if not verdict.is_known:
        return "kept untested: too few people here"
    return f"{'switched off' if is_negative(verdict) else 'kept'}: NDCG@10 {verdict.words()}"


def compare_beginnings(choices: Sequence[ChoiceSet], source: Ranker, shipped: Ranker, *, seed: int = 0) -> Verdict:
    """Compare fits that begin with the weights of a source and with those that are shipped, on people held out."""
    users = [str(user) for user in np.random.default_rng(seed).permutation(sorted({choice.user for choice in choices}))]
    by_user: dict[str, list[ChoiceSet]] = {user: [] for user in users}
    for choice in choices:
        by_user[choice.user].append(choice)
    used, count = list[str](), 0
    for user in users:
        if count < MOST_COMPARED:
            used.append(user)
            count += len(by_user[user])
    differences, asked = list[float](), list[str]()
    for fold in range(FOLDS) if len(used) >= FOLDS else ():
        held_out = [choice for user in used[fold::FOLDS] for choice in by_user[user]]
        rest = [choice for n, user in enumerate(used) if n % FOLDS != fold for choice in by_user[user]]
        one, other = (learn_ranker([rest], start, seed=seed, trees=False) for start in (source, shipped))
        differences += (gains(one, held_out) - gains(other, held_out)).tolist()
        asked += [choice.user for choice in held_out]
    return Verdict.of(np.array(differences), asked)
