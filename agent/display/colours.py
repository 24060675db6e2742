"""One letter and one colour for each leading topic, the same in the terminal and in a picture."""

from whimbrel.agent.shift.timeline import LEADING_TOPICS

LETTERS = "ABCDEFGH"
COLOURS = ("#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#cc6677", "#999933")
"""The muted scheme of Paul Tol, told apart with any colour vision; dark and light ones in turn, as neighbours touch."""
OTHERS = "#e2e2e2"
MARKS = {"situational": "■", "temporal": "▲", "contextual": "●"}
"""Kinds of shift."""

if not len(LETTERS) == len(COLOURS) == LEADING_TOPICS:
    raise ValueError("each leading topic needs a letter and a colour")


def ink(colour: str) -> str:
    """Black or white, whichever can be read on it."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
