"""Fuse the weights of two stores: those of the source are where the weights of the target begin.

A ridge draws the weights of a fit towards where they begin, and held-out people choose its strength. With few choices
of its own, a store therefore keeps near the source. With many, it leaves it. Where held-out people lose by that, beside
a fit that begins with the shipped weights (negative transfer), the source is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from whimbrel.agent.learning.conditional_logit import SMALLEST, softmax
from whimbrel.agent.learning.held_out import Verdict
from whimbrel.agent.learning.ranking import LEAST_CHOICES, ChoiceSet, learn_ranker, scores
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker, Rankers
from whimbrel.tools.log.interaction_log import Floats

FOLDS = 3
"""Every person is held out once, in one of so many folds."""
MOST_COMPARED = 600
"""Most choices that the two beginnings are compared on."""
SCALES = (0.25, 0.5, 1.0, 2.0)
"""Weights of another log may be too sure of themselves here and still rank well, so their scores are scaled."""


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

        They are those of the source, or the shipped ones where held-out people lose by the source's. The weights of
        channels go with those for retrieved candidates.
        """
        verdict = compare_beginnings(choices, self.source.of(kind), shipped.of(kind), seed=seed)
        self.verdicts[kind] = verdict
        kept = shipped if is_negative(verdict) else self.source
        kinds: tuple[CandidateKind, ...] = ("given", "cold") if kind == "given" else (kind,)
        channels = kept.channels if kind == "retrieved" else rankers.channels
        return rankers.model_copy(update={"channels": channels, **{kind: kept.of(kind) for kind in kinds}})

    def words(self, among: Mapping[CandidateKind, str]) -> str:
        """Say for each kind of candidates whether the source was used."""
        return f"; began with {self.name!r} " + ", ".join(
            f"{among[kind]} ({_words(verdict)})" for kind, verdict in self.verdicts.items()
        )


def is_negative(verdict: Verdict) -> bool:
    """Return whether a beginning is to be dropped: the choices of held-out people are less likely with it."""
    return verdict.gain < 0


def _words(verdict: Verdict) -> str:
    if not verdict.people:
        return "kept untested: nobody here has chosen anything yet"
    return f"{'switched off' if is_negative(verdict) else 'kept'}: what people chose gets likelier by {verdict.words()}"


def compare_beginnings(choices: Sequence[ChoiceSet], source: Ranker, shipped: Ranker, *, seed: int = 0) -> Verdict:
    """Compare fits that begin with the weights of a source and with those that are shipped, on people held out.

    The likelihood of choices tells two fits apart by fewer choices than a measure of ranks does.

    Returns:
        How much more likely a choice is with the source, in nats, as a mean over people.
    """
    users = [str(user) for user in np.random.default_rng(seed).permutation(sorted({choice.user for choice in choices}))]
    by_user: dict[str, list[ChoiceSet]] = {user: [] for user in users}
    for choice in choices:
        by_user[choice.user].append(choice)
    used, count = list[str](), 0
    for user in users:
        if count < MOST_COMPARED:
            used.append(user)
            count += len(by_user[user])
    if count < LEAST_CHOICES:  # nothing can be learned from them, so nobody needs to be held out
        of_used = [choice for user in used for choice in by_user[user]]
        differences = _log_likelihoods(source, of_used) - _log_likelihoods(shipped, of_used)
        return Verdict.of(differences, [choice.user for choice in of_used])
    parts = []
    for fold in range(FOLDS):
        rest = [choice for n, user in enumerate(used) if n % FOLDS != fold for choice in by_user[user]]
        one, other = (learn_ranker([rest], start, seed=seed, trees=False) for start in (source, shipped))
        held_out = [choice for user in used[fold::FOLDS] for choice in by_user[user]]
        parts.append((_log_likelihoods(one, held_out) - _log_likelihoods(other, held_out), held_out))
    differences = np.concatenate([part for part, _ in parts])
    return Verdict.of(differences, [choice.user for _, held_out in parts for choice in held_out])


def _log_likelihoods(ranker: Ranker, choices: Sequence[ChoiceSet]) -> Floats:
    """Return the log-likelihood of each choice, with the scores on the scale that suits all of them best."""
    if not choices:
        return np.empty(0)
    of_choices = [(scores(ranker, choice), choice.chosen) for choice in choices]
    return max(
        (np.array([np.log(softmax(scale * of)[chosen] + SMALLEST) for of, chosen in of_choices]) for scale in SCALES),
        key=lambda of: float(of.mean()),
    )
