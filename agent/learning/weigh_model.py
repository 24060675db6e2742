"""Ask a language model about choices among each kind of candidates, and learn what its figures are worth."""

from collections.abc import Mapping, Sequence

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.option_scores import LikelihoodMemory
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet, ask_about, learn_model_weights
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker, Rankers
from whimbrel.agent.reading.tiers import tier_of
from whimbrel.tools.progress import Progress

Answers = Mapping[CandidateKind, Sequence[AnsweredChoiceSet]]
"""The answered choices, keyed by the kind of candidates."""


def ask_all(
    pools: Mapping[CandidateKind, Sequence[ChoiceSet]],
    rankers: Rankers,
    llm: LanguageModel,
    *,
    most: int,
    progress: Progress,
) -> Answers:
    """Ask a model about choices of each kind.

    Args:
        pools: The choices.
        rankers: The weights by which the best candidates are chosen.
        llm: The model.
        most: The most choices of each kind that it is asked about.
        progress: Shows the progress.

    Raises:
        ModelError: The model cannot be reached.
    """
    access = ModelAccess(llm, likelihood_cache=LikelihoodMemory(), tier=tier_of(llm))
    answers = dict[CandidateKind, Sequence[AnsweredChoiceSet]]()
    for kind, choices in pools.items():
        progress.step(f"Asking the language model ({kind} candidates)", min(len(choices), most))
        answers[kind] = ask_about(choices, rankers.of(kind), access, most=most, advance=progress.advance)
    return answers


def weigh(rankers: Rankers, answers: Answers, llm: LanguageModel) -> Rankers:
    """Return rankers that weigh a model's figures, as far as its answers show their worth."""
    learned: dict[str, Ranker] = {
        kind: learn_model_weights([of_kind], rankers.of(kind), llm.digest) for kind, of_kind in answers.items()
    }
    return rankers.model_copy(update=learned)
