"""Turn a finished state into the answer for the caller: recommendations, their cost, and warnings."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from whimbrel import __version__
from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendations, RequestUsage, StageUsage, is_model_note
from whimbrel.agent.stage_facts import MODEL_STAGES
from whimbrel.agent.state import State
from whimbrel.prompts.phrases import PathPhrases, Phrases, load_phrases
from whimbrel.tools.errors import ModelError
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import iso


def answer_of(state: State, seconds: float, say: Phrases | None = None) -> Recommendations:
    """Turn a finished state into the answer.

    Args:
        state: The state after all stages of `RECOMMEND`.
        seconds: How long the whole request took.
        say: The sentences of the answer. The default is those of its language, with times in UTC.
    """
    say = say or load_phrases(state.summary.language)
    request, recommendations = state.request, state.explained.recommendations
    results: dict[str, Any] = {name: getattr(state, name) for name in MODEL_STAGES}
    usages = {stage: results[name].usage for name, stage in MODEL_STAGES.items()}
    usage = sum(usages.values(), Usage())
    given = dict.fromkeys(warning for name in MODEL_STAGES for warning in results[name].warnings)
    warnings = [*_of_model(list(given), usage, state.failure, say)]
    warnings += unseen_situation(request.context, state.recall.history, say)
    if request.user_id and not state.recall.history and not state.recall.elsewhere:
        moment = say.moment(request.at or 0.0)
        warnings.append(say.notes.nothing_before.format(user=request.user_id, moment=moment))
    if len(recommendations) < request.k:
        warnings.append(say.notes.short.format(count=len(recommendations), of=request.k))
    return Recommendations(
        user_id=request.user_id,
        at=request.at or 0.0,
        summary=state.summary.text,
        shift=state.prediction.shift,
        recommendations=recommendations,
        usage=RequestUsage(
            **_usage(usage, seconds),
            stages={stage: StageUsage(**_usage(usages[stage], state.seconds[stage])) for stage in usages},
        ),
        warnings=tuple(warnings),
        path=tuple(_path(state, say.paths)),
    )


def _path(state: State, say: PathPhrases) -> Iterator[str]:
    """Yield how the list was made where little is known."""
    recall, context = state.recall, state.request.context
    if recall.elsewhere:
        yield (say.both if recall.history else say.elsewhere).format(count=len(recall.elsewhere))
    elif not recall.history:
        yield say.new_wish if context.query or context.more else say.new
    if state.kind == "cold" and state.request.candidates is None:
        yield say.no_log_model if state.ranking.asked else say.no_log
    elif new := sum(not entry.candidate.statistics.get("popularity") for entry in state.ranking.list):
        yield say.new_items.format(count=new, of=len(state.ranking.list))


def audit_entry(answer: Recommendations, llm: LanguageModel | None) -> dict[str, Any]:
    """Return what the audit log keeps of an answer: when and why each item was shown, by which version and model."""
    shift = answer.shift
    return {
        "logged": iso(time.time()),
        "at": iso(answer.at),
        "version": __version__,
        "model": llm.digest if llm else "none",
        "shift": {
            "kind": shift.kind,
            "from_topics": shift.from_topics,
            "to_topics": shift.to_topics,
            "confidence": shift.confidence,
        },
        "list": [
            entry.model_dump(mode="json", exclude={"evidence"})
            | {"evidence": [event.event_id for event in entry.evidence]}
            for entry in answer.recommendations
        ],
    }


def _of_model(warnings: Sequence[str], usage: Usage, failure: ModelError | None, say: Phrases) -> list[str]:
    """Return the warnings of the stages, with a single one about the language model.

    Several stages may have failed for one reason, so their notes are joined.
    """
    notes = [warning for warning in warnings if is_model_note(warning)]
    others = [warning for warning in warnings if not is_model_note(warning)]
    if failure:
        return [say.notes.without_model.format(error=failure), *others]
    if usage.generations and usage.misfits == usage.generations:
        why = f" ({notes[0]})" if notes else ""  # the later notes mostly repeat the first
        return [say.notes.useless_model.format(why=why), *others]
    return [*(["; ".join(notes)] if notes else []), *others]


def unseen_situation(context: Context, history: Sequence[Item], say: Phrases) -> list[str]:
    """Return a warning if no event of the history has the same situation."""
    unknown = [
        f"{key} {value}"
        for key, value in context.situation.items()
        if not any(getattr(event, "context", {}).get(key) == value for event in history)
    ]
    if not unknown or not history:
        return []
    return [say.notes.unseen.format(situation=say.writing.comma.join(unknown))]


def _usage(usage: Usage, seconds: float) -> dict[str, Any]:
    known = {name: value for name, value in vars(usage).items() if name in StageUsage.model_fields}
    return known | {"seconds": round(seconds, 3)}
