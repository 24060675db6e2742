"""Where a person lives: streets with a number, post boxes, places on a map.

A street is found by the words of its country, such as "Street", "rue" or "Calle". Chinese addresses are in `chinese`.
"""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.public import is_in_title, is_public_mention
from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

_CAP = rf"[{CAPITAL}][\w'.-]{{0,30}}"
_WORD = r"[^\W\d_][\w'.-]{0,30}"
_TOWN = rf"{_CAP}(?:[ -](?:(?:am|an der|upon|on|sur|de|del|la|le|les|of|im|in|bei)[ -])?{_CAP}){{0,2}}"
_ANY_TOWN = rf"{_WORD}(?:[ -](?:am|an der|sur|de|del|la|le|les)[ -]{_WORD})?"
_EN_ROOM = (
    r"(?:,?\s{1,2}(?:apt|apartment|suite|ste|unit|flat|room|floor|fl|bldg|building|lot|#)\.?\s{0,2}#?\s?\w{1,6}|"
    r",?\s?#\s?\w{1,6})?"
)
_EN_POSTCODE = r"[A-Z]{1,2}\d[\dA-Z]?\s?\d[A-Z]{2}\b"
_EIRCODE = r"(?:[AC-FHKNPRTV-Y]\d[\dW]\s?[\dAC-FHKNPRTV-Y]{4}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)\b"
"""A postcode of Ireland or of Canada, after a town."""
_DISTRICT = r"(?:\s\d{1,2}(?=,|\s[AC-FHKNPRTV-Y]\d|$))?"
"""A number of a district, as in "Dublin 8"."""
_EN_TOWN = (
    rf"(?:,?\s{{1,2}}(?:in\s)?{_EN_POSTCODE}|(?:,\s{{0,2}}(?![A-Z]{{2}}\s[A-Z]\d){_TOWN}{_DISTRICT}){{0,3}}"
    rf"(?:,?\s{{0,2}}(?:{_EN_POSTCODE}|{_EIRCODE}|"
    rf"[A-Z]{{2}},?\s{{1,2}}{_EIRCODE}|"
    rf"[A-Z]{{2,3}}\.?,?\s{{1,2}}\d{{4,5}}(?:-\d{{4}})?\b|\d{{4,5}}(?:-\d{{4}})?\b))?)"
)
_EN_STREET = (
    "street|road|avenue|lane|boulevard|terrace|crescent|parade|esplanade|parkway|highway|drive|court|square|way|place|"
    "close|gardens|grove|mews|row|circle|trail|hill|park|walk|st|rd|ave|ln|dr|blvd|ct|sq|hwy|pkwy|pl|ter|cres|cir"
)
_EN_SURE = "street|road|avenue|lane|boulevard|terrace|crescent|parkway|rd|ave|blvd|st"
_EN_BEFORE = r"(?:(?i:flat|apartment|apt\.?|unit|suite|room)\s?\w{1,5}(?:,?\s{1,2}|/))?"
_DIRECTION = r"(?:\s(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\b\.?)?"
_ENGLISH = re.compile(
    rf"(?<![\w.,/-]){_EN_BEFORE}\d{{1,5}}(?:[-/]\d{{1,4}})?\s?[a-zA-Z]?,?\s{{1,2}}(?:{_CAP}\s{{1,2}}|\d{{1,3}}(?:st|"
    rf"nd|rd|th)\s{{1,2}}){{1,4}}"
    rf"(?i:{_EN_STREET})\b\.?(?!['-]\w){_DIRECTION}(?i:{_EN_ROOM}){_EN_TOWN}"
)
_DISK = re.compile(r"(?i)\b(?:hard|disk|flash|usb|pen|thumb|dvd|cd|optical|state|test|ssd)\s+drive$")
_NO_STREET = (
    "the|a|an|of|on|in|for|my|and|or|to|with|new|old|per|usb|hard|men|women|wall|off|best|good|more|cross|tennis|"
    "basketball|hot|is|are|days|months|years|hours|miles|km|minutes|items|books|people"
)
_ENGLISH_LOWER = re.compile(
    rf"(?<![\w.,/-])(?:(?:flat|apartment|apt\.?|unit|suite)\s?\w{{1,5}},?\s{{1,2}})?\d{{1,5}}\s?[a-z]?,?\s{{1,2}}"
    rf"(?:(?!(?:{_NO_STREET})\b)(?:[{LETTER}][{LETTER}'.-]{{1,30}}|\d{{1,3}}(?:st|nd|rd|th))\s{{1,2}}){{1,3}}"
    rf"(?:{_EN_SURE})\b\.?(?!['-]\w)(?:{_EN_ROOM})(?=\s*$|\s*[,.;:!?)\n]|\s(?:in|please|and|near|by|apt|flat)\b|"
    rf"\s[a-z]{{1,2}}\d)(?:,\s{{0,2}}{_WORD})?(?:,?\s{{0,2}}(?:[a-z]{{1,2}}\d[\da-z]?\s?\d[a-z]{{2}}|"
    rf"[a-z]{{2}}\s\d{{5}}|\d{{5}}))?"
)
_ENGLISH_AFTER_CUE = re.compile(
    rf"\s{{0,2}}(?:is|:)?\s{{0,2}}(\d{{1,5}}\s?[a-z]?,?\s{{1,2}}(?:[{LETTER}][{LETTER}'.-]{{1,30}}\s{{1,2}}){{1,3}}"
    rf"(?:{_EN_STREET})\b\.?(?:{_EN_ROOM})(?:,\s{{0,2}}{_WORD})?)"
)
_POSTCODE = re.compile(
    r"(?<![\w-])(?:(?:[A-Z]{1,2}\d[A-Z]|[A-Z]{1,2}\d{1,2}) \d(?!GB)[ABD-HJLNP-UW-Z]{2}(?![\w-])"
    rf"|{_TOWN},? (?:A[LKZR]|C[AOT]|D[CE]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|"
    rf"UT|V[TA]|W[AVIY]) \d{{5}}(?:-\d{{4}})?(?![\w-]))"
)
_BOX = re.compile(
    r"(?<![\w])(?:p\.?\s?o\.?\s?box|post office box|postfach|packstation|paketstation|postbus|apartado(?: de correos|"
    r" postal)?|apdo\.?|"
    r"casella postale|boîte postale|bp(?=\s\d{1,4},?\s\d{5}\b)|caixa postal|postnummer|locked bag|gpo box)\s{0,2}"
    r"(?:n[º°]|nr\.?|no\.?|#|:)?\s{0,2}\d{1,4}(?:\s?\d{1,4}){0,2}(?!\w)"
    rf"(?:,?\s{{1,2}}(?:[a-z]-)?\d{{4,5}}(?:\s{{1,2}}{_ANY_TOWN})?)?",
)
_BOX_ZH = re.compile(r"\d{1,6}\s?号?(?:邮政)?信箱|(?:邮政)?信箱\s?\d{1,6}\s?号?")

