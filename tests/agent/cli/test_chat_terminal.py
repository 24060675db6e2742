"""A conversation that is typed: in a real terminal, in one that can do little, and what a pipe never loads."""

import io
import json
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.cli.main import main
from whimbrel.agent.display.suggestions import Suggestions
from whimbrel.agent.display.typed_lines import typed_lines
from whimbrel.prompts.phrases import load_phrases

pty = pytest.importorskip("pty")

AT = "2020-10-17T12:26:40Z"
EDITOR_READY = "\x1b[?2004h"
"""The editor asks the terminal to mark what is pasted, once for each line that it reads."""
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C becomes a signal while an answer is made
from whimbrel.agent.cli.main import main
main()
"""


class Terminal:
    """A `whimbrel chat` in a terminal of its own."""

    def __init__(self, *options: object, **environment: str) -> None:
        self._screen, inner = pty.openpty()
        command = [sys.executable, "-c", PROGRAM, "chat", *map(str, options), "--at", AT, "--llm", "none"]
        self._process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True, env=os.environ | environment
        )
        os.close(inner)
        self.shown = ""
        self._seen = 0

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wait_for(self, words: str, *, seconds: float = 30) -> None:
        """Wait until words are shown behind those that were waited for before."""
        end = time.monotonic() + seconds
        while (place := self.shown.find(words, self._seen)) < 0:
            assert time.monotonic() < end, f"{words!r} is not in {self.shown[self._seen :]!r}"
            self._read()
        self._seen = place + len(words)

    def status(self) -> int:
        """Wait for the end of the command and return its exit status."""
        while self._read():
            pass
        os.close(self._screen)
        return self._process.wait(10)

    def close(self) -> None:
        """End the command if a test failed half-way, so that it does not hold the store."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def _read(self, *, seconds: float = 10) -> bool:
        if not select.select([self._screen], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._screen, 65_536)
        except OSError:  # the other side is closed
            return False
        self.shown += data.decode("utf-8", errors="replace")
        return bool(data)


