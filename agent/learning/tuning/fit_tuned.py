"""Tune a language model on a log, and keep the adapter only if held-out people gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.adapter import Adapter, source_of, tuned
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.learning.tuning.train import TuneConfig, require_tuning_packages
from whimbrel.agent.learning.tuning.tune import tune, tuning_moment
from whimbrel.agent.learning.tuning.worth import Compared, Worth, later_choices, worth_of
from whimbrel.agent.learning.weigh_model import ask_all, weigh
from whimbrel.agent.ranking.rankers import CandidateKind, Rankers
from whimbrel.agent.reading.tiers import tier_of
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import Progress
from whimbrel.tools.retrieval.catalogue import Catalogue


@dataclass(frozen=True)
class Tuning:
    """What tuning gave.

    Attributes:
        rankers: Rankers that weigh the untuned model, and the tuned one if it is kept.
        adapter: The adapter; None if it was dropped.
        worth: What it gave held-out people.
    """

    rankers: Rankers
    adapter: Adapter | None
    worth: Worth


def require_tunable(llm: LanguageModel) -> None:
    """Check that a model can be tuned, before anything takes long.

    Raises:
        ConfigError: A package is missing, or the model orders candidates and gives no likelihoods.
    """
    require_tuning_packages()
    source_of(llm)
    if ModelAccess(llm, tier=tier_of(llm)).orders:
        raise ConfigError(f"{llm.spec!r} orders candidates instead of giving likelihoods, so tuning changes nothing")


def fit_tuned(
    catalogue: Catalogue,
    pools: Mapping[CandidateKind, Sequence[ChoiceSet]],
    rankers: Rankers,
    llm: LanguageModel,
    config: TuneConfig,
    *,
    folder: Path,
    most: int,
    progress: Progress,
) -> Tuning:
    """Tune a model on a log, and learn what it is worth beside the untuned one.

    Both are asked about the same choices. They lie after all events that the tuned model learned from, and it learned
    from none of the people who made them.

    Args:
        catalogue: The items and the log.
        pools: Choices of the log and of cases, keyed by the kind of candidates.
        rankers: The weights of all other signals.
        llm: The base model.
        config: How it is tuned.
        folder: The folder for the adapter.
        most: The most choices of each kind that either model is asked about.
        progress: Shows the progress.
    """
    until = tuning_moment(catalogue.log)
    held_out = {kind: later_choices(choices, until) for kind, choices in pools.items()}
    people = {choice.user for choices in held_out.values() for choice in choices}
    adapter = tune(catalogue, llm, folder, config, before=until, without=people, progress=progress)
    tuned_llm = tuned(llm, adapter)
    untuned = ask_all(held_out, rankers, llm, most=most, progress=progress)
    of_tuned = ask_all(held_out, rankers, tuned_llm, most=most, progress=progress)
    compared = [Compared(rankers.of(kind), untuned[kind], of_tuned[kind]) for kind in held_out]
    worth = worth_of(compared, llm, tuned_llm, seed=config.seed)
    rankers = weigh(rankers, untuned, llm)
    if not worth.is_kept:
        return Tuning(rankers, None, worth)
    return Tuning(weigh(rankers, of_tuned, tuned_llm), adapter, worth)