_DE_ROOM = (
    r"(?:,?\s{0,2}(?:(?:haus|hs\.?|wohnung|whg\.?|stock|og|eg|top|tür|stiege|hinterhaus|vorderhaus|apartment|app\.?|"
    r"zimmer|c/o)\s{0,2}\w{0,5}|\d{1,2}\.\s?(?:stock|og|etage)|(?:links|rechts|mitte)\b)){0,3}"
)
_DE_TOWN = rf"(?:,?\s{{1,2}}(?:in\s)?(?:[da]-|ch-)?\d{{4,5}}(?:\s{{1,2}}{_ANY_TOWN})?|\s(?:in|,)\s{_TOWN})?"
_DE_NUMBER = (
    r"\s{0,2}\d{1,4}(?:\s?[-/]\s?\d{1,4})?\s?(?:[a-h]\b)?(?![\w€%]|[.,]\d|\s?(?:uhr|euro|eur|jahre?|stück|tage?|"
    r"minuten|"
    r"personen|cm|kg|km)\b)"
)
_DE_SURE = (
    "straße|strasse|str\\.|allee|gasse|chaussee|platz|weg|damm|ufer|steig|stieg|promenade|zeile|brücke|siedlung|"
    "gässchen|"
    "gässli|graben"
)
_DE_ADJECTIVE = (
    "(?:(?:unter|ober|alt|neu|groß|klein|lang|kurz|vorder|hinter|mittler|äußer|inner|hoh|breit|eng|schmal|rot|weiß|"
    "schwarz|grün|schön|krumm|steinern)e[nrms]?\\s)?"
)
"""Of the name of a street: "Obere Bachstraße"."""
_GERMAN = re.compile(
    rf"(?<![\w-]){_DE_ADJECTIVE}(?:(?:[{LETTER}]{{2,25}}-){{0,3}}[{LETTER}]{{2,25}}[ -](?:straße|strasse|str\.|"
    rf"allee|gasse|chaussee|damm|ufer)|[{LETTER}]{{2,30}}(?:-[{LETTER}]{{1,20}}){{0,3}}-?(?:{_DE_SURE}))"
    rf"(?<!umweg)(?<!bausatz){_DE_NUMBER}{_DE_ROOM}{_DE_TOWN}"
)
_GERMAN_CAPITAL = re.compile(
    rf"(?<![\w-])(?:{_CAP}[ -]){{0,2}}{_CAP}[ -](?:Platz|Weg|Markt|Steig|Graben|Promenade|Zeile"
    rf"){_DE_NUMBER}{_DE_ROOM}{_DE_TOWN}"
)
_PLACE = (
    "markt|tor|bach|hof|anger|graben|park|wald|berg|hang|feld|garten|gärten|winkel|kirche|schloss|schloß|mühle|see|dom|"
    "bahnhof|hafen|linden|rain|brunnen|hügel|wiese|wiesen|weiher|teich|bogen|grund|loh|rathaus|moor|holz|eck|dorf|burg|"
    "brink|kamp|stein|weg|platz|ring|wall|ufer|damm|tal|au|höhe|steig"
)
_GERMAN_AT = re.compile(
    rf"(?<![\w-])(?:am|an der|an den|auf der|auf dem|auf den|im|in der|in den|zum|zur|beim|unter den|hinter der|"
    rf"vor dem|bei der)\s{{1,2}}(?:[{LETTER}]{{2,20}}\s)?[{LETTER}]{{0,20}}(?:{_PLACE}"
    rf"){_DE_NUMBER}{_DE_ROOM}{_DE_TOWN}"
)
# "ring" and "hof" end many words. A town must follow, or the words before must tell.
_GERMAN_TOWN = re.compile(
    rf"(?<![\w-])[{LETTER}-]{{1,30}}[ ]?(?:ring|hof|wall|berg|park|markt|kamp|bogen|winkel|feld|rain|grund|garten|"
    rf"tor|hang|anger|höhe)\s\d{{1,4}}\s?[a-h]?{_DE_ROOM},?\s{{1,2}}(?:[da]-|ch-)?\d{{4,5}}\s{{1,2}}{_ANY_TOWN}"
)

