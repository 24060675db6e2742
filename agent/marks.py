"""How topics and shifts are marked, the same in the terminal, in pictures and in notebooks."""

HEADLINE_CONFIDENCE = 0.5
"""A shift with a lower confidence is more likely wrong than right, so people read that the interest may be moving."""
LETTERS = "ABCDEFGH"
COLOURS = ("#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#cc6677", "#999933")
"""Paul Tol's muted scheme, in which people of any colour vision can distinguish the colours. Dark and light colours
alternate, because neighbours touch."""
OTHERS = "#e2e2e2"
MARKS = {"situational": "■", "temporal": "▲", "contextual": "●"}
"""The symbol of each kind of shift in the terminal and in a notebook."""


def ink(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour.

    Example:
        >>> ink("#332288"), ink("#ddcc77")
        ('#ffffff', '#000000')
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    # The brightness, from 0 to 255, with the three colours weighted as the eye sees them (ITU-R BT.601).
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def percent(share: float) -> int:
    """Return whole percents, cut off and not rounded, so that 99.5% does not become 100%.

    A small number is added, because rounding errors can make a share slightly less than a whole percent.
    """
    return int(share * 100 + 1e-3)
