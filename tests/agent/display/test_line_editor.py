"""A line that is typed: editing, history, completion, what Ctrl-C and Ctrl-D do, and what a paste cannot do."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from whimbrel.agent.display.line_editor import LineEditor
from whimbrel.agent.display.line_history import LONGEST_LINE, MOST_LINES, LineHistory, one_line
from whimbrel.agent.display.suggestions import Suggestions
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

UP, LEFT, HOME, TAB, CTRL_C, CTRL_D, ENTER = "\x1b[A", "\x1b[D", "\x01", "\t", "\x03", "\x04", "\r"
PASTE = "\x1b[200~{}\x1b[201~"
Typing = Callable[[str], Callable[[], str]]


@pytest.fixture
def history_file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "chat-history"


@pytest.fixture
def typing(history_file: Path) -> Iterator[Typing]:
    """Type keys. Return what reads the next line."""
    items = [Item(item_id="1", title="Matrix, The (1999)", topics=("Science fiction",))]
    suggestions = Suggestions(FieldTable(items, ["1"]), load_phrases("en").chat)
    with create_pipe_input() as keyboard:

        def type_keys(keys: str) -> Callable[[], str]:
            keyboard.send_text(keys)
            return LineEditor("> ", LineHistory(history_file), suggestions, input=keyboard, output=DummyOutput()).read

        yield type_keys


def test_a_line_can_be_edited(typing: Typing) -> None:
    assert typing(f"horor{LEFT}{LEFT}r{HOME}no {ENTER}")() == "no horror"
    assert typing(f"不要恐怖片{ENTER}")() == "不要恐怖片"


def test_tab_completes_a_command_a_topic_and_a_title(typing: Typing) -> None:
    assert typing(f"/sta{TAB}{ENTER}")() == "/state"
    assert typing(f"no sci{TAB}{ENTER}")() == "no Science fiction"
    assert typing(f"something like matr{TAB}{ENTER}")() == "something like The Matrix"


def test_ctrl_c_clears_the_line_and_never_ends_it_with_half_of_it(typing: Typing) -> None:
    assert typing(f"no hor{CTRL_C}no war{ENTER}")() == "no war"
    read = typing(f"{CTRL_C}no war{ENTER}")
    with pytest.raises(KeyboardInterrupt):
        read()
    assert read() == "no war"


def test_ctrl_d_ends_on_an_empty_line_only(typing: Typing) -> None:
    assert typing(f"no war{CTRL_D}{ENTER}")() == "no war"
    with pytest.raises(EOFError):
        typing(CTRL_D)()


@pytest.mark.parametrize("pasted", ["no war\nno crime", "no war\r\n\r\n no crime", "no war\x00\x07\tno crime"])
def test_a_paste_of_several_lines_is_one_line(pasted: str, typing: Typing) -> None:
    assert typing(PASTE.format(pasted) + ENTER)() == "no war no crime"


def test_a_paste_without_marks_is_read_line_by_line_and_its_colours_do_no_harm(typing: Typing) -> None:
    read = typing("no \x1b[31mwar\x1b[0m\rno crime\r")
    assert [read(), read()] == ["no war", "no crime"]
    assert len(typing(PASTE.format("word " * 9_999) + ENTER)()) <= LONGEST_LINE


def test_lines_come_back_in_the_next_conversation_and_only_their_owner_can_read_them(
    typing: Typing, history_file: Path
) -> None:
    assert typing(f"no war{ENTER}")() == "no war"
    assert typing(f"{UP}, no crime{ENTER}")() == "no war, no crime"
    assert history_file.read_text() == "no war\nno war, no crime\n"
    assert stat.S_IMODE(history_file.stat().st_mode) == 0o600


def test_a_long_history_is_shortened_and_made_private(history_file: Path) -> None:
    history_file.parent.mkdir()
    history_file.write_text("".join(f"line {number}\n" for number in range(MOST_LINES + 50)))
    history_file.chmod(0o644)
    assert LineHistory(history_file).lines[0] == "line 50"
    assert len(history_file.read_text().splitlines()) == MOST_LINES
    assert stat.S_IMODE(history_file.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_kept_does_not_end_the_conversation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "chat-history", tmp_path):
        history = LineHistory(path)
        history.add("no war")
        assert history.lines == ()


def test_one_line_has_no_control_characters() -> None:
    assert one_line(" a\u2028b\x1bc\ud800d　e\n") == "a b c d e"
