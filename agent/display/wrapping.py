"""Lines of a paragraph. Chinese has no spaces, so its lines break between characters."""

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.containers import Lines
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, OverflowMethod

_WIDE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_OPENING = "（《「『【“‘"
_CLOSING = "，。、；：？！）》」』】”’…％"
_EAST_ASIAN = re.compile(f"[{_WIDE}]")
_UNIT = re.compile(
    rf"[{_OPENING}]*(?:\d+[{_WIDE}]|[{_WIDE}]|[^\s{_WIDE}{_OPENING}{_CLOSING}]+)?[{_CLOSING}]*\s*", re.ASCII
)
"""What stays on one line: a word or one character, with the marks around it. A number stays with its unit."""


class Prose(Text):
    """Text whose lines also break within Chinese, where a reader expects it.

    Rich breaks lines at spaces only. In Chinese it would split a foreign word, or begin a line with a comma.

    Print it in a group, a table or a panel, because `Console.print` turns it into plain `Text`.
    """

    def wrap(
        self,
        console: "Console",
        width: int,
        *,
        justify: "JustifyMethod | None" = None,
        overflow: "OverflowMethod | None" = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """Break the text into lines of at most `width` columns."""
        if no_wrap or not _EAST_ASIAN.search(self.plain):
            return super().wrap(console, width, justify=justify, overflow=overflow, tab_size=tab_size, no_wrap=no_wrap)
        lines = Lines()
        for paragraph in self.split(allow_blank=True):
            for line in paragraph.divide(line_starts(paragraph.plain, width)):
                line.rstrip()
                lines.append(line)
        return lines


def line_starts(paragraph: str, width: int) -> list[int]:
    """Return where the second line and the later ones begin.

    Example:
        >>> line_starts("恐怖片，喜剧片", 8)
        [4]
    """
    starts: list[int] = []
    used = 0
    for unit in _UNIT.finditer(paragraph):
        columns = cell_len(unit.group().rstrip())
        if used and used + columns > width:
            starts.append(unit.start())
            used = 0
        if columns > width:  # a word that no line can hold
            for offset, character in enumerate(unit.group()):
                if used and used + cell_len(character) > width:
                    starts.append(unit.start() + offset)
                    used = 0
                used += cell_len(character)
        else:
            used += cell_len(unit.group())
    return starts
