"""Read a wish in free words: what the person wants, and what the person refuses."""

import re

from whimbrel.tools.clean import clean_text

LONGEST_WISH = 500
"""Characters of a wish that are read."""

# Matches a refusal: a word of refusing, then what is refused, up to a mark or a word that ends the clause. The words
# after `(?!` begin no refusal: "not too long" restricts a wish, "no problem" is only politeness.
_REFUSAL = re.compile(
    r"\b(?:(?:do|does|did) not (?:want|like|need)|(?:don't|doesn't|didn't|never) (?:want|like|need)|nothing with|"
    r"anything but|no|(?<!can )not(?= )|without|except|avoid|hate|less)\s+"
    r"(?!too\b|very\b|so\b|only\b|sure\b|wait\b|matter\b|problem\b)(?:any |more |the |a |an )?"
    r"([^,.;!?]+?)(?=\s+(?:but|and (?:no|not)|please|today|tonight)\b|[,.;!?]|$)",
    re.IGNORECASE,
)
# Words that begin a wish but do not say what is wanted.
_OPENING = re.compile(
    r"^(?:\s*(?:but|and|i|i'm|i'd|am|please|want|would like|like|in the mood for|looking for|give me|show me)\b)+",
    re.IGNORECASE,
)
# Words that are left at the end after a refusal was removed.
_ENDING = re.compile(r"(?:\b(?:but|and|i|please)\s*)+$", re.IGNORECASE)
# Separates two refused things, as in "no horror or war".
_ALTERNATIVES = re.compile(r"\s*(?:/|\bor\b|\band\b|&)\s*", re.IGNORECASE)


def read_wish(words: str) -> tuple[str, tuple[str, ...]]:
    """Return what a wish wants and what it refuses.

    Example:
        >>> read_wish("a film, no horror or war")
        ('a film', ('horror', 'war'))
    """
    words = str(clean_text(words))[:LONGEST_WISH].replace("\u2019", "'")  # phones type a curly apostrophe
    refused = tuple(
        part.strip() for match in _REFUSAL.finditer(words) for part in _ALTERNATIVES.split(match[1]) if part.strip()
    )
    want = re.sub(r"\s*([,.;!?])(?:\s*[,.;!?])+", r"\1", _REFUSAL.sub("", words))
    want = _ENDING.sub("", _OPENING.sub("", want.strip(" ,.;!?")))
    return want.strip(" ,.;!?"), refused
