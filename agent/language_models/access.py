"""The values that every stage needs to ask a language model."""

from dataclasses import dataclass, replace
from datetime import UTC, tzinfo

from whimbrel.agent.language_models.option_scores import LikelihoodCache
from whimbrel.agent.language_models.protocol import LanguageModel, Tier
from whimbrel.prompts.phrases import Language, Phrases, load_phrases


@dataclass(frozen=True)
class TunedAccess:
    """A model that was tuned on the log, for the likelihoods of titles.

    Attributes:
        llm: The model.
        until: It learned from events before this moment.
        likelihood_cache: As in `ModelAccess`.
    """

    llm: LanguageModel
    until: float
    likelihood_cache: LikelihoodCache | None = None


@dataclass(frozen=True)
class ModelAccess:
    """A language model, the language of its answers, and a cache of its likelihoods without a history.

    Attributes:
        llm: The model, or None to work without one.
        language: The language of prompts, replies and the sentences that the product writes itself.
        likelihood_cache: Likelihoods of titles without a history. If None, the model is asked each time.
        tier: What the model is capable of.
        tuned: The same model, tuned on the log. Only likelihoods are asked of it.
        zone: The zone of the times that sentences have.
        note: Why there is a tuned model that is not asked, for the user; "" if there is no such model.

    Example:
        >>> ModelAccess(language="zh").llm is None
        True
    """

    llm: LanguageModel | None = None
    language: Language = "en"
    likelihood_cache: LikelihoodCache | None = None
    tier: Tier = "fills"
    tuned: TunedAccess | None = None
    note: str = ""
    zone: tzinfo = UTC

    @property
    def say(self) -> Phrases:
        """The sentences that the product writes itself."""
        return load_phrases(self.language, self.zone)

    def for_likelihoods(self, *, before: float) -> "ModelAccess":
        """Return the access by which candidates are ranked at a moment.

        It is the tuned model's if that learned nothing at or after the moment, and if likelihoods are asked at all.
        """
        tuned = self.tuned
        if tuned is None or self.orders:
            return self
        if tuned.until > before:
            return replace(self, note=self.say.notes.newer_model)
        return replace(self, llm=tuned.llm, likelihood_cache=tuned.likelihood_cache)

    @property
    def reads(self) -> bool:
        """Whether there is a model that reads persons."""
        return self.llm is not None and self.tier == "reads"

    @property
    def orders(self) -> bool:
        """Whether candidates are ordered by their numbers instead of by likelihoods."""
        return self.llm is not None and (self.tier != "fills" or not self.llm.scores)


NO_MODEL = ModelAccess()
"""Access for callers that work without a language model, in English."""
