"""An order of numbered options told in plain words instead of JSON.

Only two forms can be told from prose without guessing: one line of numbers (`3, 1, 2` or `3 > 1 > 2`), and lines that
each begin with a number (`3. Title`). A figure within a title is never taken for a number.
"""

import re

_ROW = re.compile(r"^[^\w\n]*\d{1,4}(?:\s*(?:,|;|>|->|\s)\s*\d{1,4})+[^\w\n]*$", re.MULTILINE)
_LINE = re.compile(r"^\s*(?:[-*]\s*)?[\[(#]*(\d{1,4})[\])]*[.):,]?(?=\s|$)(.*)$", re.MULTILINE)


def numbers_in(text: str) -> list[int]:
    """The numbers in order; empty where the text is no such order. Lines that merely count up from 1 are ranks, not
    options, and say nothing."""
    rows = _ROW.findall(text)
    if rows:
        return [int(number) for number in re.findall(r"\d+", rows[-1])]
    lines = [(int(number), rest.strip()) for number, rest in _LINE.findall(text)]
    numbers = [number for number, _ in lines]
    counting = numbers == list(range(1, len(numbers) + 1)) and any(rest for _, rest in lines)
    return [] if counting or len(numbers) < 2 else numbers
