"""Whether a tuned model is kept: only if held-out people surely gain."""

import numpy as np

from whimbrel.agent import ScriptedModel
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet
from whimbrel.agent.learning.ranking import Asked, ChoiceSet
from whimbrel.agent.learning.tuning.worth import Compared, later_choices, worth_of
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.agent.state import Request, Resources

RANKER = Ranker(weights={"popularity": 0.2})


class Named(ScriptedModel):
    def __init__(self, digest: str) -> None:
        super().__init__()
        self.digest = digest


def choice(number: int, at: float | None = None) -> ChoiceSet:
    features = np.random.default_rng(number).normal(size=(10, len(FEATURES)))
    asked = Asked(Request(at=at), Resources(None, None), f"i{number}")  # type: ignore[arg-type]
    return ChoiceSet(f"u{number}", features, number % 10, None, asked)


def answers(count: int, told: float, seed: int) -> list[AnsweredChoiceSet]:
    """Return answers whose likelihood says `told` more of the chosen item than noise does."""
    random, answered = np.random.default_rng(seed), []
    for number in range(count):
        likelihood = random.normal(size=10) + told * (np.arange(10) == number % 10)
        figures = {"likelihood": likelihood - likelihood.mean(), "prior": random.normal(size=10)}
        answered.append(AnsweredChoiceSet(choice(number), figures))
    return answered


def test_a_model_that_tells_more_is_kept_and_one_that_tells_the_same_is_dropped() -> None:
    untuned, tuned = Named("a"), Named("a+b")
    gained = worth_of([Compared(RANKER, answers(120, 0.5, 1), answers(120, 2.0, 2))], untuned, tuned, seed=0)
    assert gained.is_kept
    assert gained.nats[0] > gained.nats[1] > 0
    assert gained.ndcg[0] > 0.1
    assert "kept, since held-out people gain" in gained.words()
    same = worth_of([Compared(RANKER, answers(120, 0.5, 1), answers(120, 0.5, 2))], untuned, tuned, seed=0)
    assert not same.is_kept
    assert "dropped, since held-out people gain nothing sure" in same.words()


def test_few_choices_keep_nothing() -> None:
    few = worth_of([Compared(RANKER, answers(20, 0.0, 1), answers(20, 5.0, 2))], Named("a"), Named("a+b"), seed=0)
    assert few.choices == 20
    assert not few.is_kept
    nothing = worth_of([], Named("a"), Named("a+b"), seed=0)
    assert (nothing.choices, nothing.is_kept) == (0, False)


def test_only_choices_since_the_moment_test_a_model() -> None:
    choices = [choice(1, at=5.0), choice(2, at=10.0), choice(3, at=None)]
    assert [kept.user for kept in later_choices(choices, 10.0)] == ["u2", "u3"]
