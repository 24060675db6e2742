"""Show a conversation in a terminal, in a pipe, or as JSON documents."""

import json
from collections.abc import Callable

from rich.console import Group, RenderableType

from whimbrel.agent.chat.turn import Turn, turn_document
from whimbrel.agent.chat.words import field_words, state_words, value_words
from whimbrel.agent.display.recommendations import recommendations, recommended, shift_title
from whimbrel.agent.display.terminal import View, console
from whimbrel.agent.display.wrapping import Prose
from whimbrel.agent.schema.results import Shift


def printer(*, interactive: bool, as_json: bool, view: View) -> Callable[[Turn], None]:
    """Return a function that prints an answer. Call it with each answer of a conversation in order.

    Args:
        interactive: Whether a person types. The first list is shown in full then.
        as_json: Whether to print each answer as one JSON document on a line.
        view: How answers are shown to a person.
    """
    opening = True

    def show(answer: Turn) -> None:
        nonlocal opening
        if as_json:
            # The reader of the pipe waits for this line.
            print(json.dumps(turn_document(answer), ensure_ascii=False), flush=True)
        elif interactive:
            console().print(_opening(answer, view) if opening else _answer(answer, view))
        else:
            print(_plain(answer, view, opening=opening), flush=True)
        opening = False

    return show


def _opening(answer: Turn, view: View) -> RenderableType:
    """Show the first answer with the summary, and what a person can say. A question stands last, above the prompt."""
    shown = _answer(answer, view)
    if answered := answer.recommendations:
        parts = [Prose(line) for line in _words(answer, view)]
        shown = Group(*parts, recommendations(answered, view, notes=_notes(answer, view)), *_below(answer, view))
    help_lines = (Prose(view.say.chat.help, style="dim"), "")
    return Group(*help_lines, shown) if answer.question else Group(shown, *help_lines)


def _answer(answer: Turn, view: View) -> RenderableType:
    """Show an answer: its words and its list, without the summary. An empty line ends it."""
    parts: list[RenderableType] = [Prose(line) for line in _words(answer, view)]
    if answered := answer.recommendations:
        if answered.shift.kind != "none" and answer.state.is_empty:  # a wish is no shift of the interests
            parts.append(Prose(_shift_line(answered.shift, view), style="dim"))
        parts += [
            recommended(answered, view, notes=_notes(answer, view)),
            *view.notes(answered.warnings if answered.recommendations else ()),
        ]
    return Group(*parts, *_below(answer, view))


def _below(answer: Turn, view: View) -> list[RenderableType]:
    """Show what stands below an answer; see `_after`. The question is not dim: it waits for an answer."""
    lines = [line for line in _after(answer, view) if line != answer.words]  # which may be the state itself
    styles = ["", "dim"] if answer.question else ["dim"]
    end = [] if answer.done else [""]
    return [*(Prose(line, style=style) for line, style in zip(lines, styles, strict=False)), *end]


def _plain(answer: Turn, view: View, *, opening: bool) -> str:
    """Write an answer for a pipe: a line for each recommendation, and an empty line at the end.

    Only the opening contains the summary.
    """
    lines = _words(answer, view)
    if answered := answer.recommendations:
        lines += [answered.summary] if opening else []
        lines += (
            [_shift_line(answered.shift, view)]
            if opening or (answered.shift.kind != "none" and answer.state.is_empty)
            else []
        )
        notes = _notes(answer, view)
        for entry in answered.recommendations:
            lines.append(f"{entry.rank}. {entry.title} - {entry.explanation}")
            lines += [f"   {note}" for note in notes.get(entry.item_id, ())]
        lines += [note.plain for note in view.notes(answered.warnings if answered.recommendations else ())]
    return "\n".join([*lines, *_after(answer, view), ""])


def _notes(answer: Turn, view: View) -> dict[str, list[str]]:
    """Return what stands below each listed item: the price, the fields that were limited, and what must be said."""
    limited = {"price", *(condition.field for condition in answer.state.conditions)}
    notes: dict[str, list[str]] = {}
    for item_id, facts in answer.fields.items():
        told = [
            f"{field_words(name, view.say)}: {value_words(value, view.say)}"
            for name, value in facts.items()
            if name in limited
        ]
        lines = [view.say.writing.semicolon.join(told)] if told else []
        notes[item_id] = [*lines, *answer.disclosures.get(item_id, ())]
    return notes


def _after(answer: Turn, view: View) -> list[str]:
    """Return the lines below an answer: the question, and what is wanted so far."""
    lines = [answer.question.text] if answer.question else []
    return lines if answer.state.is_empty or answer.done else [*lines, state_words(answer.state, view.say)]


def _words(answer: Turn, view: View) -> list[str]:
    return [words for words in (answer.words, answer.figures if view.verbose else "") if words]


def _shift_line(shift: Shift, view: View) -> str:
    screen, writing = view.say.screen, view.say.writing
    values = {"title": shift_title(shift, view), "percent": int(shift.confidence * 100), "reason": shift.reason}
    if shift.is_headline:
        return screen.shift_line.format(**values)
    if shift.kind != "none":
        return screen.maybe_line.format(topics=writing.comma.join(shift.to_topics), **values)
    if shift.confidence:
        return screen.no_shift_line.format(**values)
    # Nothing is known, so there is no probability to show.
    return writing.sentence_gap.join([f"{values['title']}{writing.full_stop}", shift.reason])
