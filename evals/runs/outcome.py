"""The outcome of one case with one system: an order of the candidates, what it cost, whether the system failed."""

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
"""Items that a line of rankings has for a case on the whole catalogue. Metrics need ten; MAP in `eval agreement` reads
all of them."""
LONGEST_FAILURE = 300
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class Outcome:
    """What a system made of a case. `failure` is its error, "" if there was none."""

    scored: Scored
    seconds: float
    failure: str = ""

    def ordered(self, blind: BlindCase) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the candidates as rows, the best first, and their scores in that order.

        Equal scores are ordered at random, with a seed of the case's own, so that the order in which candidates are
        given cannot help. NaN counts as the lowest score. Items that the user met before are left out.
        """
        # Infinity becomes the largest number, so that all scores can be negated and sorted.
        scores = np.nan_to_num(self.scored.scores, nan=-np.inf, posinf=np.finfo(float).max)
        seed = int.from_bytes(hashlib.blake2b(blind.case_id.encode(), digest_size=8).digest())
        order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))
        if blind.met:
            is_new = np.fromiter((item.item_id not in blind.met for item in blind.candidates), bool, len(scores))
            order = order[is_new[order]]
        return order, scores[order]

    def lines(self, blind: BlindCase, system: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the lines of the case in `rankings.jsonl` and in `outcomes.jsonl`.

        The ranking has all candidates, or for a case on the whole catalogue the first hundred. `ties` are the runs of
        equal scores, each as [first position from 0, length].
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
    """Score a case. If the system fails, it ranks nothing and its error is kept, and the run continues."""
    started = time.perf_counter()
    try:
        result = scorer(blind)
        scored = result if isinstance(result, Scored) else Scored(np.asarray(result, dtype=np.float64))
        if scored.scores.shape != (len(blind.candidates),):
            raise ValueError(f"{scored.scores.shape} scores for {len(blind.candidates)} candidates")
        failure = ""
    except Exception as error:  # a system is foreign code: whatever it raises is its result
        scored = Scored(from_ranking([], blind).scores, Usage())  # without the warning that candidates were omitted
        failure = f"{type(error).__name__}: {error}"[:LONGEST_FAILURE]
    return Outcome(scored, time.perf_counter() - started, failure)
