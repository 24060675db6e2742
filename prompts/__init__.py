"""Prompts are files: `<stage>.v<n>.<language>.md`, a TOML head between `+++` lines, then the messages.

The head declares the inputs. A text with `## system`, `## user`, `## assistant` lines is a conversation; one
without is plain text. `{name}` stands for an input; what one says can close no `<data>` that it stands in.
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
    """One turn of a conversation; `fixed` where it says the same in every one, so that a model may keep it."""

    role: Literal["system", "user", "assistant"]
    content: str
    fixed: NotRequired[bool]


@dataclass(frozen=True)
class Prompt:
    """A prompt file: `name` is `<stage>.v<n>.<language>`, `inputs` the names that must be given."""

    name: str
    inputs: frozenset[str]
    text: str

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its inputs in place. What an input says is never read as an input again.

        Raises:
            ValueError: an input is missing, or one is given that the head does not declare.
        """
        return self._filled(self.text, values)

    def messages(self, values: Mapping[str, str]) -> list[Message]:
        """The conversation with its inputs in place; raises as `fill` does."""
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
        return _INPUT.sub(lambda match: _DELIMITER.sub("\u2039", values[match[1]]), text)


@cache
def load(stage: str, *, version: int = 1, language: str = "en") -> Prompt:
    """Read a prompt that ships with the package.

    Raises:
        ValueError: no such file, no head, or its text uses other inputs than its head declares.
    """
    name = f"{stage}.v{version}.{language}"
    file = resources.files(__package__).joinpath(f"{name}.md")
    if not file.is_file():
        raise ValueError(f"no prompt {name!r}")
    return parse(name, file.read_text("utf-8"))


def parse(name: str, source: str) -> Prompt:
    """A prompt from the text of its file; raises as `load` does."""
    try:
        empty, head, text = source.split("+++\n", 2)
        inputs = frozenset(tomllib.loads(head)["inputs"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"prompt {name!r} needs a TOML head with `inputs` between +++ lines: {error}") from error
    used = frozenset(_INPUT.findall(text))
    if empty or used != inputs:
        raise ValueError(f"prompt {name!r} declares {sorted(inputs)} but uses {sorted(used)}")
    return Prompt(name, inputs, text.strip("\n"))
