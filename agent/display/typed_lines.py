"""The lines that a person types in a terminal. A terminal that can do little is read all the same."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from whimbrel.agent.display.line_history import LineHistory, one_line
from whimbrel.agent.display.suggestions import Suggestions
from whimbrel.agent.display.terminal import console
from whimbrel.prompts.chat_phrases import ChatPhrases
from whimbrel.tools.files.paths import cache_folder

PROMPT = "> "
HISTORY_FILE = "chat-history"
"""The name of the file with the latest lines, in the cache folder."""
DUMB = frozenset({"dumb", "unknown"})
"""Values of $TERM of terminals that cannot move their cursor."""


def typed_lines(suggestions: Suggestions, words: ChatPhrases) -> Iterator[str]:
    """Yield the lines that are typed, until Ctrl-D. Ctrl-C never ends the conversation."""
    read = _reader(suggestions)
    while True:
        try:
            yield read()
        except KeyboardInterrupt:
            console().print(words.how_to_leave, style="dim", markup=False)
        except EOFError:
            console().print(words.goodbye, markup=False)
            return


def _reader(suggestions: Suggestions) -> Callable[[], str]:
    """Return a function that reads a line: the editor, or `input` where the terminal cannot have it."""
    if sys.stdout.isatty() and os.environ.get("TERM") not in DUMB:
        with suppress(Exception):  # whatever the editor lacks here, plain lines can still be read
            from whimbrel.agent.display.line_editor import LineEditor

            return LineEditor(PROMPT, LineHistory(cache_folder() / HISTORY_FILE), suggestions).read
    with suppress(ImportError):
        import readline  # noqa: F401  # gives input() arrow keys and a history
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a line in the wrong encoding still gets an answer
    return _plain_line


def _plain_line() -> str:
    try:
        return one_line(input(PROMPT))
    except (EOFError, KeyboardInterrupt):
        print()  # the cursor still stands behind the prompt
        raise
