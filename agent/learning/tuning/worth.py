"""What a tuned model is worth to held-out people, by the choices that they made after all that it learned from.

The ranker with the tuned model is compared with the ranker with the untuned one. The weights of either are learned on
one half of the people and tested on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.conditional_logit import softmax
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet, learn_model_weights, scores_with_model
from whimbrel.agent.learning.ranking import ChoiceSet, gain
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.tools.log.interaction_log import Floats

LEAST_ANSWERS = 30
"""Fewest choices that can show whether tuning is worth it."""
SURE = 1.96
"""The 95% interval is this many standard errors to either side."""


def later_choices(choices: Sequence[ChoiceSet], moment: float) -> list[ChoiceSet]:
    """Return the choices at or after a moment."""
    return [choice for choice in choices if choice.asked and _at(choice) >= moment]


def _at(choice: ChoiceSet) -> float:
    return np.inf if choice.asked is None or choice.asked.request.at is None else choice.asked.request.at


@dataclass(frozen=True)
class Worth:
    """What tuning gave held-out people.

    Attributes:
        nats: By how much likelier the ranker finds their choices, in nats: the mean, and its 95% interval.
        ndcg: The same of NDCG@10.
        choices: The number of choices.
    """

    nats: tuple[float, float, float]
    ndcg: tuple[float, float, float]
    choices: int

    @property
    def is_kept(self) -> bool:
        """Whether the adapter is kept: held-out people gain, and not by chance alone."""
        return self.choices >= LEAST_ANSWERS and self.nats[1] > 0

    def words(self) -> str:
        """Return this as a sentence for a person."""
        what = (
            "kept, since held-out people gain" if self.is_kept else "dropped, since held-out people gain nothing sure"
        )
        nats, ndcg = (f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" for mean, low, high in (self.nats, self.ndcg))
        return (
            f"The tuned model is {what}. In {self.choices:,} choices of people whose log it did not learn from, what "
            f"they chose is likelier by {nats} (natural logarithm), and the list better by {ndcg} (NDCG@10, from 0 "
            "to 1)."
        )


@dataclass(frozen=True)
class Compared:
    """What the untuned and the tuned model said about the same choices."""

    ranker: Ranker
    untuned: Sequence[AnsweredChoiceSet]
    tuned: Sequence[AnsweredChoiceSet]


def worth_of(answers: Sequence[Compared], untuned: LanguageModel, tuned: LanguageModel, *, seed: int) -> Worth:
    """Compare a tuned model with the untuned one on choices of held-out people."""
    nats, ndcg = list[Floats](), list[Floats]()
    for of_kind in answers:
        before = _measured(of_kind.ranker, of_kind.untuned, untuned, seed)
        after = _measured(of_kind.ranker, of_kind.tuned, tuned, seed)
        common = sorted(before.keys() & after.keys())
        differences = np.array([after[key] - before[key] for key in common]).reshape(-1, 2)
        nats.append(differences[:, 0])
        ndcg.append(differences[:, 1])
    joined = np.concatenate(nats) if nats else np.empty(0)
    return Worth(_interval(joined), _interval(np.concatenate(ndcg) if ndcg else np.empty(0)), len(joined))


def _measured(
    ranker: Ranker, answers: Sequence[AnsweredChoiceSet], llm: LanguageModel, seed: int
) -> dict[tuple[str, float, str], Floats]:
    """Return the log-probability and NDCG@10 of each choice, by weights that were learned on other people."""
    users = sorted({answer.choice.user for answer in answers})
    half = {users[row] for row in np.random.default_rng(seed).permutation(len(users))[::2]}
    access, measured = ModelAccess(llm), {}
    for is_tested in (True, False):
        learned_from = [answer for answer in answers if (answer.choice.user in half) != is_tested]
        learned = learn_model_weights([learned_from], ranker, llm.digest)
        for answer in answers:
            if (answer.choice.user in half) == is_tested and answer.choice.asked is not None:
                scores, chosen = scores_with_model(learned, answer, access), answer.choice.chosen
                key = (answer.choice.user, _at(answer.choice), answer.choice.asked.chosen_id)
                measured[key] = np.array([np.log(softmax(scores)[chosen] + 1e-12), gain(scores, chosen)])
    return measured


def _interval(values: Floats) -> tuple[float, float, float]:
    """Return the mean of values and its 95% interval."""
    if not len(values):
        return (0.0, 0.0, 0.0)
    mean, error = float(values.mean()), SURE * float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0
    return (mean, mean - error, mean + error)
