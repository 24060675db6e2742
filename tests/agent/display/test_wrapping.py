"""Lines break where a reader of Chinese expects it."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, Group

from whimbrel.agent.display.wrapping import Prose, line_starts
from whimbrel.prompts.phrases import load_phrases


def lines_of(text: str, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(Group(Prose(text)))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [12, 21, 50, 80])
def test_no_line_is_too_wide_or_begins_with_a_comma_and_no_word_is_split(width: int) -> None:
    text = load_phrases("zh").chat.help + "想要哪一类：Drama、Thriller或Adventure？"
    lines = lines_of(text, width)
    assert max(map(cell_len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    for line in lines:
        assert line[0] not in "，。、；：？！）》”"
        assert line[-1] not in "（《“"
    if width > 20:
        assert any("Thriller" in line for line in lines)


def test_a_number_stays_with_its_unit() -> None:
    assert lines_of("另有人20元", 8) == ["另有人", "20元"]


def test_a_word_that_no_line_can_hold_is_folded() -> None:
    assert lines_of("茶" + "a" * 10, 4) == ["茶", "aaaa", "aaaa", "aa"]
    assert line_starts("", 4) == []


def test_other_languages_break_at_spaces() -> None:
    assert [line.rstrip() for line in lines_of("tea and bread", 8)] == ["tea and", "bread"]


def test_lines_and_styles_are_kept() -> None:
    text = Prose("茶\n", style="bold")
    text.append("面包", style="dim")
    out = io.StringIO()
    Console(file=out, width=20, force_terminal=True, color_system="standard").print(Group(text))
    assert re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()) == "茶\n面包\n"
    assert "\x1b[1;2m面包" in out.getvalue()