@pytest.fixture
def start() -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts a terminal, which ends with the test."""
    terminals: list[Terminal] = []

    def started(*options: object, **environment: str) -> Terminal:
        terminals.append(Terminal(*options, **environment))
        return terminals[-1]

    yield started
    for terminal in terminals:
        terminal.close()


def test_a_terminal_edits_lines_and_survives_ctrl_c(start: Callable[..., Terminal], shop: Path, tmp_path: Path) -> None:
    terminal = start("u5", "--store", shop, TERM="xterm", XDG_CACHE_HOME=str(tmp_path))
    terminal.wait_for(EDITOR_READY)
    terminal.type("no gard\x03no furniture\r")
    terminal.wait_for("Left out: Furniture.")
    terminal.wait_for(EDITOR_READY)
    terminal.type("\x03")
    terminal.wait_for("Press Ctrl-D or type /quit to leave.")
    terminal.wait_for(EDITOR_READY)
    terminal.type("/sta\t\r")
    terminal.wait_for("without Furniture")
    terminal.wait_for(EDITOR_READY)
    terminal.type("\x04")
    terminal.wait_for("Goodbye.")
    assert terminal.status() == 0
    assert "Traceback" not in terminal.shown
    history = tmp_path / "whimbrel" / "chat-history"
    assert history.read_text() == "no furniture\n/state\n"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_dumb_terminal_reads_plain_lines(start: Callable[..., Terminal], shop: Path, tmp_path: Path) -> None:
    options = ("u5", "--store", shop, "--language", "zh")
    terminal = start(*options, TERM="dumb", XDG_CACHE_HOME=str(tmp_path), PYTHONUTF8="1")
    terminal.wait_for("> ")
    terminal.type("/quit\n")
    terminal.wait_for("再见。")
    assert terminal.status() == 0
    assert EDITOR_READY not in terminal.shown
    assert not (tmp_path / "whimbrel" / "chat-history").exists()


def test_ctrl_c_at_a_plain_prompt_says_how_to_leave(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A real Ctrl-C can come between the prompt of `input` and its wait for a key, and is then seen one key late.
    keys: Iterator[str | BaseException] = iter([KeyboardInterrupt(), KeyboardInterrupt(), "no tea", EOFError()])

    def pressed(prompt: str) -> str:
        key = next(keys)
        if isinstance(key, BaseException):
            raise key
        return key

    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("builtins.input", pressed)
    words = load_phrases("en").chat
    with Agent.open(shop, llm="none") as agent:
        lines = list(typed_lines(Suggestions(agent.store.fields, words), words))
    assert lines == ["no tea"]
    shown = capsys.readouterr().out
    assert shown.count(words.how_to_leave) == 2
    assert words.goodbye in shown


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_pipe_never_loads_the_editor(options: list[str], shop: Path) -> None:
    program = (
        "import sys\nfrom whimbrel.agent.cli.main import main\ntry:\n    main()\n"
        "finally:\n    print('prompt_toolkit' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "chat", "--store", str(shop), "--llm", "none", *options]
    ended = subprocess.run(command, input="/state\n", check=True, capture_output=True, text=True)
    assert ended.stderr.splitlines()[-1] == "False"
    assert "No wishes so far." in ended.stdout


class TypedLines(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shop: Path) -> Callable[..., str]:
    """Type lines into `whimbrel chat` and return what was shown, without line breaks."""

    def chat(*lines: str, language: str = "en", options: Sequence[str] = ()) -> str:
        command = ["chat", "u5", "--store", str(shop), "--at", AT, "--llm", "none", "--language", language]
        monkeypatch.setattr(sys, "argv", ["whimbrel", *command, *options])
        monkeypatch.setattr(sys, "stdin", TypedLines("".join(f"{line}\n" for line in lines)))
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        assert not ended.value.code
        return " ".join(capsys.readouterr().out.split())

    return chat


def test_ctrl_c_stops_an_answer_and_nothing_changes(chat: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    recommend, calls = Agent.recommend, []

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:  # the first call is the opening
            raise KeyboardInterrupt
        return recommend(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Agent, "recommend", interrupted)
    shown = chat("no furniture", "/state", "no furniture")
    assert shown.index("Interrupted; the list has not changed.") < shown.index("No wishes so far.")
    assert shown.index("No wishes so far.") < shown.index("Left out: Furniture.")
    assert shown.endswith("Goodbye.")  # the end of the input is Ctrl-D


def test_the_state_is_shown_once_and_the_help_in_the_language(chat: Callable[..., str]) -> None:
    shown = chat("/less furniture", "/state", "/quit", language="zh")
    assert shown.count(" 排除：Furniture ") == 2  # below the first answer, and as the second
    assert load_phrases("zh").chat.help.split()[0][:20] in shown
    assert shown.endswith("再见。")


def test_the_first_list_shows_what_the_policy_says_and_asks(chat: Callable[..., str], tmp_path: Path) -> None:
    policy = {
        "gate": [{"field": "topics", "op": "contains", "value": "Furniture"}],
        "disclose": [{"when": {"field": "topics", "op": "contains", "value": "Garden"}, "words": "An advertisement."}],
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    shown = chat(options=["--policy", str(tmp_path / "policy.json")])
    assert "An advertisement." in shown
    assert shown.index("Say what you want") < shown.index("Interest shift")  # so that the question stands last
    assert shown.endswith("May I also show items with Furniture? > Goodbye.")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_that_is_offered_exists(language: str, shop: Path) -> None:
    with Agent.open(str(shop), "none") as agent:
        session: Session = agent.chat("u5", AT)
        session.open()
        for command in load_phrases(language).chat.commands:  # type: ignore[arg-type]
            assert "There is no command" not in session.say(command).words