_FR_TOWN = rf"(?:,?\s{{1,2}}(?:à\s)?(?:\d{{5}}|\d{{2}} \d{{3}})(?:\s{{1,2}}{_ANY_TOWN})?|(?:,|\sà)\s{_TOWN})?"
_FR_ROOM = (
    r"(?:,?\s{0,2}(?:appt?\.?|appartement|bâtiment|bât\.?|étage|esc\.?|escalier|porte|résidence|\d{1,2}(?:e|ème|er)"
    r" étage)\s?\w{0,5}){0,3}"
)
_FR_SURE = "rue|avenue|av\\.|boulevard|bd\\.?|blvd|chemin|quai|allée|allées|impasse|ruelle|faubourg"
_FR_ALL = (
    f"{_FR_SURE}|place|cours|route|square|passage|villa|résidence|sentier|esplanade|rond-point|voie|lotissement|hameau"
)
_FR_OF = r"(?:(?:de la|de l'|de|du|des|la|le|les|aux?|et|sur|saint|sainte)\s{1,2}|[dl]'){0,3}"
_FRENCH = re.compile(
    rf"(?<![\w.,/-])\d{{1,4}}(?:\s?(?:bis|ter|quater|[a-d]\b))?,?\s{{1,2}}(?:(?:{_FR_SURE})\s{{1,2}}"
    rf"(?:{_FR_OF}{_WORD})(?:\s(?:{_FR_OF})(?!(?:et|pour|avec|merci|svp|je|il|elle|à)\b)[^\W\d_][\w'-]{{1,30}}"
    rf"){{0,3}}?(?=\s*$|\s*[,.;:!?)\n]|\s\d|\s(?:à|et|pour|avec|merci|svp|je|il|elle)\b)|(?:{_FR_ALL})"
    rf"\s{{1,2}}{_FR_OF}(?P<name>{_WORD})(?:[ -](?:{_FR_OF}){_WORD}){{0,2}}?(?=\s*$|\s*[,.;:!?)\n]|\s\d|\s(?:à|et|"
    rf"pour)\b)){_FR_ROOM}{_FR_TOWN}"
)

