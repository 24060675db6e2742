"""What observers are told of each stage of the pipeline: counts and costs, and the content if that is wanted."""

from collections.abc import Mapping
from typing import Any

from whimbrel.agent.language_models.observed_model import model_name, usage_facts
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel
from whimbrel.agent.state import Request, State
from whimbrel.tools.observing import Fact

MODEL_STAGES = {
    "reading": "read",
    "summary": "summarise",
    "prediction": "predict_shift",
    "ranking": "rank",
    "explained": "explain",
}
"""The stages that may ask the language model, keyed by the attribute of the state that holds their result."""
_RESULTS = {stage: attribute for attribute, stage in MODEL_STAGES.items()}


def request_facts(request: Request, llm: LanguageModel | None) -> dict[str, Fact]:
    """Return what is known before the first stage."""
    return {
        "whimbrel.k": request.k,
        "whimbrel.has_wish": bool(request.context.query),
        "gen_ai.request.model": model_name(llm),
    }


def request_content(request: Request) -> dict[str, Fact]:
    """Return the person and the situation."""
    return {"whimbrel.user_id": request.user_id, "whimbrel.context": request.context.model_dump_json()}


def stage_facts(stage: str, state: State) -> dict[str, Fact]:
    """Return the counts of a stage that has just run, and what its calls of the model cost."""
    counts: Mapping[str, int] = {
        "recall": {"events": len(state.recall.history), "events_elsewhere": len(state.recall.elsewhere)},
        "predict_shift": {"to_topics": len(state.prediction.shift.to_topics)},
        "retrieve": {"candidates": len(state.candidates)},
        "compare": {"features": state.features.shape[1]},
        "rank": {"candidates": len(state.ranking.ranked), "listed": len(state.ranking.list)},
        "explain": {"listed": len(state.explained.recommendations)},
    }.get(stage, {})
    facts: dict[str, Fact] = {f"whimbrel.{name}": count for name, count in counts.items()}
    if stage == "predict_shift":
        facts["whimbrel.shift"] = state.prediction.shift.kind
    if state.failure is not None:
        facts["whimbrel.without_model"] = True
    return facts | usage_facts(getattr(state, _RESULTS[stage]).usage if stage in _RESULTS else NO_USAGE)


def stage_content(stage: str, state: State) -> dict[str, Fact]:
    """Return the texts of a stage that has just run."""
    content: dict[str, Any] = {
        "summarise": {"summary": state.summary.text},
        "predict_shift": {"shift": state.prediction.shift.model_dump_json(exclude={"evidence"})},
        "explain": {"list": "\n".join(entry.title for entry in state.explained.recommendations)},
    }.get(stage, {})
    return {f"whimbrel.{name}": text for name, text in content.items()}
