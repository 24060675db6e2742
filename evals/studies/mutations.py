"""Change files at random as accidents and attackers do: bytes, values of JSON, cells of tables, members of archives."""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from random import Random
from typing import Any

Files = Mapping[str, bytes]
"""The files of one input, keyed by name."""

_CHARACTERS = (*"\0\t\r\x85\u200d\u2028\u202e\ufeff\ud800İß", "\x1b[2J", "👨‍👩‍👧")
_NUMBERS = ("9" * 400, "1e400", "NaN", "Infinity", "-0", "-1", "1e-400", "²", "½", "٣", "Ⅷ", "1_000", "0x1F", "null")
_DATES = ("0001-01-01", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "2024-02-30", "24:60", "10000-01-01")
_SYNTAX = r"""{ } [] {} ( ) ' " "" | :: == \ \ud800 \u0000 <b> &#xD800; &#x110000; {x} {0} %s%n $(x) ../ =cmd()"""
_DEEP = ("[" * 5000, '{"a":' * 3000, "(" * 300, "/more ")
HOSTILE: tuple[bytes, ...] = (
    *(text.encode("utf-8", "surrogatepass") for text in (*_CHARACTERS, *_NUMBERS, *_DATES, *_SYNTAX.split(), *_DEEP)),
    *(b"\xff\xfe", b"\x80", b"\xe2\x82"),
)
"""What is put into texts."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**400, -(10**20), 1e308, -0.0, float("nan"), float("inf"), 0.5),
    *("", " ", "x", "\0", "\ud800", "²", "9" * 400, "NaN", "2020-01-01", "{x}", "x" * 5000),
    *([], {}, [[]], [None], [{}], {"": None}, {"x": [1]}, ["x"] * 300, [0, 1]),
)
"""What takes the place of a value of JSON."""
LONG_LINE = b"x" * 10_000_000
P_LONG_LINE, P_LOST_FILE, P_UNPACKED, P_COLUMN = 0.002, 0.02, 0.7, 0.5
"""Probabilities: of a very long line, of a file that is absent or empty, that an archive is changed inside, and that a
column of Parquet is changed as a whole."""
MOST_CHANGES = 6


def mutated(seeds: Sequence[Files], draw: Random) -> dict[str, bytes]:
    """Return one of the inputs with changes in one of its files.

    Example:
        >>> changed = mutated([{"a.csv": b"user,item"}, {"b.csv": b"1,2"}], Random(0))
        >>> changed == mutated([{"a.csv": b"user,item"}, {"b.csv": b"1,2"}], Random(0))
        True
    """
    files = dict(draw.choice(seeds))
    name = draw.choice(sorted(files))
    if draw.random() < P_LOST_FILE:
        return {other: data for other, data in files.items() if other != name} | (
            {name: b""} if draw.random() < 0.5 else {}
        )
    others = [data for seed in seeds for other, data in seed.items() if _suffix(other) == _suffix(name)]
    for _ in range(draw.randint(1, draw.choice((1, 2, MOST_CHANGES)))):
        files[name] = _changed_file(files[name], draw, draw.choice(others))
    return files


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _changed_file(data: bytes, draw: Random, other: bytes) -> bytes:
    """Change a file, an archive most often inside so that its checksums hold."""
    if draw.random() < P_UNPACKED:
        try:
            if data.startswith(b"\x1f\x8b"):
                return gzip.compress(_changed(gzip.decompress(data), draw, other), 1, mtime=0)
            if data.startswith(b"PK"):
                return _changed_archive(data, draw)
            if data.startswith(b"PAR1"):
                return _changed_parquet(data, draw)
        # An earlier change may have broken the archive, or the change has no place in it.
        except (
            OSError,
            EOFError,
            ValueError,
            TypeError,
            ArithmeticError,
            LookupError,
            RuntimeError,
            zipfile.BadZipFile,
        ):
            pass
        except zlib.error:
            pass
    return _changed(data, draw, other)


def _changed_archive(data: bytes, draw: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = draw.choice(sorted(members))
    members[chosen] = _changed(members[chosen], draw, members[draw.choice(sorted(members))])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return packed.getvalue()


def _changed_parquet(data: bytes, draw: Random) -> bytes:
    """Change single values, or replace all values of a column by another."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(data))
    if draw.random() < P_COLUMN:
        number = draw.randrange(table.num_columns)
        values = pyarrow.array([draw.choice(VALUES)] * table.num_rows)
        changed = table.set_column(number, draw.choice(table.column_names), values)
    else:
        rows = json.dumps(table.to_pylist(), default=str).encode()
        changed = pyarrow.Table.from_pylist([dict(row) for row in json.loads(_json_changed(rows, draw, b""))])
    packed = io.BytesIO()
    pyarrow.parquet.write_table(changed, packed)
    return packed.getvalue()


