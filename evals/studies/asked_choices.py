"""Choices of a log that a language model is asked about, one of each person."""

from collections.abc import Sequence
from dataclasses import dataclass

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet, ask_about
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker
from whimbrel.agent.reading.tiers import tier_of
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import Progress


@dataclass(frozen=True)
class AskConfig:
    """Which model is asked, and about which choices.

    Attributes:
        llm: Spec of the language model.
        kind: The kind of candidates.
        choices: Number of choices that are drawn from each log. Feature weights may be learned from them.
        asked: Number of choices of each log that the model is asked about.
        directions: In how many directions a model that orders is shown the candidates.
        remember: Whether replies are cached on disk.
        seed: Seed of the random numbers.
    """

    llm: str = "bundled"
    kind: CandidateKind = "cold"
    choices: int = 1000
    asked: int = 200
    directions: int = 2
    remember: bool = True
    seed: int = 0


def open_access(spec: str, *, remember: bool | None = None) -> ModelAccess:
    """Open the model of a spec, and measure its tier. With the spec `none`, there is no model.

    Raises:
        ConfigError: the spec is not valid.
        ModelError: the model cannot be reached.
    """
    llm = open_model(spec, remember=remember)
    return ModelAccess(llm, tier=tier_of(llm))


def require_reading(model: ModelAccess, spec: str) -> None:
    """Check that a model reads people.

    Raises:
        ConfigError: it does not.
    """
    if not model.reads:
        raise ConfigError(f"{spec!r} does not read people well enough: its tier is {model.tier!r}")


def open_asked_model(config: AskConfig) -> ModelAccess:
    """Open the model of a configuration, and measure its tier.

    Raises:
        ConfigError: the spec is `none`, or not valid.
        ModelError: the model cannot be reached.
    """
    access = open_access(config.llm, remember=config.remember)
    if access.llm is None:
        raise ConfigError("give a model with --llm")
    return access


def ask_log(
    name: str,
    choices: Sequence[ChoiceSet],
    ranker: Ranker,
    model: ModelAccess,
    config: AskConfig,
    progress: Progress,
) -> list[AnsweredChoiceSet]:
    """Ask a model about the latest drawn choice of each person of a log."""
    latest = latest_choices(choices)
    progress.step(f"Asking the language model ({name})", min(len(latest), config.asked))
    rank_config = RankConfig(permutations=config.directions)
    return ask_about(latest, ranker, model, most=config.asked, config=rank_config, advance=progress.advance)


def latest_choices(choices: Sequence[ChoiceSet]) -> list[ChoiceSet]:
    """Return the latest choice of each person.

    An earlier choice of the same person would be answered by whoever has seen the later history.
    """
    latest: dict[str, ChoiceSet] = {}
    for choice in choices:
        other = latest.get(choice.user)
        if other is None or _events(choice) > _events(other):
            latest[choice.user] = choice
    return list(latest.values())


def _events(choice: ChoiceSet) -> int:
    return len(choice.asked.request.history or ()) if choice.asked else 0
