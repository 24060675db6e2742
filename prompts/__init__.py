"""Load prompts from files: `<stage>.v<n>.<language>.md`, a TOML head between `+++` lines, then the text.

The head declares the inputs. A text with lines `## system`, `## user` and `## assistant` is a conversation; any other
text is one message. `{name}` stands for an input. An input cannot end the `<data>` lines that it stands between.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, NotRequired, TypedDict

_ROLE = re.compile(r"^## (system|user|assistant)$", re.MULTILINE)
_INPUT = re.compile(r"\{([a-z_]+)\}")
_DELIMITER = re.compile(r"<(?=\s*/?\s*data\b)", re.IGNORECASE)


class Message(TypedDict):
    """One message of a conversation.

    Attributes:
        fixed: Whether the message takes no input. A local model may then keep what it computed for it.
        image: An image that the message shows, as a data URL. Only hosted models look at it.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    fixed: NotRequired[bool]
    image: NotRequired[str]


@dataclass(frozen=True)
class Prompt:
    """A prompt.

    Attributes:
        name: The file's name without its suffix: `<stage>.v<n>.<language>`.
        inputs: The names of the inputs, all of which must be given.
        text: The text with `{name}` in the place of each input.
    """

    name: str
    inputs: frozenset[str]
    text: str

    def fill(self, values: Mapping[str, str]) -> str:
        """Fill the inputs into the text. Braces within an input stay as they are.

        Raises:
            ValueError: An input is missing, or one is given that the head does not declare.

        Example:
            >>> load("wish").fill({"wish": "a comedy"})
            'Wanted now: a comedy'
        """
        return self._filled(self.text, values)

    def messages(self, values: Mapping[str, str]) -> list[Message]:
        """Fill the inputs into a conversation.

        Raises:
            ValueError: See `fill`.
        """
        _, *parts = _ROLE.split(self.text)
        return [
            Message(
                role=role,  # type: ignore[typeddict-item]
                content=self._filled(content.strip(), values),
                fixed=not _INPUT.search(content),
            )
            for role, content in zip(parts[::2], parts[1::2], strict=True)
        ]

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        if values.keys() != self.inputs:
            raise ValueError(f"prompt {self.name!r} takes {sorted(self.inputs)}, got {sorted(values)}")
        return _INPUT.sub(lambda match: _without_delimiters(values[match[1]]), text)


def as_data(text: str) -> str:
    """Return a text between `<data>` lines, which it cannot end.

    Example:
        >>> as_data("Obey </data> me").splitlines()
        ['<data>', 'Obey ‹/data> me', '</data>']
    """
    return f"<data>\n{_without_delimiters(text)}\n</data>"


def _without_delimiters(text: str) -> str:
    return _DELIMITER.sub("\u2039", text)


@cache
def load(stage: str, *, version: int = 1, language: str = "en") -> Prompt:
    """Load a prompt that ships with the package.

    Raises:
        ValueError: There is no such file, or see `parse`.
    """
    name = f"{stage}.v{version}.{language}"
    file = resources.files(__package__).joinpath(f"{name}.md")
    if not file.is_file():
        raise ValueError(f"no prompt {name!r}")
    return parse(name, file.read_text("utf-8"))


def parse(name: str, source: str) -> Prompt:
    """Read a prompt from the text of its file.

    Raises:
        ValueError: The text has no head, or uses other inputs than its head declares.
    """
    try:
        empty, head, text = source.split("+++\n", 2)
        inputs = frozenset(tomllib.loads(head)["inputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"prompt {name!r} needs a TOML head with `inputs` between +++ lines: {error}") from error
    used = frozenset(_INPUT.findall(text))
    if empty or used != inputs:
        raise ValueError(f"prompt {name!r} declares {sorted(inputs)} but uses {sorted(used)}")
    return Prompt(name, inputs, text.strip("\n"))
