"""Cells: the text of a value of any container, and the values that a text holds.

A CSV file holds texts only. The values of other containers become the same texts, so one table gives one store
whatever file it comes in.
"""

import html
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from whimbrel.tools.literals import literal

ABSENT = frozenset(
    {"", "nan", "null", "none", "n/a", "#n/a", "na", "<na>", "nat", "nil", "undefined", "(null)", "[null]", "\\n"}
    | {"-", "--", "---", "–", "—", "-nan", "#value!", "#ref!", "#div/0!", "(none)", "[]", "{}"}
)
"""Texts that stand for no value, in lower case: of pandas, R, SQL, Hive, JavaScript, Excel and of people."""
LONGEST_NUMBER = 100
"""Most characters of a price, a rating or a time. The patterns that read them are slow on long texts."""
MOST_CELLS, LONGEST_PATH = 2000, 200
"""Most values of one JSON object, and most characters of their names."""
SEVERAL = re.compile(r"(?<=[\w)])\s*(?:[,;>|]|\s/|/\s|»|›|::)\s*(?=[\w(])|(?<=[^\W\d])/(?=[^\W\d])|、|，|；")
"""What stands between several topics in one text."""

_NAMES = ("name", "title", "label", "value", "description", "text", "genre", "category", "tag")
_STARS = re.compile(r"[★⭐✭✮🌟]\ufe0f?")
_SCALE = r"(?:stars?|sterne?|étoiles?|estrellas?|stelle|分|星|点|점)"
_OF_SCALE = re.compile(rf"^([+-]?[\d.,]+)\s*(?:(?:/|of|out of|von|sur|de|su|из)\s*[\d.,]+)?\s*{_SCALE}?$", re.I)
_FLAGS = {"true": 1.0, "yes": 1.0, "recommended": 1.0, "false": 0.0, "no": 0.0, "not recommended": 0.0}
_FREE = {"free", "free to play", "free!", "gratis", "kostenlos", "gratuit", "免费", "無料"}
_AMOUNT = re.compile(r"\d[\d.,'’`\s\u00a0\u202f]*\d|\d")
_RANGE = re.compile(r"\d[^\d]{0,4}\s*(?:-|–|—|~|to|bis)\s*[^\d-]{0,4}\d")


def as_text(value: object) -> str | None:
    """Return the text that a CSV file would hold for a value. None and NaN give None, and so does an empty container.

    Example:
        >>> as_text(17850.0), as_text(True), as_text(["Tea", "Herbs"])
        ('17850', 'true', '["Tea", "Herbs"]')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return _number_text(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Mapping | Sequence):
        return json.dumps(value, ensure_ascii=False, default=as_text) if value else None
    return str(value)


def _number_text(value: int | float | Decimal) -> str | None:
    """Return a number as a text, a whole one without decimals."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"
    return str(int(value)) if value.is_integer() and abs(value) < 1e17 else repr(value)


def without_halves(texts: Sequence[str | None]) -> list[str | None]:
    """Return texts in which each half of a character (a lone surrogate) is U+FFFD. Arrow and files hold no halves."""
    return [text.encode("utf-8", "replace").decode() if text and not is_whole(text) else text for text in texts]


