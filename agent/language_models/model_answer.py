"""What a language model says of options, in figures that a ranker weighs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import NO_USAGE, Usage


@dataclass(frozen=True)
class ModelAnswer:
    """A model's answer about some options.

    Attributes:
        figures: Its figures, keyed by name, shape (options,) each. Empty if no reply could be read.
        usage: What the replies cost.
        warnings: What was repaired or left out, in sentences for the user.
        calls: The number of conversations.
    """

    figures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    calls: int = 0
