"""The encoding of a text file: UTF-8, unless it has a mark or the user names another."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.lines import opened

SAMPLE_BYTES = 1 << 18
LEAST_LINES = 20
"""Fewer lines cannot tell Western from Central European letters. They count as Western."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ASIAN = ("gb18030", "cp932", "euc-kr", "big5")
_IDEOGRAPHS = (("\u3000", "\u9fff"), ("\uac00", "\ud7af"), ("\uff00", "\uffef"))
_CYRILLIC = (("\u0400", "\u04ff"),)
_USUAL = (*_ASIAN, "cp1251", "cp1250", "cp1252")


def checked_encoding(name: str) -> str:
    """Return the name of an encoding.

    Raises:
        ConfigError: Python has no text encoding of this name.
    """
    try:
        if codecs.lookup(name)._is_text_encoding and b"a".decode(name) is not None:
            return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name
    except (LookupError, ValueError):  # a name may also hold a NUL
        pass
    raise ConfigError(
        f"--encoding: no encoding {name!r}: give one such as utf-8, cp1252, latin-1, gb18030 or shift_jis"
    )


def shown_name(encoding: str) -> str:
    """Return the name of an encoding as people write it."""
    return "UTF-8" if encoding == "utf-8-sig" else encoding


def encoding_of(path: Path, *, given: str | None = None) -> str:
    """Return the encoding that the first bytes of a file show.

    Args:
        path: The file.
        given: The encoding that the user named. A mark at the start of the file comes before it, and so does UTF-8 if
            all bytes past ASCII are UTF-8: another file of the same command may be in another encoding.

    Raises:
        ConfigError: There is no encoding of the given name.
        DataError: The file is not UTF-8 and has no mark. The message names an encoding that fits.
    """
    with opened(path) as (file, _):
        head = file.read(SAMPLE_BYTES)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    whole = head.rpartition(b"\n")[0] if len(head) == SAMPLE_BYTES else head
    if given is not None:
        encoding = checked_encoding(given)
        return "utf-8-sig" if not whole.isascii() and _is_utf_8(whole) else encoding
    if b"\0" in head[:4000]:
        raise DataError(f"{path.name!r} is no text: is it compressed, or in UTF-16? Then give --encoding utf-16")
    lines = whole.splitlines()
    bad = [line for line in lines if not _is_utf_8(line)]
    # A file of UTF-8 with a few damaged lines stays UTF-8. Those lines are rejected.
    good = sum(not line.isascii() for line in lines) - len(bad)
    suggested = _suggested(bad) if len(bad) > good else ""
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
    asian = [name for name in _ASIAN if name in text_in and _share(text_in[name], _IDEOGRAPHS) > 0.9]
    if asian and _has_pairs(data):
        best = from_bytes(data, cp_isolation=asian).best()
        return str(best.encoding) if best is not None else asian[0]
    if "cp1251" in text_in and _has_pairs(data) and _share(text_in["cp1251"], _CYRILLIC) > 0.9:
        return "cp1251"
    if "cp1252" in text_in and not re.search(r"\w[¹³²£¥¿¼½¾]\w", text_in["cp1252"]):
        if len(lines) < LEAST_LINES or text_in["cp1252"] == text_in.get("cp1250"):
            return "cp1252"
        best = from_bytes(data, cp_isolation=[name for name in ("cp1250", "cp1252") if name in text_in]).best()
        return str(best.encoding) if best is not None else "cp1252"
    return "cp1250" if "cp1250" in text_in else ""


def _has_pairs(data: bytes) -> bool:
    """Return whether bytes past ASCII stand in runs of two or more, as in words of Asian and Cyrillic letters.

    In a language of Latin letters most of them stand alone. Katakana in Shift-JIS alternate with ASCII.
    """
    runs = re.findall(rb"[\x80-\xff]+", data)
    paired = sum(len(run) for run in runs if len(run) > 1)
    kana = len(re.findall(rb"\x83[\x40-\x96]", data))
    return paired + 2 * kana > 0.8 * sum(map(len, runs))


def _decoded(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c.isspace() or c == "\u200d" for c in text) else None


def _share(text: str, ranges: Sequence[tuple[str, str]]) -> float:
    """Return the share of characters of some ranges among those that are not ASCII."""
    others = [c for c in text if not c.isascii()]
    return sum(any(first <= c <= last for first, last in ranges) for c in others) / len(others) if others else 0.0
