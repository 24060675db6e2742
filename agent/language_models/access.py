"""The values that every stage needs to ask a language model."""

from dataclasses import dataclass

from whimbrel.agent.language_models.option_scores import LikelihoodCache
from whimbrel.agent.language_models.protocol import LanguageModel, Tier
from whimbrel.prompts.phrases import Language


@dataclass(frozen=True)
class ModelAccess:
    """A language model, the language of its answers, and a cache of its likelihoods without a history.

    Attributes:
        llm: The model, or None to work without one.
        language: The language of prompts, replies and the sentences that the product writes itself.
        likelihood_cache: Likelihoods of titles without a history. If None, the model is asked each time.
        tier: What the model is capable of.

    Example:
        >>> ModelAccess(language="zh").llm is None
        True
    """

    llm: LanguageModel | None = None
    language: Language = "en"
    likelihood_cache: LikelihoodCache | None = None
    tier: Tier = "fills"

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
