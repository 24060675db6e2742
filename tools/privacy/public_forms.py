"""Signs of what is for sale or read together, right beside a name: its edition, a size, a sale, a book club.

They tell that the name is an author's, a brand's or that of a work, unless the words before address a person.
"""

import re

from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

LOOK_BACK = 60
"""Characters before a name and after it that are read."""

_ADDRESSES = re.compile(
    rf"(?<![{LETTER}])(?:for|from|to|with|dear|hi|hello|für|an|mit|liebe[rs]?|pour|à|chez|avec|chère?|para|a|con|"
    rf"querid[oa]|per|da|car[oa]|voor|aan|met|beste|lieve|and|und|et|y|e|en|my|meine?[rnm]?|unsere?[rnm]?|mon|ma|mi|"
    rf"mia|mio|mijn|familie|kunde|kundin|client[ea]?|customer)\s{{1,2}}$"
)
"""A person is addressed or named beside another: then these signs do not count."""
_ANOTHER = r"(?:\s(?:ou|o|or|oder|of|et|and|und|y|e)\s[^\n,.;!?]{2,30}?)?"
_EDITION = Cues(
    rf"\s{{0,2}}[,(:-]?\s{{0,2}}isbn\b|{_ANOTHER}\s{{1,2}}(?:auch |noch |nur |also |aussi |también |anche |ook )?"
    rf"(?:(?:als|in|im|auf|as|on|en|op|su|con|with|mit|avec|met)\s{{1,2}}(?:[{LETTER}]{{2,12}}\s{{1,2}})?)?"
    rf"{any_of('editions')}",
    "editions",
)
_READING = Cues(
    rf"{_ANOTHER}\s{{1,2}}(?:pour|para|per|für|for|voor|im|in|au|al|op)\s{{1,2}}"
    rf"(?:(?:[{LETTER}']{{1,8}})\s{{1,2}}){{0,2}}?(?:l')?{any_of('reading')}",
    "reading",
)
_SALE = Cues(
    rf"\s{{1,2}}(?:{any_of('sales')}|(?:in |en |im |maat )?(?:\d{{2}}/\d{{2}}|(?:3[4-9]|4\d|5[0-6]|x{{0,2}}[sl]|xl|m)\b"
    rf"(?=\s{{0,2}}(?:[,.;!?)]|$)|\s(?:slim|regular|in|schwarz|weiß|black|white|noir|negr|ner))))"
    rf"|\s(?:in|en)\s(?:[{LETTER}]{{2,12}}\s)?{any_of('sales')}",
    "sales",
)
_PRODUCT_OF = Cues(
    rf"{any_of('products')}\s{{1,2}}(?:(?:von|by|de|di|van|of|da|from)\s{{1,2}})(?:[{LETTER}'-]{{2,15}}\s)?$",
    "products",
)
_PRODUCT = Cues(rf"{any_of('products')}\s{{1,2}}([{LETTER}'-]{{2,15}}\s)?$", "products")
_PACKED = re.compile(
    rf"(?:\s[{CAPITAL}{LETTER}-]{{3,25}}){{0,2}},?\s(?:\d{{1,3}}\s?x?|[{LETTER}]{{3,8}})\s(?:[{LETTER}]{{3,10}}\s)?(?:packs?|packets?|"
    r"päckchen|packung(?:en)?|beutel|dosen?|gläser|tüten?|boîtes?|paquets?|cans?|jars?|sachets?|latas?|paquetes?|"
    r"confezion[ei]|pakjes?|blikken|zakjes?|g|ml|kg)\b"
)
_QUESTION = re.compile(
    r"(?:do you (?:have|sell|stock)|have you got|got any|haben sie|habt ihr|führen sie|gibt es|avez-vous|vous avez|"
    r"tenéis|tienen|tiene usted|avete|heeft u|hebben jullie|heb je|hebt u|têm|is there)\s"
)
_TITLE_OF = re.compile(
    rf"(?<!\w)(?:[{CAPITAL}][\w'-]{{1,24}}(?:\s[\w'-]{{1,24}}){{0,6}})\s(?:by|von|van|di|de|par|door)\s$"
)
_PERSONAL = Cues(any_of("possessions", "numbered", "kin", "jobs"), "possessions", "numbered", "kin", "jobs")
_ASKED = re.compile(
    r"(?:what|why|how|when|where|was|wie|warum|wann|que|qué|qu'est-ce que|pourquoi|cosa|perché|wat|waarom)\s"
    r"(?:did|does|has|do|sagte?|schrieb|meint|dit|dijo|escribió|dice|ha detto|zegt|zei|schreef|a dit|a écrit)\s$"
)
_IN_A_WORK = Cues(
    rf"[^\n.;!?]{{0,40}}?\s(?:in|on|from|aus|dans|en|nel|nella)\s(?:her|his|their|sein(?:em|er)|ihre[mr]|son|sa|su|suo|"
    rf"sua|zijn|haar)\s(?:[{LETTER}]{{2,10}}\s){{0,2}}?{any_of('works')}",
    "works",
)
_SHOWN = re.compile(
    r"\s(?:in|from|on|aus|in der|im|dans|de|en|nella|nel|uit)\s(?:the|that|this|dem|der|la|le|el|il|een|de|a)\s"
    rf"(?:[{LETTER}]{{2,14}}\s){{0,3}}?(?:show|series|movie|film|book|novel|game|episode|serie|roman|buch|"
    rf"novela|película|libro|série|livre|boek)\b"
)


def is_for_sale(text: Text, span: Span) -> bool:
    """Return whether the words beside a name tell that it is that of a work, an author or a brand."""
    before = text.lower[max(span.start - LOOK_BACK, 0) : span.start].split("\n")[-1]
    after = text.lower[span.end : span.end + LOOK_BACK]
    if span.kind == "ADDRESS":
        return _SHOWN.match(after) is not None
    if _is_of_brand(text, span, before, after):
        return True
    if _ADDRESSES.search(before):
        return False
    if any(sign.pattern.match(after) for sign in (_EDITION, _READING)):
        return True
    if _is_of_author(text, span, before, after):
        return True
    return not before.strip() and _PACKED.match(after) is not None


def _is_of_brand(text: Text, span: Span, before: str, after: str) -> bool:
    """Return whether a name is that of a brand: what it makes stands before it, or a size or a sale after it."""
    product = _PRODUCT.pattern.search(before)
    if product and (product[1] is None or text.plain[span.start - len(product[1])].isupper()):
        return True
    return _PRODUCT_OF.is_in(before) and _SALE.pattern.match(after) is not None


def _is_of_author(text: Text, span: Span, before: str, after: str) -> bool:
    """Return whether a work is asked for by its title and its author, or what somebody said in one is asked."""
    if " " not in text.plain[span.start : span.end]:
        return False
    if _ASKED.search(before) and _IN_A_WORK.pattern.match(after):
        return True
    asked = _QUESTION.search(before)
    if asked is None or _PERSONAL.is_in(before[asked.end() :]):
        return False
    return _TITLE_OF.search(text.plain[span.start - len(before) + asked.end() : span.start]) is not None