_ES_DOOR = (
    r"(?:,?\s{0,2}(?:piso|pta\.?|puerta|portal|bajo|ático|izq\.?|izquierda|dcha\.?|derecha|esc\.?|escalera|bloque|"
    r"int\.?|"
    r"interior|depto\.?|apto\.?|casa|local|\d{1,2}\s?[ºª°](?:\s?[a-h]\b)?|\d{1,2}\s?[a-d]\b)\s?[\w]{0,3}){0,4}"
)
_ES_DISTRICT = (
    r"(?:,\s{0,2}(?:col\.|colonia|fracc\.|fraccionamiento|barrio|urb\.|urbanización|alcaldía|delegación|sector|bo\.|"
    rf"polígono|res\.|residencial)\s{{1,2}}{_WORD}(?:\s{{1,2}}{_WORD}){{0,3}}?(?=,|\s{{0,2}}$|\s\d))?"
)
_ES_TOWN = (
    rf"{_ES_DISTRICT}(?:,?\s{{1,2}}(?:c\.?p\.?\s?)?\d{{5}}(?:-\d{{3}})?"
    rf"(?:\s{{1,2}}{_ANY_TOWN})?|(?:,|\sen)\s{_TOWN})?"
)
_SPANISH = re.compile(
    rf"(?<![\w])(?:(?:calle|avenida|avda|plaza|paseo|camino|carretera|ronda de|travesía|rambla|glorieta|urbanización|"
    rf"callejón|calzada|rua|travessa|praça|alameda|jirón)\s|c/\s?|(?:cl|avd?a?|pza|plza|ctra|urb|cra)\.\s?|"
    rf"[cp]\.º?\s)"
    rf"\s?(?:{_WORD}\s{{1,2}}){{0,4}}?(?:{_WORD}|\d{{1,3}})(?:,\s{{0,2}}|\s{{1,2}})(?:n\.?\s?[º°]|núm\.?|número|"
    rf"numero|nro\.?|no\.|#)?\s{{0,2}}\d{{1,5}}(?:\s?-\s?\d{{1,4}})?(?:\s?(?:bis|[a-d]\b))?(?![\w€%]|[.,]\d"
    rf"){_ES_DOOR}{_ES_TOWN}"
)
_IT_TOWN = (
    rf"(?:,?\s{{0,2}}(?:int\.?|interno|scala|piano)\s?\w{{1,4}}){{0,3}}(?:(?:\s?[,-])?\s{{1,2}}\d{{5}}"
    rf"(?:\s{{1,2}}{_ANY_TOWN})?|(?:,|\sa)\s{_TOWN})?"
)
_ITALIAN = re.compile(
    rf"(?<![\w/-])(?P<type>via|viale|v\.le|piazza|piazzale|p\.zza|corso|c\.so|vicolo|largo|strada|contrada|"
    rf"lungotevere|salita|borgo)\s{{1,2}}"
    rf"(?:{_WORD}\s{{1,2}}){{0,3}}?{_WORD}(?:,\s{{0,2}}|\s{{1,2}})(?:n\.?\s?[°º]?\s?)?\d{{1,4}}(?:\s?/?\s?[a-d]\b|"
    rf"/\d{{1,3}})?(?![\w€%]|[.,]\d){_IT_TOWN}"
)
_ITALIAN_CUE = re.compile(r"(?:abit|indirizz|sped|consegn|resident)[a-z]{1,5}[ :]{1,3}(?:in |a )?$|(?<!\w)in\s$")
_NL_TOWN = rf"(?:(?:den|sint|st\.|de)\s)?{_WORD}(?:(?:\s|-)(?:aan den|op|bij|aan de)(?:\s|-){_WORD})?"
_DUTCH = re.compile(
    rf"(?<![\w-])(?:laan van (?:de |het |der )?{_WORD}|[{LETTER}'-]{{2,30}}(?:straat|laan|gracht|plein|singel|dijk|"
    rf"steeg|weg|kade|straatweg|hof(?=\s\d{{1,4}}\s?[a-z]?,?\s\d{{4}}\s?[a-z]{{2}}))(?<!blockade)(?<!brigade))"
    rf"\s\d{{1,4}}(?:\s?[-]?\s?(?:[a-h]|bis|i{{1,3}}|hs|\d{{1,2}}))?(?![\w€%]|[.,]\d)"
    rf"(?:,?\s{{1,2}}\d{{4}}\s?[a-z]{{2}}\b|,\s{{1,2}}(?:b-)?\d{{4}}(?=\s[{LETTER}]{{3}}))?"
    rf"(?:,?\s{{1,2}}(?:in\s)?{_NL_TOWN})?"
)
_DUTCH_CODE = re.compile(
    r"(?<![\w-])[1-9]\d{3} ?(?!SA|SD|SS|PC|HD|MB|GB|TB|US|UK|EU|CC|HP|KW|KG|CM|MM|ML)[A-Z]{2}, [A-Z][a-z]{2,20}"
)
_COORDINATES = re.compile(r"(?<![\w.-])-?\d{1,2}\.\d{4,12}\s?°?\s?[NS]?,\s{0,2}-?\d{1,3}\.\d{4,12}(?![\w.])")
_JAPANESE = re.compile(r"〒\s?\d{3}-?\d{4}(?:\s?[\u3040-\u30ff\u4e00-\u9fff0-9-]{2,40})?")
_POSTAL_CUE = re.compile(
    r"(?<![a-z])(?:zip(?:\s?code|(?=\sis\b|:))|post ?code|postal code|plz|postleitzahl|code postal|código postal|"
    r"c\.p\.|cap:|邮编)(?:\s{0,2}(?:is|ist|est|es|è|是|:)){0,2}\s{0,2}([a-z]{0,2}\d[\da-z]{1,5}(?:[ -]\d[a-z]{2}|"
    r"-\d{3,4})?)(?![\w])"
)
_LIVES_AT = Cues(any_of("lives_at"), "lives_at")
_AND_TOWN = re.compile(rf",\s{{1,2}}{_TOWN}(?!\w)")
LOOK_BACK = 30
"""Characters before a street that may tell that somebody lives there."""
_TOLD = Cues(rf"{any_of('lives_at')}\s{{0,2}}:?\s{{0,2}}$", "lives_at")
_POSTAL_TOWN = re.compile(rf"\s{{0,2}}:?\s{{0,2}}((?:D-|A-|CH-|F-)?\d{{5}}\s{{1,2}}{_CAP}(?:[ -]{_CAP})?)")
_STREET_AFTER_CUE = re.compile(
    rf"\s{{0,2}}:?\s{{0,2}}((?:{_CAP}[ -]){{0,2}}[{CAPITAL}][{LETTER}]{{1,25}}(?:ring|hof|wall|berg|park|markt|pad|"
    rf"kade|bogen|winkel)\s\d{{1,4}}\s?[a-h]?(?!\w))"
)


