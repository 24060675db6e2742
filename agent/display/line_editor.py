"""A line that a person types in a terminal, with editing, history and completion.

Only this module imports prompt_toolkit, which takes a tenth of a second. Import it only where a person types.
"""

from collections.abc import Iterable, Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from whimbrel.agent.display.line_history import LineHistory, one_line
from whimbrel.agent.display.suggestions import Suggestions

MENU_LINES = 5
"""Lines below the prompt that are kept free for the completions."""


class LineEditor:
    """Reads lines. Ctrl-C clears a line, Tab completes it, and the arrow keys bring back earlier ones."""

    def __init__(
        self,
        prompt: str,
        history: LineHistory,
        suggestions: Suggestions,
        *,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        """Open the terminal.

        Args:
            prompt: What stands before each line.
            history: The lines of earlier conversations.
            suggestions: What completes a line.
            input: Where keys come from, if not from the terminal.
            output: Where the line is shown, if not in the terminal.
        """
        output = output or create_output()
        if isinstance(output, Vt100_Output):
            # The terminal would be asked where its cursor is. One that does not answer gets a warning on the screen.
            output.enable_cpr = False
        completer = _Completer(suggestions)
        self._session: PromptSession[str] = PromptSession(
            prompt,
            history=_History(history),
            completer=completer,
            complete_in_thread=True,
            key_bindings=_keys(completer),
            enable_suspend=True,
            reserve_space_for_menu=MENU_LINES,
            input=input,
            output=output,
        )

    def read(self) -> str:
        """Return the next line.

        Raises:
            EOFError: Ctrl-D was pressed on an empty line, or the terminal is gone.
            KeyboardInterrupt: Ctrl-C was pressed on an empty line.
        """
        return one_line(self._session.prompt())


def _keys(completer: Completer) -> KeyBindings:
    keys = KeyBindings()

    # The key, and a signal that another process sends.
    @keys.add("c-c", filter=~is_searching)
    @keys.add("<sigint>")
    def _clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    @keys.add("tab", filter=~is_searching)
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state:
            buffer.complete_next()
            return
        # Made here and not in a thread, since a Tab is lost while the thread looks for what the last letter completes.
        completions = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if completions:
            buffer.complete_state = CompletionState(buffer.document, completions)
            buffer.go_to_completion(0)

    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        # Several lines become one, which the person sees before it is sent.
        event.current_buffer.insert_text(one_line(event.data))

    @keys.add(Keys.Vt100MouseEvent)
    def _ignore(event: KeyPressEvent) -> None:
        """The mouse is not used. A pasted colour code looks like one of its events, and breaks the usual handler."""

    return keys


class _History(History):
    def __init__(self, kept: LineHistory) -> None:
        super().__init__()
        self._kept = kept

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._kept.lines)

    def store_string(self, string: str) -> None:
        self._kept.add(string)


class _Completer(Completer):
    def __init__(self, suggestions: Suggestions) -> None:
        self._suggestions = suggestions

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        for suggestion in self._suggestions.complete(
            document.text_before_cursor, is_asked=complete_event.completion_requested
        ):
            yield Completion(suggestion.text, start_position=-suggestion.replaces, display_meta=suggestion.about)
