"""What became of one case with one system: an order, what it cost, whether it failed."""

import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import Usage
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.evals.systems.protocol import Scored, Scorer, from_ranking

LISTED = 100
"""Items of a whole catalogue that a line of rankings holds."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    scored: Scored
    seconds: float
    failure: str = ""

    def ordered(self, blind: BlindCase) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places of the candidates and their scores, the best first; among equal ones by a draw of the case's own, so
        that the order given cannot help. What is not a number counts as least."""
        scores = np.nan_to_num(self.scored.scores, nan=-np.inf, posinf=np.finfo(float).max)
        seed = int.from_bytes(hashlib.blake2b(blind.case_id.encode(), digest_size=8).digest())
        order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))
        if blind.met:
            unmet = np.fromiter((item.item_id not in blind.met for item in blind.candidates), bool, len(scores))
            order = order[unmet[order]]
        return order, scores[order]

    def lines(self, blind: BlindCase, system: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The line of `rankings.jsonl`, all candidates or of a whole catalogue the first hundred, and that of
        `outcomes.jsonl`; there `ties` are [first place from 0, length] of runs of equal scores."""
        places, ordered = self.ordered(blind)
        listed = len(places) if blind.met is None else LISTED
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        lengths = np.diff(np.append(starts, len(ordered)))
        ties = [[int(s), int(n)] for s, n in zip(starts, lengths, strict=True) if n > 1 and s < listed]
        of = {"case_id": blind.case_id, "system": system}
        told = [*self.scored.warnings, *([f"failed: {self.failure}"] if self.failure else [])]
        order = [blind.candidates[place].item_id for place in places[:listed]]
        usage = asdict(self.scored.usage)
        shift = self.scored.shift
        seen = None if shift is None else shift.model_dump(include={"kind", "confidence", "to_topics", "reason"})
        return (
            of | {"ranking": order, "warnings": told},
            of
            | {"ties": ties, "seconds": round(self.seconds, 4), "failure": self.failure, **usage}
            | ({"shift": seen, "said": self.scored.reason, "moves": self.scored.p_topic_change} if seen else {}),
        )


def outcome_of(scorer: Scorer, blind: BlindCase) -> Outcome:
    """A case ranked; a system that fails ranks nothing, its error is kept, and the run goes on."""
    started = time.perf_counter()
    try:
        given = scorer(blind)
        scored = given if isinstance(given, Scored) else Scored(np.asarray(given, dtype=np.float64))
        if scored.scores.shape != (len(blind.candidates),):
            raise ValueError(f"{scored.scores.shape} scores for {len(blind.candidates)} candidates")
        failure = ""
    except Exception as error:
        scored, failure = from_ranking([], blind), f"{type(error).__name__}: {error}"[:300]
        scored = Scored(scored.scores, Usage())
    return Outcome(scored, time.perf_counter() - started, failure)
