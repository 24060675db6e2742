"""Answer the same request for one user after the other, as JSON lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from whimbrel.agent.agent import Agent
from whimbrel.agent.answers import answer_of
from whimbrel.agent.batch.snapshot import open_snapshot
from whimbrel.agent.explanation.explain import Explained
from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.pipeline import RECOMMEND
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendation, Recommendations, RequestUsage, Shift
from whimbrel.agent.state import PipelineConfig, Request, State

FAILED = "failed: "
"""The beginning of the warning of a user whose request failed."""
WITHOUT_REASONS = tuple(stage for stage in RECOMMEND if stage != "explain")
MOST_CHARACTERS = 300  # of such a warning
_TIMES: Any = {"usage": {"seconds": True, "stages": {"__all__": {"seconds"}}}}
"""The fields of an answer that differ from run to run."""


@dataclass(frozen=True)
class ListRequest:
    """The request that every user gets.

    Attributes:
        at: The requested time, in Unix seconds; None for one second after the last event of the log.
        k: The length of the list.
        context: The situation, a wish and refusals.
        reasons: Whether each item gets a reason.
        llm: A model spec.
        config: The settings that are not learned.
        budget: What a hosted model may cost.
        remember: Whether cached replies of the model are reused; None for the model's default.
    """

    at: float | None = None
    k: int = 10
    context: Context = field(default_factory=Context)
    reasons: bool = True
    llm: str = "none"
    config: PipelineConfig = field(default_factory=PipelineConfig)
    budget: Budget | None = None
    remember: bool | None = None


class Answerer:
    """Answers requests from a snapshot of a store. A worker process has one."""

    def __init__(self, snapshot: Path, wanted: ListRequest) -> None:
        """Open the snapshot and the language model.

        Args:
            snapshot: The folder of the snapshot.
            wanted: The request, with its time.

        Raises:
            ConfigError: the model spec is not valid.
            ModelError: the model cannot be loaded.
        """
        opened = open_snapshot(snapshot)
        llm = open_model(wanted.llm, budget=wanted.budget, remember=wanted.remember)
        self._agent = Agent(opened.catalogue, llm, wanted.config, fitted=opened.fitted)
        self._request = Request(at=wanted.at, context=wanted.context, k=wanted.k)
        self._reasons = wanted.reasons

    def __call__(self, user_ids: Sequence[str]) -> list[str]:
        """Return the answer for each user as JSON on one line, without the seconds that it took.

        The answer to a request that failed has an empty list and one warning, which begins with `FAILED`.
        """
        return [self._line(user_id) for user_id in user_ids]

    def _line(self, user_id: str) -> str:
        try:
            answer = self._answer(user_id)
        except MemoryError:  # the next users would fail too
            raise
        # Every other exception is caught: one damaged record must not end a run over a million users.
        except Exception as error:
            answer = self._failure(user_id, error)
        return answer.model_dump_json(exclude=_TIMES)

    def _answer(self, user_id: str) -> Recommendations:
        request = replace(self._request, user_id=user_id)
        if self._reasons:
            return answer_of(self._agent.run(request), 0.0)
        return answer_of(_unexplained(self._agent.run(request, WITHOUT_REASONS)), 0.0)

    def _failure(self, user_id: str, error: Exception) -> Recommendations:
        why = f"{FAILED}{type(error).__name__}: {error}"[:MOST_CHARACTERS]
        return Recommendations(
            user_id=user_id,
            at=self._request.at or 0.0,
            summary="",
            shift=Shift(kind="none", reason=""),
            recommendations=(),
            usage=RequestUsage(),
            warnings=(why,),
        )


def _unexplained(state: State) -> State:
    """Complete a state whose list was not explained: its items get no reasons."""
    entries = tuple(
        Recommendation(
            rank=rank,
            item_id=entry.candidate.item.item_id,
            title=entry.candidate.item.title,
            score=entry.score,
            explanation="",
            signals=entry.signals,
        )
        for rank, entry in enumerate(state.ranking.list, start=1)
    )
    return replace(state, explained=Explained(entries), seconds={**state.seconds, "explain": 0.0})