def _changed(data: bytes, draw: Random, other: bytes) -> bytes:
    """Change the bytes, or what they mean as JSON or as a table."""
    if draw.random() < P_LONG_LINE:
        at = draw.randint(0, len(data))
        return data[:at] + LONG_LINE + data[at:]
    changes: list[Callable[[bytes, Random, bytes], bytes]] = [draw.choice(_BYTES)]
    if b"{" in data or b"[" in data:
        changes += [_json_changed, _json_line_changed]
    if data.count(b"\n") > 1:
        changes += [draw.choice(_LINES)]
    for change in draw.sample(changes, len(changes)):
        try:
            return change(data, draw, other)
        except (ValueError, RecursionError):  # no JSON any more: another change is made
            continue
    return data


def _cut(data: bytes, draw: Random) -> tuple[int, int]:
    """Return the bounds of a piece, most often a short one."""
    start = draw.randint(0, len(data))
    return start, min(len(data), start + draw.choice((1, 1, 2, 8, 64, len(data))))


def _flipped(data: bytes, draw: Random, other: bytes) -> bytes:
    flipped = bytearray(data or b"\0")
    for _ in range(draw.choice((1, 1, 4, 16))):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def _without_piece(data: bytes, draw: Random, other: bytes) -> bytes:
    start, end = _cut(data, draw)
    return data[:start] + data[end:]


def _repeated_piece(data: bytes, draw: Random, other: bytes) -> bytes:
    start, end = _cut(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 3, 20)) + data[end:]


def _spliced(data: bytes, draw: Random, other: bytes) -> bytes:
    start, end = _cut(other, draw)
    return data[: draw.randint(0, len(data))] + other[start:end] + data[draw.randint(0, len(data)) :]


def _with_token(data: bytes, draw: Random, other: bytes) -> bytes:
    start, end = _cut(data, draw)
    return data[:start] + draw.choice(HOSTILE) + data[draw.choice((start, end)) :]


_BYTES = (_flipped, _without_piece, _repeated_piece, _spliced, _with_token, _with_token, _with_token)


def _json_line_changed(data: bytes, draw: Random, other: bytes) -> bytes:
    lines = data.split(b"\n")
    number = draw.randrange(len(lines))
    lines[number] = _json_changed(lines[number], draw, other)
    return b"\n".join(lines)


def _json_changed(data: bytes, draw: Random, other: bytes) -> bytes:
    """Remove, rename, move or replace a value of a JSON document."""
    document = json.loads(data)
    spots = list(_spots(document))
    if not spots:
        return json.dumps(draw.choice(VALUES)).encode()
    values, key = draw.choice(spots)
    change = draw.randrange(6)
    if change == 0:
        del values[key]
    elif change == 1 and isinstance(values, dict):
        values[draw.choice(HOSTILE).decode("utf-8", "replace")] = values.pop(key)
    elif change == 2:
        from_values, from_key = draw.choice(spots)
        values[key] = deepcopy(from_values[from_key])
    elif change == 3 and isinstance(values, list):
        values *= draw.choice((0, 2, 50))
    else:
        values[key] = deepcopy(draw.choice(VALUES))
    return json.dumps(document, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def _spots(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a value, as the list or object that holds it and its position or name."""
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from _spots(document[key])


def _columns_changed(data: bytes, draw: Random, other: bytes) -> bytes:
    """Remove, repeat, exchange or blank a column, or change a single cell or the length of a row."""
    lines = data.split(b"\n")
    separator = max((b",", b"\t", b";", b"|", b"::"), key=lines[0].count)
    rows = [line.split(separator) for line in lines]
    column, another = (draw.randrange(max(len(rows[0]), 1)) for _ in range(2))
    change, chosen = draw.randrange(7), draw.randrange(len(rows))
    for number, row in enumerate(rows):
        if max(column, another) >= len(row):
            continue
        if change == 0:
            del row[column]
        elif change == 1:
            row.insert(another, row[column])
        elif change == 2:
            row[column], row[another] = row[another], row[column]
        elif change == 3 and number:
            row[column] = draw.choice((b"", b"NaN", b"-"))
        elif number == chosen:
            row[column : column + draw.choice((0, 1, 1, 1, 5))] = [draw.choice(HOSTILE)] * draw.choice((0, 1, 1, 1, 30))
    return b"\n".join(separator.join(row) for row in rows)


def _rows_changed(data: bytes, draw: Random, other: bytes) -> bytes:
    """Remove, repeat or shuffle lines, or change how they end."""
    lines = data.split(b"\n")
    start, end = sorted(draw.randint(0, len(lines)) for _ in range(2))
    change = draw.randrange(4)
    if change == 0:
        lines[start:end] = []
    elif change == 1:
        lines[start:start] = lines[start:end]
    elif change == 2:
        draw.shuffle(lines)
    return draw.choice((b"\r\n", b"\r", b"\n\n") if change == 3 else (b"\n",)).join(lines)


_LINES = (_columns_changed, _columns_changed, _rows_changed)
