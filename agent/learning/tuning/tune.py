"""Tune a language model on a log: the adapter learns from events before a moment near the end of the log."""

from collections.abc import Collection
from pathlib import Path

from whimbrel.agent.language_models.adapter import ADAPTER, Adapter, AdapterFacts, source_of
from whimbrel.agent.language_models.local.llama import Llama
from whimbrel.agent.language_models.local.model_files import digest_of
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.tuning.adapter_file import write_adapter
from whimbrel.agent.learning.tuning.sequences import title_sequences
from whimbrel.agent.learning.tuning.train import TuneConfig, train_lora
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import Progress
from whimbrel.tools.retrieval.catalogue import Catalogue

LEARNED_SHARE = 0.9
"""Share of the log, from its beginning, that an adapter learns from."""


def tuning_moment(log: InteractionLog) -> float:
    """Return the moment up to which an adapter learns.

    Raises:
        DataError: The log is empty.
    """
    if not len(log.time):
        raise DataError("the log holds no event, so no model can be tuned on it")
    return float(log.time[int(len(log.time) * LEARNED_SHARE)])


def tune(
    catalogue: Catalogue,
    llm: LanguageModel,
    folder: Path,
    config: TuneConfig,
    *,
    before: float,
    without: Collection[str],
    progress: Progress,
) -> Adapter:
    """Tune a model on a log, and write the adapter into a folder.

    Args:
        catalogue: The items and the log.
        llm: The base model, which runs in this process.
        folder: The folder.
        config: How the model is tuned.
        before: The adapter learns from events before this moment.
        without: Ids of people that it does not learn from.
        progress: Shows the progress.

    Raises:
        ConfigError: The model does not run in this process.
        DataError: There is nothing to learn from.
        ModelError: The model cannot be tuned.
    """
    base = source_of(llm)
    sequences = title_sequences(catalogue, before=before, without=without, seed=config.seed)
    if not sequences:
        raise DataError("no person of the log has two events to learn from, so no model can be tuned on it")
    tokens = Llama(base, context_tokens=256)
    try:
        weights = train_lora(base, tokens, sequences, config, progress)
    finally:
        tokens.close()
    write_adapter(weights, base, folder / ADAPTER, alpha=config.alpha)
    facts = AdapterFacts(
        base=digest_of(base),
        base_name=base.name,
        until=before,
        seed=config.seed,
        steps=weights.steps,
        tokens=weights.tokens,
        seconds=round(weights.seconds, 1),
        sequences=len(sequences),
    )
    return Adapter(folder / ADAPTER, facts)
