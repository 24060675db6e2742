"""Signs that a name belongs to the public: an author, an actor, a brand, the title of a work.

Nothing is looked up. The signs are the words around ("novels by", "starring", "a ... album"), and capitals: a text in
which nearly all words begin with one is a title.
"""

import re

from whimbrel.tools.privacy.public_forms import is_for_sale
from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import HAN, Cues, any_of, listed

LOOK_AROUND = 100
"""Characters before and after a name that are read."""
LOOK_BACK = 60
"""Characters before a name that are read for words that tell that it is public."""
LEAST_CAPITALS = 0.75
"""The share of the words of a title that begin with a capital, small ones such as "of" aside."""
LONG_TITLE = 2
"""A name after "for" stands in a title if so many other words have a capital."""

# A point after one or two letters is that of an abbreviation.
_SEGMENT_END = re.compile(r"&[a-z]{2,8};|[\n\t|;•\"<>{}]|(?:(?<=\w\w\w)\.|[!?:])\s|。|！|\s-\s")
_WORD = re.compile(r"[^\W_]+(?:['.&-][^\W_]+)*")
_END = r"(?:the |a |an |le |la |les |el |los |der |die |das |den |dem |il |lo |de |het )?$"
_MADE_BY = Cues(rf"{any_of('made_by')}(?::|\s(?:is|ist|est|es|è))?\s{{1,2}}{_END}", "made_by")
_DONE_BY = Cues(rf"{any_of('done_by')}\s{{1,2}}(?:to \w{{1,10}} )?(?:by|par|por)\s{{1,2}}$", "done_by")
_LIKES = Cues(rf"{any_of('likes')}\s{{1,2}}{_END}", "likes")
_LIKES_LIST = Cues(
    rf"{any_of('likes')}\s{{1,2}}[^\n;!?]{{1,40}}(?:,|\band|\bor|\bund|\boder|\bet|\bou|\by|\bo|\be|\ben)\s{{1,2}}$",
    "likes",
)
_LIST = re.compile(
    rf"(?<!\w)[{LETTER}]{{2,20}}(?:\s(?:[Tt]he|[Aa]|[Dd](?:er|ie|as)|[Ll][ae]s?|[Ee]l))?"
    rf"(?:\s[{CAPITAL}][\w'-]{{1,24}}){{1,4}}(?:,|\s(?:and|or|und|oder|et|ou|y|o|e|en))\s$"
)
"""What is liked, and one more: "I liked Emma and ...". Of "I love hiking with Anna and ..." the second is private."""
_WORK_OF = Cues(
    rf"{any_of('works')}(?!\s(?:night|evening|club))[^\n;!?]{{0,40}}?(?:{any_of('of')}|(?<![a-z])d')\s{{0,2}}"
    rf"(?:[^\n;!?]{{1,40}}(?:,|\band\b|\bor\b|\bund\b|\boder\b|\bet\b|\bou\b|\by\b|\bo\b|\be\b|\ben\b|\bof\b)"
    rf"\s{{0,2}})?{_END}",
    "works",
)
_MUSIC_FROM = re.compile(r"(?:songs?|music|albums?|tracks?|records?|hits|quotes?|new)\s{1,2}from\s{1,2}$")
# "Henry (1991)" is a film, and who stands after "(1991) with" is in it.
_YEAR = re.compile(r"\s\((?:19|20)\d\d\)")
_WORK_WITH = re.compile(
    r"(?:\((?:19|20)\d\d\)|\b(?:one|ones|anything|something|everything))\s{1,2}(?:is |was )?(?:by|with|from|of|"
    r"starring|has)\s{1,2}(?:[^\n;!?.]{1,40}(?:,|\band)\s{1,2})?$"
)
_ARTICLE = re.compile(
    r"(?<![\w'])(?:an?|new|newest|latest|old|early|late|another|any|every|more|some|classic|vintage|original|ein|"
    r"eine|einen|einem|einer|neue|neuer|neues|neuen|neueste|un|une|una|uno|"
    r"nouveau|nouvel|nouvelle|dernier|nuevo|nueva|último|última|nuovo|nuova|een|nieuwe|nieuwste|kein|keine|no|all|"
    r"favourite|favorite)\s{1,2}$"
)
_WORK_AFTER = Cues(
    rf"(?:'s?|s')?\s{{1,2}}(?:([{LETTER}\d-]{{2,12}})\s{{1,2}})?(?:{any_of('works', 'products')}|(?:\d{{1,4}}[ -]?)"
    rf"(?:pack|pk|ct|count|ml|oz|g|cl)\b)|-(?:{'|'.join(word for word in listed('works') if word.isalpha())})",
    "works",
    "products",
)
_POSSESSIVE = re.compile(r"(?:'s|(?<=s)')(?!\w)(\s[A-Z])?")
_POSSESSION = Cues(
    rf"(?:'s?|s')?\s{{1,2}}(?:(?:new|big|little|old|next|first|upcoming|third|second|fifth|tenth|\d{{1,3}}(?:st|nd|"
    rf"rd|th))\s)?{any_of('possessions', 'kin')}",
    "possessions",
    "kin",
)
_PUBLIC_AFTER = re.compile(
    r"\s{1,2}(?:\(?(?:feat|ft)\b|wrote|writes|sings|sang|directed|directs|starred|stars|plays the|composed|painted|"
    r"recorded|is my fav|is (?:so |really |very )?(?:great|good|awesome|amazing|hilarious|brilliant|funny) in\b|"
    r"is an? (?:very |really )?(?:great |good |brilliant |famous )?(?:author|actor|actress|singer|writer|director|"
    r"band|film|movie|book)|"
    r"was (?:an? )?(?:great|amazing|good|author|actor)|style|fans?\b|vs\b|et al|schrieb|singt|spielt die|a écrit|"
    r"chante|joue|escribió|canta|actúa|ha scritto)"
)
_FUNCTION = frozenset(listed("no_names")) | frozenset(listed("does"))
_PREPOSITION = (
    frozenset(listed("to_or_from"))
    | frozenset(listed("kin"))
    | frozenset(listed("is_called"))
    | frozenset({"is", "am", "name", "called", "named"})
)
_SMALL = frozenset(listed("small"))
_ADDRESSING = re.compile(
    rf"(?<![{LETTER}])(?:for|für|pour|para|per|voor|dear|liebe|lieber|cher|chère|querido|querida|caro|cara|beste|"
    rf"from|to|an|hi|hello)\s{{1,2}}$"
)


