"""What a language model worded of a list."""

from collections.abc import Mapping
from dataclasses import dataclass

from whimbrel.agent.explanation.sentences import Sentence
from whimbrel.agent.language_models.protocol import Usage

NO_FIT = "the reply did not fit the schema"
"""Why a model's words were dropped, if its reply gives no other reason."""


@dataclass(frozen=True)
class Worded:
    """Reasons in a model's words.

    Attributes:
        sentences: The reasons that passed the check, keyed by the item's position in the list, from 0.
        usage: What the calls cost.
        asked: How many sentences the model wrote or failed to write.
        problems: For each sentence that was dropped, why it was.
    """

    sentences: Mapping[int, Sentence]
    usage: Usage
    asked: int
    problems: tuple[str, ...] = ()