def is_whole(text: str) -> bool:
    """Return whether a text holds no half of a character. A byte outside the encoding of a file becomes such a half."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_absent(text: str | None) -> bool:
    r"""Return whether a text stands for no value.

    Example:
        >>> is_absent("NaN"), is_absent(" - "), is_absent(r"\N"), is_absent("Nanna")
        (True, True, True, False)
    """
    return text is None or (len(text) < 12 and text.strip().lower() in ABSENT) or not text.strip()


def flattened(document: Mapping[Any, Any], prefix: str = "") -> dict[str, str | None]:
    """Return the values of a JSON object as texts. A value of a nested object is named by its path, `product.name`.

    Raises:
        ValueError: The object has more than MOST_CELLS values.

    Example:
        >>> flattened({"user": {"id": 7}, "tags": ["a"]})
        {'user.id': '7', 'tags': '["a"]'}
    """
    cells: dict[str, str | None] = {}
    _flatten(document, prefix, cells)
    return cells


def _flatten(document: Mapping[Any, Any], prefix: str, cells: dict[str, str | None]) -> None:
    for name, value in document.items():
        path = f"{prefix}{name}"[:LONGEST_PATH]
        if isinstance(value, Mapping) and value:
            _flatten(value, f"{path}.", cells)
        else:
            cells[path] = as_text(value)
        if len(cells) > MOST_CELLS:
            raise ValueError(f"an object of more than {MOST_CELLS} values")


def listed(text: str) -> list[str] | None:
    """Return the parts of a text that holds a list; None if it is one value.

    A list is a JSON list, a Python list, or a text with `|`. Of a list of objects, the parts are the names.

    Example:
        >>> listed("['Tea', 'Herbs']"), listed('[{"id": 1, "name": "Tea"}]'), listed("Tea|Herbs"), listed("Tea")
        (['Tea', 'Herbs'], ['Tea'], ['Tea', 'Herbs'], None)
    """
    stripped = text.strip()
    if re.fullmatch(r"\[\s*(?:'[^']*'\s*|\"[^\"]*\"\s*)+\]", stripped):  # as numpy writes it: ['a' 'b']
        return [first or second for first, second in re.findall(r"'([^']*)'|\"([^\"]*)\"", stripped)]
    if stripped[:1] in ("[", "{", "(") and stripped[-1:] in ("]", "}", ")"):
        try:
            return _parts(literal(stripped))
        except (ValueError, RecursionError):
            pass
    return text.split("|") if "|" in text else None


def _parts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        names = [value[name] for name in _NAMES if isinstance(value.get(name), str)]
        return names[:1] or [str(name) for name in value]
    if isinstance(value, list | tuple | set | frozenset):
        parts = [part for element in value for part in (_parts(element) if not isinstance(element, str) else [element])]
        return [part for part in parts if not is_absent(part)]
    text = as_text(value)
    return [text] if text is not None else []


def unescaped(text: str) -> str:
    """Return a text without HTML entities, also those that were escaped twice."""
    for _ in range(2):
        if "&" not in text:
            break
        try:
            text = html.unescape(text)
        except ValueError:  # a character code of thousands of digits
            break
    return text


def decimal_mark(texts: Sequence[str]) -> str:
    """Return the decimal mark of the amounts in a column: "," if more of them end in a comma and decimals, else "."."""
    texts = [text for text in texts if len(text) <= LONGEST_NUMBER]
    commas = sum(bool(re.search(r",(?:\d{1,2}|-+)\D*$", text)) for text in texts)
    points = sum(bool(re.search(r"\.(?:\d{1,2}|-+)\D*$", text)) for text in texts)
    thousands = {text for text in texts if re.search(r"(?<!\d)[1-9]\d{0,2}\.\d{3}(?!\d)", text)}
    if not commas and not points and len(thousands) > 1:
        return ","  # amounts of always three decimals are those of a point that separates thousands
    return "," if commas > points else "."


def amount(text: str, mark: str = ".") -> float:
    """Return the number in a text, which may have a currency, separators of thousands, and either decimal mark.

    Of a range, the lower end is returned.

    Args:
        text: The text.
        mark: The decimal mark of the column. It decides about a number such as `1.299`.

    Raises:
        ValueError: The text holds no number, or it is negative.

    Example:
        >>> amount("€ 1.299,00"), amount("$1,299.00"), amount("9,90"), amount("CHF 1'299.-")
        (1299.0, 1299.0, 9.9, 1299.0)
    """
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"{text[:40]!r} is no amount")
    text = unicodedata.normalize("NFKC", text).strip()
    if text.casefold() in _FREE:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        digits = text.lstrip("+-")
        if not (mark == "," and re.fullmatch(r"\d{1,3}\.\d{3}", digits)):
            return _not_negative(value)
    match = _AMOUNT.search(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no amount")
    before = text[: match.start()].rstrip()
    signed = re.search(r"[-−(]\s*[^\d\s]{0,4}$", before) or re.fullmatch(r"\s*[-−]", text[match.end() :])
    is_negative = bool(signed) and not _RANGE.search(text)
    return _not_negative(-_number(match[0], mark) if is_negative else _number(match[0], mark))


def _not_negative(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{value:g} is no price")
    return value


def _number(text: str, mark: str) -> float:
    """Return the number of digits with separators."""
    digits = re.sub(r"[\s'’`\u00a0\u202f]", "", text).strip(".,")
    marks = re.findall(r"[.,]", digits)
    if not marks:
        return float(digits)
    last = marks[-1]
    decimals = len(digits) - digits.rindex(last) - 1
    several = len(set(marks)) > 1  # both occur: the last one is the decimal mark
    if several or (marks.count(last) == 1 and (decimals != 3 or last == mark)):
        other = "," if last == "." else "."
        return float(digits.replace(other, "").replace(last, "."))
    return float(digits.replace(",", "").replace(".", ""))


def grade(text: str) -> float:
    """Return the number of a rating: `4`, `4,5`, `4/5`, `4 stars`, `★★★★`, or a flag as 1 or 0.

    Raises:
        ValueError: The text holds no rating.

    Example:
        >>> grade("4/5"), grade("★★★☆☆"), grade("True")
        (4.0, 3.0, 1.0)
    """
    text = text.strip()
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"{text[:40]!r} is no rating")
    try:
        value = float(text)
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    if text.casefold() in _FLAGS:
        return _FLAGS[text.casefold()]
    stars = len(_STARS.findall(text))
    if stars and not re.search(r"\d", text):
        return float(stars)
    match = _OF_SCALE.match(text) or re.fullmatch(r"([+-]?\d+[.,]\d+)", text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no rating")
    number = match[1].replace(",", ".")
    try:
        return float(number)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no rating") from None
