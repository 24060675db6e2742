"""Amounts in a line: numbers with their units and bounds, such as "under two hours" or "7 or better"."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from whimbrel.agent.chat.lexicon import LETTER, Lexicon, any_of, compiled, concepts, lexicon, word
from whimbrel.agent.chat.vocabulary import FieldInfo, Vocabulary
from whimbrel.tools.conditions import Condition, Op

_CHINESE_DIGITS = {
    "零": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "俩": 2,
    "仨": 3,
}
AROUND = 0.15
"""An amount "around 90" may differ by this share."""
DEFAULT_OPS: Mapping[str, Op] = {"price": "<=", "length": "<=", "weight": "<=", "rating": ">=", "year": "=="}
"""How a bare number limits a field of a concept."""
_PARTS: Mapping[frozenset[str], tuple[int, int]] = {
    frozenset({"early", "frühen", "初"}): (0, 4),
    frozenset({"mid", "mittleren", "中", "中期"}): (3, 7),
    frozenset({"late", "späten", "末"}): (5, 9),
}
"""The years of the parts of a decade."""
MOST = 1e12
"""Larger numbers are no amounts."""
_YEARS = (1880, 2100)
_LIMITED = ("price", "length", "weight")
"""What a bare number limits from above: the first concept whose values are of its size."""


@dataclass(frozen=True)
class Amount:
    """A number of a line.

    Attributes:
        start: Where it begins, with the words that say how it limits.
        end: Where it ends.
        value: The number, in the smallest unit of its concept.
        concept: What its unit measures; "" without a unit.
        op: How it limits; None if the line does not say it.
        upper: The second number of a range.
        is_about: Whether it is said to be about so much.
        is_word: Whether the number is a word.
    """

    start: int
    end: int
    value: float
    concept: str = ""
    op: Op | None = None
    upper: float | None = None
    is_about: bool = False
    is_word: bool = False


def conditions_in(
    line: str, language: str, vocabulary: Vocabulary, *, asked: str = ""
) -> list[tuple[int, int, tuple[Condition, ...]]]:
    """Return the conditions that the amounts of a line set, each with the part of the line that sets it.

    Args:
        line: The line.
        language: Its language.
        vocabulary: The fields of the catalogue.
        asked: The field that the last question was about. A number without a unit is about it.
    """
    limits: list[tuple[int, int, tuple[Condition, ...]]] = []
    for amount in _amounts(line, language):
        info, start, end = _field_of(amount, line, language, vocabulary, asked)
        if info is not None and info.kind in {"number", "date"}:
            limits.append((start, end, _conditions(amount, info)))
    return limits


def unknown_amounts(line: str, language: str, vocabulary: Vocabulary) -> list[tuple[int, int, str]]:
    """Return the amounts whose unit measures what no field holds, with their parts of the line and their concepts."""
    return [
        (amount.start, amount.end, amount.concept)
        for amount in _amounts(line, language)
        if amount.concept and vocabulary.of_concept(amount.concept) is None
    ]


def _conditions(amount: Amount, info: FieldInfo) -> tuple[Condition, ...]:
    scale = _scale(info) if amount.concept == info.concept == "length" else 1.0

    def limit(op: Op, value: float) -> Condition:
        return Condition(field=info.name, op=op, value=round(value * scale, 3))

    if amount.upper is not None:
        low, high = sorted([amount.value, amount.upper])
        return limit(">=", low), limit("<=", high)
    if amount.is_about and amount.op is None and info.concept != "year":
        return limit(">=", amount.value * (1 - AROUND)), limit("<=", amount.value * (1 + AROUND))
    op = DEFAULT_OPS.get(info.concept, "==") if amount.op is None else amount.op
    return (limit(op, amount.value),)


def _scale(info: FieldInfo) -> float:
    """Return what turns minutes into the unit of a field: its name or its usual size tell hours and seconds."""
    name, middle = info.name.casefold(), info.quantile(0.5)
    if "hour" in name or (middle <= 10 and "min" not in name and "page" not in name):
        return 1 / 60
    return 60.0 if "sec" in name or middle > 1500 else 1.0


def _field_of(
    amount: Amount, line: str, language: str, vocabulary: Vocabulary, asked: str
) -> tuple[FieldInfo | None, int, int]:
    """Return the field that an amount limits, and the part of the line that says so."""
    rating = vocabulary.of_concept("rating")
    if amount.concept and (info := vocabulary.of_concept(amount.concept)):
        # "The score is too low, 6 min": no film takes six minutes, and "min" can mean the least.
        if not (_is_far_below(amount, info, line) and rating and rating.numbers and amount.value <= _best(rating)):
            return info, amount.start, amount.end
        return rating, amount.start, amount.end
    named = _named_field(line, amount, vocabulary, lexicon(language))
    if named is not None:
        return named
    if asked in vocabulary.fields and vocabulary.fields[asked].kind in {"number", "date"}:
        return vocabulary.fields[asked], amount.start, amount.end
    if amount.concept or (amount.is_word and (amount.op is None or language == "zh")):
        return None, amount.start, amount.end
    if _YEARS[0] <= amount.value <= _YEARS[1] and float(amount.value).is_integer():
        return vocabulary.of_concept("year"), amount.start, amount.end
    price = vocabulary.of_concept("price")
    if amount.op in {">=", ">"} and rating and rating.numbers and amount.value <= _best(rating):
        return rating, amount.start, amount.end
    if amount.op not in {"<=", "<"}:
        return None, amount.start, amount.end
    limited = [info for concept in _LIMITED if (info := vocabulary.of_concept(concept))]
    fits = next((info for info in limited if info.numbers[0] <= amount.value <= 2 * info.numbers[-1]), price)
    return fits, amount.start, amount.end


def _best(rating: FieldInfo) -> float:
    """Return the best possible rating: the end of the usual scale that holds all ratings."""
    return next((end for end in (5.0, 10.0, 100.0) if rating.numbers[-1] <= end), rating.numbers[-1])


def _is_far_below(amount: Amount, info: FieldInfo, line: str) -> bool:
    text = line[amount.start : amount.end].casefold().rstrip()
    return amount.concept == "length" and text.endswith("min") and 2 * amount.value < info.numbers[0]


def _named_field(
    line: str, amount: Amount, vocabulary: Vocabulary, words: Lexicon
) -> tuple[FieldInfo, int, int] | None:
    """Return the field that the words beside an amount name."""
    before, after = line[: amount.start], line[amount.end :]
    for info in vocabulary.fields.values():
        if info.kind not in {"number", "date"}:
            continue
        if info.concept == "year" and not _YEARS[0] <= amount.value <= _YEARS[1]:
            continue  # "my 6 year old"
        concept = concepts().get(info.concept)
        names = any_of([re.escape(name) for name in [info.name.replace("_", " "), *(concept.words if concept else ())]])
        if match := compiled(rf"{word(names)}(?:\s+\w+){{0,2}}\W*$").search(before):
            return info, match.start(), amount.end
        match = compiled(rf"\W*(?:(?P<between>\w+)\s+){{0,1}}{word(names)}").match(after)
        if match and not compiled(any_of(words.amounts.reversed)).fullmatch(match["between"] or ""):
            return info, amount.start, amount.end + match.end()
    return None


def _amounts(line: str, language: str) -> Iterator[Amount]:
    words = lexicon(language)
    taken: list[tuple[int, int]] = []

    def is_free(start: int, end: int) -> bool:
        return all(end <= begin or start >= stop for begin, stop in taken)

    number = _number_pattern(language)
    for pattern in words.amounts.between:
        bounds = pattern.replace("{a}", f"(?P<a>{number})").replace("{b}", f"(?P<b>{number})")
        unit = _unit_pattern(language)
        for match in compiled(rf"(?<!{LETTER})(?<![.-]){bounds}\s*(?P<unit>{unit})?(?!{LETTER})").finditer(line):
            low, high = _number(match["a"], words), _number(match["b"], words)
            if low is None or high is None or not is_free(*match.span()):
                continue
            concept, factor = _unit(match["unit"] or "", words)
            taken.append(match.span())
            yield Amount(match.start(), match.end(), low * factor, concept, None, high * factor)
    decades = [decade for decade in _decades(line, words) if is_free(decade.start, decade.end)]
    for decade in _joined(decades, line):
        taken.append((decade.start, decade.end))
        yield decade
    for amount in _single_amounts(line, language):
        if is_free(amount.start, amount.end):
            taken.append((amount.start, amount.end))
            yield _bounded(amount, line, words)


def _decades(line: str, words: Lexicon) -> Iterator[Amount]:
    """Yield the decades of a line: "the 80s", "early 90s"."""
    for match in compiled(word(words.amounts.decade)).finditer(line):
        digits = next(
            group for name, group in zip(range(1, 9), match.groups(), strict=False) if group and group.isdigit()
        )
        year = float(digits) if len(digits) == 4 else 1900.0 + float(digits)
        part = (match["part"] or "").strip(" -").casefold()
        first, last = next((span for names, span in _PARTS.items() if part in names), (0, 9))
        yield Amount(match.start(), match.end(), year + first, "year", None, year + last)


def _joined(ranges: Sequence[Amount], line: str) -> list[Amount]:
    """Join ranges that "or", "and" or "to" stands between: "the 80s or early 90s"."""
    joined: list[Amount] = []
    for one in ranges:
        last = joined[-1] if joined else None
        if last and re.fullmatch(
            r"\s*(?:or|and|to|und|oder|bis|或|和|到|-|,|/)\s*(?:the\s+|die\s+)?", line[last.end : one.start]
        ):
            upper = max(last.upper or last.value, one.upper or one.value)
            joined[-1] = replace(last, end=one.end, value=min(last.value, one.value), upper=upper)
        else:
            joined.append(one)
    return joined


def _single_amounts(line: str, language: str) -> Iterator[Amount]:
    """Yield the numbers of a line. Neighbouring hours and minutes make one amount."""
    words, found = lexicon(language), list[Amount]()
    number, unit, half = _number_pattern(language), _unit_pattern(language), any_of(words.amounts.half)
    begin = rf"(?<!{LETTER})(?<![.,/#-])(?:[€$£¥]\s?)?"
    either = any_of([*words.amounts.or_less, *words.amounts.or_more])
    pattern = (
        rf"{begin}(?P<n>{number})(?:\s*(?P<bound>{either})(?=\s*{unit}))?[\s-]*(?P<unit>{unit})?(?P<half>\s*{half})?"
    )
    for match in compiled(pattern).finditer(line):
        value = _number(match["n"], words)
        is_digit = match["n"][:1].isdigit()
        concept, factor = _unit(match["unit"] or "", words)
        if re.match(r"[€$£¥]", match.group()):
            concept = "price"
        if value is None or (not concept and not is_digit and value <= 1):
            continue  # "one" alone is no amount
        if not is_digit and value == 1 and _is_compared(line[match.end() :], words):
            continue  # "not a minute more than 90"
        has_half = bool(match["half"]) or "半" in (match["unit"] or "")  # "and a half", 一个半小时
        value = (value + (0.5 if has_half else 0)) * factor
        amount = Amount(match.start(), match.end(), value, concept, is_word=not is_digit)
        if match["bound"]:  # "90 or more minutes"
            amount = _behind(amount, match["bound"], words)
            amount = replace(amount, end=match.end())
        last = found[-1] if found else None
        gap = line[last.end : amount.start] if last else ""
        is_near = bool(last and re.fullmatch(r"\s*(?:and|und|&)?\s*", gap))
        is_minutes = factor == 1.0 and (concept == "length" or (not concept and value < 60))
        if last and is_near and last.concept == "length" and last.value % 30 == 0 and is_minutes:  # "1 hour 35"
            found[-1] = replace(last, end=amount.end, value=last.value + value)
        else:
            found.append(amount)
    yield from found


def _is_compared(after: str, words: Lexicon) -> bool:
    """Return whether a comparison with a number follows."""
    compared = any_of([*words.amounts.above, *words.amounts.below, *words.amounts.most, *words.amounts.least])
    return bool(compiled(rf"\s*{compared}\s*\d").match(after))


def _bounded(amount: Amount, line: str, words: Lexicon) -> Amount:
    """Read the words before and after an amount that say how it limits."""
    before, after = line[: amount.start], line[amount.end :]
    ops: list[tuple[Op, tuple[str, ...]]] = [
        ("<=", words.amounts.most),
        ("<", words.amounts.below),
        (">=", words.amounts.least),
        (">", words.amounts.above),
    ]
    amount = _behind(amount, after, words)
    if match := compiled(rf"\s*{words.amounts.too_much}").match(after):
        return replace(amount, end=amount.end + match.end(), op="<")
    best: tuple[int, Op] | None = None
    for op, patterns in ops:
        # The words nearest to the number count, and of two that end there the longer one.
        match = compiled(
            rf"(?<!\w){any_of(patterns)}(?:\s+(?:the|a|an|of|is|be|about|around|to|nur|von|auf|ein|eine|einen))*\W{{0,2}}$"
        ).search(before)
        if match and (best is None or match.start() < best[0]):
            best = (match.start(), op)
    if best:
        return _reversed(replace(amount, start=best[0], op=amount.op or best[1]), line, words)
    if amount.op is None and amount.concept in {"length", "price"}:
        amount = _reversed(amount, line, words)
        if amount.op:
            return amount
    about = compiled(rf"(?<!\w){any_of(words.amounts.about)}\s*$").search(before)
    return replace(amount, start=about.start(), is_about=True) if about else amount


def _reversed(amount: Amount, line: str, words: Lexicon) -> Amount:
    """Turn a limit round that something negative stands before: "I don't want to sit there for more than 90".

    Only words that say nothing of their own may stand between. A bare amount is what is too much.
    """
    clause = re.split(r"[.,;!?|\u3002\uff01\uff1f\uff0c]", line[: amount.start])[-1]
    turning = list(compiled(word(any_of(words.amounts.reversed))).finditer(clause))
    if not turning:
        return amount
    match = turning[-1]
    between = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", clause[match.end() :])
    if not all(token.casefold() in words.fillers or _unit(token, words)[0] for token in between):
        return amount
    turned: Mapping[Op | None, Op] = {">": "<=", ">=": "<=", "<": ">=", "<=": ">=", None: "<"}
    start = amount.start - (len(clause) - match.start())
    return replace(amount, start=start, op=turned[amount.op]) if amount.op in turned else amount


def _behind(amount: Amount, after: str, words: Lexicon) -> Amount:
    pairs: tuple[tuple[Op, tuple[str, ...]], ...] = (("<=", words.amounts.or_less), (">=", words.amounts.or_more))
    for op, patterns in pairs:
        if match := compiled(rf"\s*{any_of(patterns)}(?!{LETTER})").match(after):
            return replace(amount, end=amount.end + match.end(), op=op)
    return amount


@cache
def _number_pattern(language: str) -> str:
    words = any_of([re.escape(name) for name in lexicon(language).amounts.numbers])
    compound = (
        rf"{words}(?:[ -]{words})?(?:\s+(?:and a half|½))?(?!\w)"
        if language != "zh"
        else r"[零一二两三四五六七八九十百半俩仨]+"
    )
    return rf"\d[\d,.]*\d|\d|{compound}"


@cache
def _unit_pattern(language: str) -> str:
    units = [unit for entry in lexicon(language).units.values() for unit in entry.words]
    end = "" if language == "zh" else r"(?!\w)"
    return f"{any_of(units)}{end}"


def _unit(text: str, words: Lexicon) -> tuple[str, float]:
    for unit in words.units.values():
        if text and compiled(any_of(unit.words)).fullmatch(text.strip()):
            return unit.concept, unit.factor
    return "", 1.0


def _number(text: str, words: Lexicon) -> float | None:
    """Read a number. A comma before three digits separates thousands, and any other comma is a decimal one."""
    text = text.strip().casefold()
    if text[:1].isdigit():
        plain = re.sub(r",(?=\d{3}(?:\D|$))", "", text).replace(",", ".").strip(".")
        try:
            number = float(plain)
        except ValueError:
            return None
        return number if number < MOST else None
    if re.fullmatch(r"[零一二两三四五六七八九十百半俩仨]+", text):
        return _chinese_number(text)
    half = 0.5 if re.search(r"and a half|½", text) else 0.0
    parts = re.split(r"[ -]", re.sub(r"\s+(?:and a half|½)$", "", text))
    known = words.amounts.numbers
    if text in known:
        return known[text]
    values = [known[part] for part in parts if part in known]
    if not values or len(values) != len(parts):
        return None
    if len(values) == 2 and values[0] == 1 and values[1] < 100:  # "a seven"
        return values[1] + half
    if len(values) == 2 and values[1] >= 100:  # "a hundred", "two hundred"
        return values[0] * values[1]
    return sum(values) + half


def _chinese_number(text: str) -> float | None:
    if text == "半":
        return 0.5
    half, text = (0.5, text[:-1]) if text.endswith("半") else (0.0, text)
    total, current = 0, 0
    for character in text:
        if character in _CHINESE_DIGITS:
            current = _CHINESE_DIGITS[character]
        elif character in {"十", "百"}:
            total += max(current, 1) * (10 if character == "十" else 100)
            current = 0
        else:
            return None
    return total + current + half
