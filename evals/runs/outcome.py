"""The outcome of one case with one system: the order of the candidates, the cost, and a failure if there was one."""

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
"""How many items of a ranking are written for a case on the whole catalogue. Most metrics read the first ten. MAP in
`eval agreement` reads all of them."""
LONGEST_FAILURE = 300
"""How many characters of an error message are kept."""


@dataclass(frozen=True)
class Outcome:
    """The answer of a system to a case, and the time it took. `failure` is the system's error, or "" if none."""

    scored: Scored
    seconds: float
    failure: str = ""

    def ordered(self, blind: BlindCase) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the positions of the candidates, the best first, and their scores in that order.

        Equal scores are ordered at random, so that the order of the input has no influence. Each case has its own seed.
        NaN counts as the lowest score. Items that the user already interacted with are left out.
        """
        # NaN becomes minus infinity and infinity the largest number, so that all scores can be sorted.
        scores = np.nan_to_num(self.scored.scores, nan=-np.inf, posinf=np.finfo(float).max)
        seed = int.from_bytes(hashlib.blake2b(blind.case_id.encode(), digest_size=8).digest())
        order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))
        if blind.met:
            is_new = np.fromiter((item.item_id not in blind.met for item in blind.candidates), bool, len(scores))
            order = order[is_new[order]]
        return order, scores[order]

    def lines(self, blind: BlindCase, system: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the lines of the case in `rankings.jsonl` and in `outcomes.jsonl`.

        The ranking holds all candidates. For a case on the whole catalogue it holds only the first hundred. `ties`
        lists each run of equal scores as [first position, length]. Positions count from 0.
        """
        rows, ordered_scores = self.ordered(blind)
        listed = len(rows) if blind.met is None else LISTED
        starts = np.flatnonzero(np.append(True, ordered_scores[1:] != ordered_scores[:-1]))
        lengths = np.diff(np.append(starts, len(ordered_scores)))
        ties = [[int(s), int(n)] for s, n in zip(starts, lengths, strict=True) if n > 1 and s < listed]
        key = {"case_id": blind.case_id, "system": system}
        warnings = [*self.scored.warnings, *([f"failed: {self.failure}"] if self.failure else [])]
        outcome = key | {
            "ties": ties,
            "seconds": round(self.seconds, 4),
            "failure": self.failure,
            **asdict(self.scored.usage),
        }
        if self.scored.shift is not None:
            outcome["shift"] = self.scored.shift.model_dump(include={"kind", "confidence", "to_topics", "reason"})
            outcome |= {"said": self.scored.reason, "moves": self.scored.p_topic_change}
        ranking = [blind.candidates[row].item_id for row in rows[:listed]]
        return key | {"ranking": ranking, "warnings": warnings}, outcome


def outcome_of(scorer: Scorer, blind: BlindCase) -> Outcome:
    """Score a case. If the system fails, it ranks nothing, its error is kept, and the run continues."""
    started = time.perf_counter()
    try:
        result = scorer(blind)
        scored = result if isinstance(result, Scored) else Scored(np.asarray(result, dtype=np.float64))
        if scored.scores.shape != (len(blind.candidates),):
            raise ValueError(f"{scored.scores.shape} scores for {len(blind.candidates)} candidates")
        failure = ""
    except Exception as error:  # a system is third-party code, so any exception counts as its result
        scored = Scored(from_ranking([], blind).scores, Usage())  # without the warning that candidates were omitted
        failure = f"{type(error).__name__}: {error}"[:LONGEST_FAILURE]
    return Outcome(scored, time.perf_counter() - started, failure)