def addresses(text: Text) -> Iterator[Span]:
    """Find postal addresses. One in the title of a work is left out: "I loved 21 Jump Street"."""
    if any(map(str.isdigit, text.plain)):
        for finder in (_english, _french, _italian, _by_form, _after_words):
            yield from finder(text)
    yield from (_address(match) for match in _BOX_ZH.finditer(text.lower))


def _address(match: re.Match[str], group: int = 0) -> Span:
    return Span(*match.span(group), "ADDRESS")


def _with_town(text: Text, match: re.Match[str]) -> Span:
    """Return an address that was found in small letters with the town after it, which has a capital."""
    town = _AND_TOWN.match(text.plain, match.end())
    return Span(match.start(), town.end() if town else match.end(), "ADDRESS")


def _english(text: Text) -> Iterator[Span]:
    for match in _ENGLISH.finditer(text.plain):
        # Titles have addresses too, but seldom a town: "21 Jump Street".
        before = text.lower[max(match.start() - LOOK_BACK, 0) : match.start()]
        is_told = "," in match[0] or _TOLD.is_in(before)
        if not _DISK.search(match[0]) and (is_told or not is_public_mention(text, _address(match))):
            yield _address(match)
    for match in _ENGLISH_LOWER.finditer(text.lower):
        if match[0] == text.plain[match.start() : match.end()] and not is_in_title(text, _address(match)):
            yield _address(match)


