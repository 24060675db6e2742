"""What a person sees: lines that fit, events that read once, and figures only for those who ask."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from whimbrel.agent import Interaction
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.display.conversation import printer
from whimbrel.agent.display.recommendations import recommendations
from whimbrel.agent.display.terminal import View
from whimbrel.agent.display.timeline_plot import draw
from whimbrel.agent.display.timeline_text import shift_mark, timeline
from whimbrel.agent.schema.results import (
    CitedEvent,
    Recommendation,
    Recommendations,
    RequestUsage,
    Shift,
    ShiftKind,
    is_model_note,
    model_note,
)
from whimbrel.agent.shift.predict import Prediction
from whimbrel.agent.shift.timeline import Period, Timeline, timeline_of
from whimbrel.prompts.phrases import LANGUAGES, Language

TIME = 1_499_534_280.0  # Saturday 8 July 2017, 17:18 UTC
TWINS = tuple(
    CitedEvent(event_id=f"e{number}", item_id=f"i{number}", title="Bottles", time=TIME + number, event="purchase")
    for number in range(2)
)


def printed(shown: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(shown)
    return out.getvalue()


def answer(words: str, *, calls: int = 1) -> Recommendations:
    entry = Recommendation(
        rank=1, item_id="i", title=words, score=1.5, explanation=words, evidence=TWINS, signals={"words": 1.5}
    )
    return Recommendations(
        user_id="u",
        at=TIME,
        summary=words,
        shift=Shift(kind="temporal", to_topics=(words,), confidence=0.5, evidence=TWINS, reason=words),
        recommendations=(entry,),
        usage=RequestUsage(llm_calls=calls),
        warnings=(model_note("summary was replaced"), "the list has 1 of the 5 items asked for"),
    )


def test_events_that_read_the_same_are_one_line_without_ids() -> None:
    assert View().events(TWINS) == ["Sat 8 July 2017, 17:18: bought 'Bottles'"]
    assert View("zh").events(TWINS) == ["2017年7月8日 17:18：买了“Bottles”"]
    assert View(verbose=True).events(TWINS) == [
        f"e{number}  Sat 8 July 2017, 17:18  purchase  Bottles" for number in range(2)
    ]
    unknown = TWINS[0].model_copy(update={"time": None})
    assert View().events([unknown]) == ["time unknown: bought 'Bottles'"]


def test_only_verbose_reports_on_the_model() -> None:
    shown = printed(recommendations(answer("Tea"), View()), 80)
    assert not re.search(r"\be\d\b|tokens|replaced", shown)
    assert "Note: the list has 1 of the 5 items asked for" in shown
    verbose = printed(recommendations(answer("Tea"), View(verbose=True)), 80)
    for part in ("e0", "e1", "1 call of the language model", "tokens in", "Note: the model's summary was replaced"):
        assert part in verbose
    assert "2 calls" in printed(recommendations(answer("Tea", calls=2), View(verbose=True)), 80)
    assert [is_model_note(warning) for warning in answer("Tea").warnings] == [True, False]


def test_without_a_shift_the_probability_that_topics_stay_is_no_confidence() -> None:
    shift = Shift(kind="none", to_topics=("Tea",), confidence=0.9, reason="The 3 events are too few.")
    shown = printed(recommendations(answer("Tea").model_copy(update={"shift": shift}), View()), 110)
    assert "90% that the next event keeps to recent topics" in shown
    assert re.search(r"because +the 3 events are too few\.", shown)
    assert "confidence" not in shown
    assert shift_mark(shift, View()) == "stays 90%"
    unknown = Shift(kind="none", reason="Nothing is known yet.")
    shown = printed(recommendations(answer("Tea").model_copy(update={"shift": unknown}), View()), 110)
    assert "%" not in shown
    assert shift_mark(unknown, View()) == "none"


@pytest.mark.parametrize(
    ("kind", "confidence", "headline"),
    [("temporal", 0.5, True), ("temporal", 0.499, False), ("none", 0.9, False), ("none", 0.0, False)],
)
def test_only_a_named_shift_that_is_likely_right_is_a_headline(
    kind: ShiftKind, confidence: float, headline: bool
) -> None:
    assert Shift(kind=kind, confidence=confidence, reason="").is_headline is headline


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_weak_shift_is_shown_as_a_possible_move(language: Language) -> None:
    view = View(language)
    weak = Shift(kind="temporal", from_topics=("Soup",), to_topics=("Tea", "Cups"), confidence=0.38, reason="So.")
    sure = weak.model_copy(update={"confidence": 0.88})
    answers = {shift: answer("Milk").model_copy(update={"shift": shift}) for shift in (weak, sure)}
    kind = view.say.screen.kinds["temporal"]
    shown = printed(recommendations(answers[weak], view), 110)
    assert kind not in shown
    assert view.say.screen.maybe_title in shown
    assert re.search(r"(maybe to +Tea, Cups|也许转向 +Tea、Cups) ?[(（]38%[)）]", shown)
    assert "Soup" not in shown
    shown = printed(recommendations(answers[sure], view), 110)
    assert kind in shown
    assert "Soup" in shown
    assert shift_mark(weak, view) == {"en": "maybe 38%", "zh": "也许 38%"}[language]
    assert shift_mark(sure, view) == {"en": "temporal 88%", "zh": "时间 88%"}[language]


def test_a_conversation_names_a_weak_shift_as_a_possible_move(capsys: pytest.CaptureFixture[str]) -> None:
    weak = Shift(kind="temporal", to_topics=("Tea",), confidence=0.38, reason="So.")
    show = printer(interactive=False, as_json=False, view=View())
    show(Turn("want", recommendations=answer("Milk").model_copy(update={"shift": weak})))
    assert "No clear interest shift; maybe to Tea (38%). So." in capsys.readouterr().out.splitlines()


def test_a_timeline_does_not_mark_a_weak_shift_as_a_shift() -> None:
    weak = Shift(kind="temporal", from_topics=("Soup",), to_topics=("Tea",), confidence=0.38, reason="So.")
    period = Period(start=TIME, end=TIME + 60, events=3, topics={"Soup": 1.0}, shift=weak)
    made = Timeline(user_id="u", at=TIME + 99, shift=weak, periods=(period,))
    shown = printed(timeline(made, width=100, coloured=False), 100)
    assert "maybe 38% to Tea" in shown
    assert "No clear interest shift as of Sat 8 July 2017, 17:19 UTC" in shown
    assert "▲" not in shown
    assert "temporal" not in shown
    drawn = draw(made, "svg").decode()
    assert "maybe 38% to Tea" in drawn
    assert "temporal" not in drawn


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(language: Language, width: int) -> None:
    words = "很长的主题" * 30
    shown = printed(recommendations(answer(words), View(language)), width)
    assert max(map(cell_len, shown.splitlines())) <= width
    assert re.sub(r"[^很长的主题]", "", shown).count(words) >= 4
    history = [
        Interaction.model_validate(
            {"user_id": "u", "item_id": topic, "title": topic, "topics": [topic], "time": TIME + day * 86_400}
        )
        for day, topic in enumerate(["茶饮", "面包", "园艺", words] * 10)
    ]
    made = timeline_of(
        history, Prediction(Shift(kind="none", reason=words)), user_id="u", at=TIME + 50 * 86_400, language=language
    )
    lines = printed(timeline(made, width=width, coloured=False, view=View(language)), width).splitlines()
    assert max(map(cell_len, lines)) <= width
