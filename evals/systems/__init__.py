"""Systems that are compared, by name. Each is a function that learns from a `Training` and returns a scorer.

A scorer gets a case without its truth and gives one score a candidate, higher is better; equal scores share their rank.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.agent.schema.results import Shift
from whimbrel.tools.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """What a system may be told: the seed of all chance, and of `whimbrel` the model spec and the folder of what was
    fitted ("" to learn from the training log)."""

    seed: int = 0
    llm: str = "bundled"
    fitted: str = ""


@dataclass(frozen=True)
class Scored:
    """Scores of a case's candidates, shape (candidates,), with what they cost, what went wrong, the shift of interest
    that the system sees, what it says of its first choice, and the probability that the interest moves."""

    scores: NDArray[np.float64]
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = field(default=())
    shift: Shift | None = None
    said: str = ""
    p_topic_change: float | None = None


Scorer = Callable[[BlindCase], "NDArray[np.float64] | Scored"]
System = Callable[[Training, Settings], Scorer]


class NotApplicableError(Exception):
    """Why a system has nothing to go by in these data. Raised while it learns, not for a single case."""


SYSTEMS = {
    "whimbrel": "whimbrel:whimbrel",
    "whimbrel-none": "whimbrel:whimbrel_none",
    "popularity": "shortcuts:popularity",
    "recent-popularity": "shortcuts:recent_popularity",
    "inverse-popularity": "shortcuts:inverse_popularity",
    "newest": "shortcuts:newest",
    "bm25": "text:bm25",
    "similarity": "text:similarity",
    "itemknn": "neighbours:itemknn",
    "sessionknn": "neighbours:sessionknn",
    "markov": "transitions:markov",
    "item2vec": "embeddings:item2vec",
    "lda": "embeddings:lda",
    "als": "factors:als",
    "bpr": "factors:bpr",
    "lightfm": "factors:lightfm",
    "sasrec": "sasrec:sasrec",
}
"""Where each stands below this package."""


def load_system(name: str) -> System:
    """The system of a name, or one of a user's own: `package.module:function`, a function from a `BlindCase` to item
    ids, the best first.

    Raises:
        ConfigError: no such system, or it cannot be imported.
    """
    if name in SYSTEMS:
        module, _, function = SYSTEMS[name].partition(":")
        system: System = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        return system
    module, colon, function = name.partition(":")
    if not colon:
        raise ConfigError(
            f"{name!r} is no system: give one of {', '.join(SYSTEMS)}, a function as package.module:function, "
            "or a ranking file that ends in .jsonl"
        )
    try:
        ranks = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"system {name!r} cannot be imported: {error}") from error
    if not callable(ranks):
        raise ConfigError(f"system {name!r} is no function")
    return lambda training, settings: lambda case: from_ranking(ranks(case), case)


def from_ranking(ranking: Any, case: BlindCase) -> Scored:
    """Scores of a list of item ids, the best first. Ids that are no candidates and repeats are left out, candidates
    that it omits share the last rank; both are told."""
    places = {item.item_id: place for place, item in enumerate(case.candidates)}
    named = list(dict.fromkeys(str(item_id) for item_id in ranking))
    kept = [item_id for item_id in named if item_id in places]
    scores = np.full(len(places), -float(len(kept)) - 1)
    scores[[places[item_id] for item_id in kept]] = -np.arange(len(kept), dtype=np.float64)
    wrong, omitted = len(list(ranking)) - len(kept), len(places) - len(kept)
    warnings = [f"{wrong} ids were invented or repeated"] if wrong else []
    warnings += [f"{omitted} candidates were omitted"] if omitted else []
    return Scored(scores, warnings=tuple(warnings))