def _french(text: Text) -> Iterator[Span]:
    for match in _FRENCH.finditer(text.lower):
        # "2 place settings" is none, "2 place Vendôme" is.
        if not match["name"] or text.plain[match.start("name")].isupper():
            yield _with_town(text, match)


def _italian(text: Text) -> Iterator[Span]:
    for match in _ITALIAN.finditer(text.lower):
        name = text.plain[match.end("type") : match.end()]
        before = text.lower[max(match.start() - LOOK_BACK, 0) : match.start()]
        is_sure = text.plain[match.start()].isupper() or re.search(r"\d{5}", name) or _ITALIAN_CUE.search(before)
        # English has "via USB 3".
        if match["type"] != "via" or (is_sure and re.search(rf"[{CAPITAL}][{LETTER}]", name)):
            yield _with_town(text, match)


def _by_form(text: Text) -> Iterator[Span]:
    for pattern in (_POSTCODE, _GERMAN_CAPITAL, _DUTCH_CODE, _COORDINATES, _JAPANESE):
        yield from (_address(match) for match in pattern.finditer(text.plain))
    for pattern in (_BOX, _GERMAN, _GERMAN_AT, _GERMAN_TOWN, _SPANISH, _DUTCH):
        yield from (_with_town(text, match) for match in pattern.finditer(text.lower))


def _after_words(text: Text) -> Iterator[Span]:
    yield from (_address(match, 1) for match in _POSTAL_CUE.finditer(text.lower))
    for cue in _LIVES_AT.finditer(text):
        for pattern, words in (
            (_POSTAL_TOWN, text.plain),
            (_STREET_AFTER_CUE, text.plain),
            (_ENGLISH_AFTER_CUE, text.lower),
        ):
            if match := pattern.match(words, cue.end()):
                yield _address(match, 1)