def is_public_mention(text: Text, span: Span) -> bool:
    """Return whether the words around a name or an address tell that it is public, or part of a title.

    What belongs to the person named, such as a birthday, tells that it is not.
    """
    if span.kind == "PERSON" and _POSSESSION.pattern.match(text.lower, span.end):
        return is_in_title(text, span)
    return has_public_words(text, span) or is_for_sale(text, span) or is_in_title(text, span)


def has_public_words(text: Text, span: Span) -> bool:
    """Return whether the words around a name or an address tell that it is public."""
    before = text.lower[max(span.start - LOOK_BACK, 0) : span.start].lstrip().split("\n")[-1]
    if _DONE_BY.is_in(before):
        return False
    is_quoted = before.endswith('"') and text.lower.startswith('"', span.end)
    if is_quoted or _YEAR.match(text.lower, span.end) or _WORK_WITH.search(before) or _MUSIC_FROM.search(before):
        return True
    if _LIKES_LIST.is_in(before) and _LIST.search(text.plain, max(span.start - LOOK_BACK, 0), span.start):
        return True
    if any(sign.is_in(before) for sign in (_MADE_BY, _LIKES, _WORK_OF)):
        return True
    return span.kind == "PERSON" and _is_public_name(text, span, before)


def _is_public_name(text: Text, span: Span, before: str) -> bool:
    after = text.lower[span.end : span.end + LOOK_BACK]
    work = _WORK_AFTER.pattern.match(after)
    if (work and work[1] not in _FUNCTION) or _PUBLIC_AFTER.match(after):
        return True
    article = _ARTICLE.search(before)
    # "an" is German for "to".
    if article and (article[0].strip() != "an" or text.lower[span.start] in "aeiou"):
        return True
    possessive = _POSSESSIVE.match(text.plain, span.end)
    if possessive and (possessive[1] or not _is_single(text, span)):
        return True
    return _is_attribute(before, after)


def _is_single(text: Text, span: Span) -> bool:
    return text.plain.find(" ", span.start, span.end) < 0  # "Anna's", not "Stephen King's"


def _is_attribute(before: str, after: str) -> bool:
    """Return whether a name stands before a noun, as brands do: "black Calvin Klein boxers"."""
    previous = re.search(rf"([{LETTER}'-]+)\s{{1,2}}$", before)
    following = re.match(rf"\s{{1,2}}([{LETTER}-]{{3,}})", after)
    if not before.strip() and (nouns := re.match(rf"((?:\s[{LETTER}-]{{3,}}){{1,6}})\s*(?:$|,)", after)):
        return _FUNCTION.isdisjoint(nouns[1].split())  # "Hugo Boss slim fit suit"
    if previous is None or following is None:
        return False
    return not (
        {previous[1], following[1]} & _FUNCTION or previous[1] in _PREPOSITION or re.search(r"\bmy\b|\bour\b", before)
    )


def is_in_title(text: Text, span: Span) -> bool:
    """Return whether a name stands in a title: nearly all words of its segment begin with a capital.

    A segment that holds the name alone is a title too, such as the name of a musician in a list.
    """
    before = text.plain[max(span.start - LOOK_AROUND, 0) : span.start]
    after = text.plain[span.end : span.end + LOOK_AROUND]
    before = before[max((end.end() for end in _SEGMENT_END.finditer(before)), default=0) :]
    if end := _SEGMENT_END.search(after):
        after = after[: end.start()]
    if not (before + after).isascii() and re.search(f"[{HAN}]", before + after):
        return False
    words = _WORD.findall(before) + _WORD.findall(after)
    if len(before) < LOOK_AROUND and before.lstrip()[:1].islower() and words[0].islower():
        return False
    content = _content(words)
    capitals = sum(not word[0].islower() for word in content)
    if capitals < LONG_TITLE and _ADDRESSING.search(text.lower[max(span.start - 16, 0) : span.start]):
        return False
    if not content and words:  # "and Anna"
        return any(not word[0].islower() for word in words)
    return capitals >= LEAST_CAPITALS * len(content)


def is_title(words: str) -> bool:
    """Return whether nearly all of some words begin with a capital."""
    content = _content(_WORD.findall(words))
    return sum(not word[0].islower() for word in content) >= LEAST_CAPITALS * len(content)


def _content(words: list[str]) -> list[str]:
    return [word for word in words if len(word) > 1 and word.lower() not in _SMALL and not word.isdigit()]
