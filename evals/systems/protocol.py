"""The interface of a system: a function that learns from a `Training` and returns a scorer of cases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.agent.schema.results import Shift


@dataclass(frozen=True)
class Settings:
    """What a system may depend on in addition to the training log.

    Attributes:
        seed: Seed of all random numbers.
        llm: Spec of the language model, for `whimbrel`.
        fitted: Folder that `whimbrel fit --out` wrote, for `whimbrel`. If it is "", learn from the training log.
        remember: Whether replies of the model are cached on disk; None for those of hosted models only.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    llm: str = "bundled"
    fitted: str = ""
    remember: bool | None = None


@dataclass(frozen=True)
class Scored:
    """The scores of a case's candidates, and further values that a system may report.

    Attributes:
        scores: One score for each candidate, shape (candidates,). Higher is better; equal scores share their rank.
        usage: Tokens, seconds and cost of a language model.
        warnings: Problems that did not stop the system.
        shift: The interest shift that the system predicts.
        reason: Why the first item is ranked first, in words.
        p_topic_change: Probability that the next event has none of the recent topics.
    """

    scores: NDArray[np.float64]
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    shift: Shift | None = None
    reason: str = ""
    p_topic_change: float | None = None


Scorer = Callable[[BlindCase], "NDArray[np.float64] | Scored"]
"""Scores the candidates of a case. The case does not show which of them are relevant."""
System = Callable[[Training, Settings], Scorer]
"""Learns from a log and returns a scorer."""


class NotApplicableError(Exception):
    """The training log lacks what a system needs. Raised while the system learns, not for a single case."""


def from_ranking(ranking: Any, case: BlindCase) -> Scored:
    """Return scores for a list of item ids, the best first.

    Repeated ids are dropped, and so are ids that are not candidates. Candidates that are missing share the last rank.
    The warnings count both.

    Example:
        >>> from whimbrel.tools.records import Item
        >>> case = BlindCase("1", "user", (), [Item(item_id=letter, title=letter) for letter in "abc"])
        >>> from_ranking(["c", "a"], case).scores.astype(int).tolist()
        [-1, -3, 0]
        >>> from_ranking(["c", "z"], case).warnings
        ('1 ids were invented or repeated', '2 candidates were omitted')
    """
    position = {item.item_id: row for row, item in enumerate(case.candidates)}
    unique = list(dict.fromkeys(str(item_id) for item_id in ranking))
    kept = [item_id for item_id in unique if item_id in position]
    scores = np.full(len(position), -float(len(kept)) - 1)
    scores[[position[item_id] for item_id in kept]] = -np.arange(len(kept), dtype=np.float64)
    dropped, missing = len(list(ranking)) - len(kept), len(position) - len(kept)
    warnings = [f"{dropped} ids were invented or repeated"] if dropped else []
    warnings += [f"{missing} candidates were omitted"] if missing else []
    return Scored(scores, warnings=tuple(warnings))
