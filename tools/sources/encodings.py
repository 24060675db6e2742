"""The encoding of a text file: UTF-8, unless it has a mark or the user names another."""

import codecs
import re
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.lines import opened

SAMPLE_BYTES = 1 << 18
LEAST_LINES = 20
"""Fewer lines cannot tell Western from Central European letters. They count as Western."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ASIAN = ("gb18030", "cp932", "euc-kr", "big5")
_USUAL = (*_ASIAN, "cp1251", "cp1250", "cp1252")


def checked_encoding(name: str) -> str:
    """Return the name of an encoding.

    Raises:
        ConfigError: Python has no text encoding of this name.
    """
    try:
        if codecs.lookup(name)._is_text_encoding:
            return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name
    except LookupError:
        pass
    raise ConfigError(
        f"--encoding: no encoding {name!r}: give one such as utf-8, cp1252, latin-1, gb18030 or shift_jis"
    )


def encoding_of(path: Path) -> str:
    """Return the encoding that the first bytes of a file show.

    Raises:
        DataError: The file is not UTF-8 and has no mark. The message names an encoding that fits.
    """
    with opened(path) as (file, _):
        head = file.read(SAMPLE_BYTES)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if b"\0" in head[:4000]:
        raise DataError(f"{path.name!r} is no text: is it compressed, or in UTF-16? Then give --encoding utf-16")
    whole = head.rpartition(b"\n")[0] if len(head) == SAMPLE_BYTES else head
    lines = whole.splitlines()
    bad = [line for line in lines if not _is_utf_8(line)]
    suggested = _suggested(bad) if bad else ""
    if bad and not suggested and not _is_utf_8(lines[0]):
        raise DataError(f"{path.name!r} is not UTF-8, and its encoding cannot be told: give --encoding")
    if suggested:
        number = next(n for n, line in enumerate(lines, start=1) if not _is_utf_8(line))
        raise DataError(
            f"{path.name!r} is not UTF-8 (first in line {number}); it can be read as {suggested}: "
            f"give --encoding {suggested}"
        )
    return "utf-8-sig"


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _suggested(lines: list[bytes]) -> str:
    """Return the encoding in which the lines most likely are; "" if they make sense in none."""
    from charset_normalizer import from_bytes

    data = b"\n".join(lines[:1000])
    text_in = {name: text for name in _USUAL if (text := _decoded(data, name)) is not None}
    if _has_pairs(data) and any(name in text_in and _share_of_ideographs(text_in[name]) > 0.9 for name in _ASIAN):
        return _closest_asian(data, text_in)
    if "cp1251" in text_in and _has_pairs(data) and _share(text_in["cp1251"], "\u0400", "\u04ff") > 0.9:
        return "cp1251"
    if "cp1252" in text_in and not re.search(r"\w[¹³²£¥¿¼½¾]\w", text_in["cp1252"]):
        if len(lines) < LEAST_LINES or text_in["cp1252"] == text_in.get("cp1250"):
            return "cp1252"
        best = from_bytes(data, cp_isolation=[name for name in ("cp1250", "cp1252") if name in text_in]).best()
        return str(best.encoding) if best is not None else "cp1252"
    return "cp1250" if "cp1250" in text_in else ""


def _has_pairs(data: bytes) -> bool:
    """Return whether most bytes past ASCII stand in pairs, or are no letters of Latin, as in Asian encodings."""
    high = [place for place, byte in enumerate(data) if byte > 0x7F]
    others = set(high)
    paired = sum(place + 1 in others or place - 1 in others for place in high)
    signs = sum(0x81 <= data[place] <= 0x9F for place in high)
    return paired > 0.6 * len(high) or signs > 0.3 * len(high)


def _closest_asian(data: bytes, text_in: dict[str, str]) -> str:
    from charset_normalizer import from_bytes

    names = [name for name in _ASIAN if name in text_in]
    best = from_bytes(data, cp_isolation=names).best()
    return str(best.encoding) if best is not None else names[0]


def _decoded(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c.isspace() or c == "\u200d" for c in text) else None


def _share(text: str, first: str, last: str) -> float:
    """Return the share of characters of a range among those that are not ASCII."""
    others = [c for c in text if not c.isascii()]
    return sum(first <= c <= last for c in others) / len(others) if others else 0.0


def _share_of_ideographs(text: str) -> float:
    """Return the share of East Asian characters among those that are not ASCII."""
    others = [c for c in text if not c.isascii()]
    asian = [c for c in others if "\u3000" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7af" or "\uff00" <= c <= "\uffef"]
    return len(asian) / len(others) if others else 0.0
