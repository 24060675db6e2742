"""Names in full of people one knows: by kinship or a job after an article, by a deed, of a whole family, as a receiver.

Words such as "the neighbour" stand before public names too. So the name must have two words and be in no title.
"""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.name_forms import full_capital_name, is_name_end, person, small_full_name
from whimbrel.tools.privacy.public import has_public_words, is_in_title
from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

_ARTICLE = r"(?<![\w'])(?:the|der|die|den|dem|la|le|les|el|il|lo|de|het|al|del|alla|della|à la|au|an?|un|una|une)"
_WHO = Cues(
    rf"{_ARTICLE}\s{{1,2}}(?:{any_of('kin_adjectives')}\s{{1,2}})?{any_of('kin', 'jobs')}(?:\s?[:,(])?\s{{1,2}}",
    "kin",
    "jobs",
)
_RELATIVE_OF = Cues(
    rf"(?:\bi am|\bi'm|\bich bin|\bje suis|\bsoy|\bsono|\bik ben)\s{{1,2}}(?:{_ARTICLE}\s{{1,2}})?"
    rf"{any_of('kin', 'jobs')}\s{{1,2}}(?:of|von|de|di|van)\s{{1,2}}",
    "kin",
    "jobs",
)
_KNOWS = Cues(rf"{any_of('knows')}(?:\s?:)?\s{{1,2}}", "knows")
_SENDS = Cues(rf"{any_of('sends')}(?![{LETTER}'-])", "sends")
_RECEIVER = re.compile(r"[^\n.;!?]{0,40}?\s(?:to|an|à|a|aan|naar)\s{1,2}(?=[^\W\d_])")
_PLACE = re.compile(
    r"(?:new|los|las|san|santa|saint|st|sankt|bad|united|buenos|mexico|ciudad|hong|puerto|costa|rio|north|south|east|"
    r"west|northern|southern|eastern|western|central|isle|great|the|den|la|le|el|black|sri|cape|kuala|tel|abu|reggio|monte|ho|addis|far|middle)\b|"
    rf"[{LETTER} ]{{1,60}}\b(?:street|road|city|island|islands|park|hill|station|office|store|shop|hotel|county|"
    r"avenue)$"
)
"""Towns and countries of two words, to which parcels go too."""
_ONESELF = re.compile(r"(?<![\w'])(?:i|ich|je|moi|yo|io|ik|eu),\s{1,2}")
_GREETED = re.compile(
    r"(?:^|(?<![\w'])(?:slt|salut|bonjour|bonsoir|coucou|cc|bjr|hey|hello|hi|yo|ciao|hola|hallo|hoi)[ ,!]{1,3})"
    r"(?:c|c'est|moi c|ici|its|it's|tis|this is|soy|sono|ik ben|ben)\s{1,2}"
)
_FAMILY = re.compile(
    rf"(?<!\w)(?:(?i:we are|we're|us|and i|me|neighbou?rs|friends|family|wir sind|nous sommes|somos|siamo))"
    rf"[ ,(]{{1,3}}(?:the|die|les|los|i|de)\s{{1,2}}([{CAPITAL}][{LETTER}]{{2,30}}(?:-[{CAPITAL}][{LETTER}]{{2,30}})?s)"
    rf"(?=\s{{0,2}}(?:[,.;:!?()\n]|$))"
)


def acquainted(text: Text) -> Iterator[Span]:
    """Find names in full that the words before tell to be those of people one knows."""
    for finder in (_known, _receivers, _speakers):
        yield from finder(text)
    for family in _FAMILY.finditer(text.plain):
        yield from _private(text, family, person(*family.span(1)))


def _known(text: Text) -> Iterator[Span]:
    for cue in (*_WHO.finditer(text), *_RELATIVE_OF.finditer(text), *_KNOWS.finditer(text)):
        yield from _private(text, cue, _full_name(text, cue.end()))


def _receivers(text: Text) -> Iterator[Span]:
    for verb in _SENDS.finditer(text):
        to = _RECEIVER.match(text.lower, verb.end())
        span = full_capital_name(text, to.end()) if to else None
        if span and not _PLACE.match(text.lower[span.start : span.end]) and is_name_end(text, span.end):
            yield from _private(text, verb, span)


def _speakers(text: Text) -> Iterator[Span]:
    for cue in _ONESELF.finditer(text.lower):
        span = _full_name(text, cue.end())
        if span and text.plain.startswith(",", span.end):
            yield from _private(text, cue, span)
    for cue in _GREETED.finditer(text.lower):
        span = small_full_name(text, cue.end())
        if span and is_name_end(text, span.end):
            yield from _private(text, cue, span)


def _full_name(text: Text, start: int) -> Span | None:
    return full_capital_name(text, start) or small_full_name(text, start)


def _private(text: Text, cue: re.Match[str], span: Span | None) -> Iterator[Span]:
    if (
        span
        and not has_public_words(text, person(cue.start(), span.end))
        and not (text.plain[cue.start()].isupper() and is_in_title(text, span))
    ):
        yield span
