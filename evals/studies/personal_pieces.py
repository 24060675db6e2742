"""Make up personal data in many forms: the forms that people and countries use, not those that the finder looks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase

FIRST_NAMES = (
    "Adaeze Agnieszka Ahmet Aisling Alejandra Amara Anna Astrid Bartosz Camille Chidi Chloe Daniel Deepika Dmitri Elif "
    "Emma Fatima Feng Francesca Freya Giorgos Hanna Haruto Ines Ingrid Ivan Jamal James Joao Jurgen Kasia Katarina "
    "Kwame Lars Leila Lucia Luca Mateo Mei Michael Minh Mohammed Nadia Niamh Noor Olga Omar Paul Pedro Priya Rahul "
    "Rosa Sakura Sarah Sofia Thabo Thomas Xin Yusuf Zainab"
)
LAST_NAMES = (
    "Abdullah Adeyemi Andersen Bauer Bianchi Brown Chen Costa Dubois Eriksson Fernandez Fischer Garcia Gonzalez Gupta "
    "Haddad Hansen Hernandez Hoang Horvat Ivanova Jansen Jimenez Johnson Kaya Kim Kovacs Kowalski Lambert Lefebvre Li "
    "Lindqvist Mbeki Meyer Moreau Mueller Murphy Nakamura Nguyen Novak Obi O'Brien Okafor Papadopoulos Patel Petrov "
    "Popescu Rossi Santos Schmidt Sharma Silva Smith Suzuki Tanaka Taylor van_Dijk Vogel Walsh Wang Yilmaz"
)
STREETS = "Birch Castle Heron Jubilee Lerchen Linden Mozart Orchard Rosen Station Tulip Victoria Wilson Zeppelin"
DOMAINS = "gmail.com gmx.de outlook.co.uk orange.fr 163.com uni-jena.de mail.example.org posteo.net yahoo.co.jp"
REGIONS = "US GB DE FR CN IN ES IT NL PL SE BR MX JP KR TR AU CH AT IE ZA NG AR PT"
IBANS = {
    "DE": "n" * 18,
    "GB": "aaaa" + "n" * 14,
    "FR": "n" * 10 + "a" + "n" * 12,
    "NL": "aaaa" + "n" * 10,
    "ES": "n" * 20,
    "IT": "a" + "n" * 22,
    "PL": "n" * 24,
    "CH": "n" * 17,
    "SE": "n" * 20,
    "BE": "n" * 12,
    "IE": "aaaa" + "n" * 14,
    "NO": "n" * 11,
}
"""The form of an account in each country: n is a digit, a is a letter."""
CARDS = (("4", (4, 4, 4, 4)), ("5412", (4, 4, 4, 4)), ("2221", (4, 4, 4, 4)), ("37", (4, 6, 5)), ("6011", (4, 4, 4, 4)))
"""The first digits of cards, and how the digits are grouped."""
ADDRESSES = (
    "{n} {s} Street, Leeds LS6 2AB",
    "{n} {s} Avenue, Apt {m}, Denver, CO 80202",
    "Flat {m}, {n} {s} Crescent, Bristol",
    "Unit {m}/{n} {s} Parade, Sydney NSW 2000",
    "P.O. Box {n}{m}, Boise, ID 83701",
    "{s}straße {n}, 10437 Berlin",
    "{s}gasse {n}/{m}, 1070 Wien",
    "Am {s}platz {n}a",
    "{n} rue de la {s}, 75011 Paris",
    "{n} bis, boulevard {s}, 69003 Lyon",
    "Calle {s} {n}, {m}º B, 28013 Madrid",
    "Via {s} {n}, 20121 Milano",
    "{s}straat {n}, 1012 AB Amsterdam",
    "ul. {s}owska {n}/{m}, 00-950 Warszawa",
    "{s}gatan {n}, 114 35 Stockholm",
    "Rua {s} {n}, 1200-109 Lisboa",
    "上海市南京西路{n}号{m}室",
    "北京市朝阳区建国路{n}号",
)
NUMBERS = (
    ("my passport is {}", "AAnnnnnnn"),
    ("passport no. {}", "nnnnnnnnn"),
    ("my SSN is {}", "nnn-nn-nnnn"),
    ("national insurance {}", "AA nn nn nn A"),
    ("customer number {}", "nnnnnnnn"),
    ("order {}", "nnn-nnnnnnn-nnnnnnn"),
    ("Personalausweis {}", "AnnAnnAnn"),
    ("Steuer-ID {}", "nn nnn nnn nnn"),
    ("Kundennummer {}", "KD-nnnnnn"),
    ("numéro client {}", "nnnnnnn"),
    ("numéro de sécu {}", "1 nn nn nn nnn nnn nn"),
    ("mi DNI es {}", "nnnnnnnnA"),
    ("codice fiscale {}", "AAAAAAnnAnnAnnnA"),
    ("meu CPF é {}", "nnn.nnn.nnn-nn"),
    ("Aadhaar {}", "nnnn nnnn nnnn"),
    ("PESEL {}", "nnnnnnnnnnn"),
    ("身份证号{}", "nnnnnnnnnnnnnnnnnn"),
)
"""What stands before a number, and its form: n is a digit, A is a letter."""
SENTENCES: Mapping[str, tuple[str, ...]] = {
    "EMAIL": ("send the list to {} please", "mail: {}", "schreib mir an {} wenn etwas da ist", "我的邮箱是{}"),
    "PHONE": ("call me on {} when it is there", "tel. {}", "meine Nummer ist {}", "mon numéro : {}", "手机{}"),
    "IBAN": ("pay from {} please", "my account {} is fine", "IBAN: {}", "bitte von {} abbuchen"),
    "CARD": ("I pay with {} today", "card {}, as always", "meine Karte {} bitte", "con la tarjeta {}"),
    "ADDRESS": ("it should go to {}", "I live at {}", "bitte an {} liefern", "à livrer au {}", "我住在{}"),
    "PERSON": (
        "a present for {}",
        "{} loves the outdoors",
        "my sister {} wants one too",
        "something that {} would read",
        "ein Geschenk für {}",
        "un regalo para {}",
    ),
}
"""What people type around each kind of data. A number has its own words."""


@dataclass(frozen=True)
class Piece:
    """A piece of personal data.

    Attributes:
        kind: One of KINDS.
        words: The piece.
        sentence: What a person would type with it.
    """

    kind: str
    words: str
    sentence: str


def make_piece(kind: str, random: Random) -> Piece:
    """Make up a piece of one of KINDS.

    Example:
        >>> make_piece("IBAN", Random(1)).words
        'FR269141777631P066907439150'
    """
    if kind == "NUMBER":
        words, form = random.choice(NUMBERS)
        number = _filled(form, random)
        return Piece(kind, number, words.format(number))
    words = _MAKERS[kind](random)
    return Piece(kind, words, random.choice(SENTENCES[kind]).format(words))


def _word(words: str, random: Random) -> str:
    return random.choice(words.split())


def _filled(form: str, random: Random) -> str:
    drawn = {"n": "0123456789", "a": ascii_uppercase, "A": ascii_uppercase}
    return "".join(random.choice(drawn[sign]) if sign in drawn else sign for sign in form)


def _name(random: Random) -> str:
    first, last = _word(FIRST_NAMES, random), _word(LAST_NAMES, random).replace("_", " ")
    whole = f"{first} {last}"
    return random.choice(
        [whole, whole, whole, f"{first} {random.choice(ascii_uppercase)}. {last}", whole.lower(), first]
    )


def _email(random: Random) -> str:
    first, last = _word(FIRST_NAMES, random).lower(), _word(LAST_NAMES, random).lower().replace("'", "")
    name = random.choice(
        [f"{first}.{last}", f"{first[0]}{last}{random.randint(1, 99)}", f"{last}+shop", f"{first}-{last}"]
    )
    sign = random.choice(["@", "@", "@", "@", " (at) "])
    address = f"{name}{sign}{_word(DOMAINS, random)}"
    return random.choice([address, address, address.upper()])


def _phone(random: Random) -> str:
    import phonenumbers as phones

    types, forms = phones.PhoneNumberType, phones.PhoneNumberFormat
    kind = random.choice([types.MOBILE, types.FIXED_LINE])
    number = phones.example_number_for_type(_word(REGIONS, random), kind) or phones.PhoneNumber()
    for _ in range(20):  # there is one example for each kind and region, so its last digits are drawn
        last = f"{number.national_number}"[:-3] + _filled("nnn", random)
        drawn = phones.PhoneNumber(country_code=number.country_code, national_number=int(last))
        if phones.is_valid_number(drawn):
            return phones.format_number(drawn, random.choice([forms.INTERNATIONAL, forms.NATIONAL, forms.E164]))
    return phones.format_number(number, forms.INTERNATIONAL)


def _iban(random: Random) -> str:
    country = random.choice(list(IBANS))
    account = _filled(IBANS[country], random)
    digits = "".join(str(int(sign, 36)) for sign in f"{account}{country}00")
    whole = f"{country}{98 - int(digits) % 97:02}{account}"
    spaced = " ".join(whole[start : start + 4] for start in range(0, len(whole), 4))
    return random.choice([whole, spaced, spaced, whole.lower(), spaced.replace(" ", "-")])


def _card(random: Random) -> str:
    start, groups = random.choice(CARDS)
    body = start + _filled("n" * (sum(groups) - 1 - len(start)), random)
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(f"{body}0"))]
    digits = f"{body}{-sum(value - 9 * (value > 9) for value in doubled) % 10}"
    parts = [digits[sum(groups[:place]) :][:length] for place, length in enumerate(groups)]
    return random.choice([" ", " ", "-", "", "."]).join(parts)


def _address(random: Random) -> str:
    form, street = random.choice(ADDRESSES), _word(STREETS, random)
    return form.format(n=random.randint(2, 180), m=random.randint(2, 40), s=street)


_MAKERS: Mapping[str, Callable[[Random], str]] = {
    "EMAIL": _email,
    "PHONE": _phone,
    "IBAN": _iban,
    "CARD": _card,
    "ADDRESS": _address,
    "PERSON": _name,
}
KINDS = (*_MAKERS, "NUMBER")
"""The kinds of data, named as the finder names them."""
