"""Show a conversation in a terminal, in a pipe, or as JSON documents."""

import json
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.text import Text

from whimbrel.agent.chat.session import Answer
from whimbrel.agent.display.recommendations import recommendations, recommended, shift_title
from whimbrel.agent.display.terminal import View, console
from whimbrel.agent.schema.results import Shift


def printer(*, interactive: bool, as_json: bool, view: View) -> Callable[[Answer], None]:
    """Return a function that prints an answer. Call it with each answer of a conversation in order.

    Args:
        interactive: Whether a person types. The first list is shown in full then.
        as_json: Whether to print each answer as one JSON document on a line.
        view: How answers are shown to a person.
    """
    opening = True

    def show(answer: Answer) -> None:
        nonlocal opening
        answered = answer.recommendations
        if as_json:
            document = {"answer": answer.words, "recommendations": answered and answered.model_dump(mode="json")}
            print(json.dumps(document, ensure_ascii=False), flush=True)  # the reader of the pipe waits for this line
        elif interactive:
            console().print(recommendations(answered, view) if answered and opening else _answer(answer, view))
        else:
            print(_plain(answer, view, opening=opening), flush=True)
        opening = False

    return show


def _answer(answer: Answer, view: View) -> RenderableType:
    """Show an answer: its words and its list, without the summary."""
    parts: list[RenderableType] = [Text(line) for line in _words(answer, view)]
    if answered := answer.recommendations:
        if answered.shift.kind != "none":
            parts.append(Text(_shift_line(answered.shift, view), style="dim"))
        parts += [recommended(answered, view), *view.notes(answered.warnings)]
    return Group(*parts)


def _plain(answer: Answer, view: View, *, opening: bool) -> str:
    """Write an answer for a pipe: a line for each recommendation, and an empty line at the end.

    Only the opening contains the summary.
    """
    lines = _words(answer, view)
    if answered := answer.recommendations:
        lines += [answered.summary] if opening else []
        lines += [_shift_line(answered.shift, view)] if opening or answered.shift.kind != "none" else []
        lines += [f"{entry.rank}. {entry.title} - {entry.explanation}" for entry in answered.recommendations]
        lines += [note.plain for note in view.notes(answered.warnings)]
    return "\n".join([*lines, ""])


def _words(answer: Answer, view: View) -> list[str]:
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
