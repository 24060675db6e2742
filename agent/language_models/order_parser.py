"""Parser of an order of numbered options that is written in plain text instead of JSON.

It reads two forms: one line of numbers (`3, 1, 2` or `3 > 1 > 2`), and lines that each begin with a number
(`3. Title`). Any other form would have to be guessed. Digits within a title are never read as an option's number.
"""

import re

_LINE_OF_NUMBERS = re.compile(r"^[^\w\n]*\d{1,4}(?:\s*(?:,|;|>|->|\s)\s*\d{1,4})+[^\w\n]*$", re.MULTILINE)
_NUMBERED_LINE = re.compile(r"^\s*(?:[-*]\s*)?[\[(#]*(\d{1,4})[\])]*[.):,]?(?=\s|$)(.*)$", re.MULTILINE)


def parse_order(text: str) -> list[int]:
    r"""Return the numbers of an order, the likeliest first; an empty list if the text has neither form.

    Example:
        >>> parse_order("I would say: 3. Tea 1. Jam")
        []
        >>> parse_order("3. Green tea, 12 oz\n1. Jam")
        [3, 1]
    """
    lines_of_numbers = _LINE_OF_NUMBERS.findall(text)
    if lines_of_numbers:  # the last line counts: thoughts may come before it
        return [int(number) for number in re.findall(r"\d+", lines_of_numbers[-1])]
    lines = [(int(number), rest.strip()) for number, rest in _NUMBERED_LINE.findall(text)]
    numbers = [number for number, _ in lines]
    # 1, 2, 3 before titles are ranks, not the numbers of options
    are_ranks = numbers == list(range(1, len(numbers) + 1)) and any(rest for _, rest in lines)
    return [] if are_ranks or len(numbers) < 2 else numbers
