"""One table in every container."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROWS = [
    {"user": n % 5, "product": {"id": 100 + n % 7, "name": f"Thing, {n % 7}"}, "category": "A|B" if n % 2 else "C", "price": n % 7 + 0.5,
     "when": f"2024-01-{n % 27 + 1:02}T10:00:00Z"}
    for n in range(80)
]  # fmt: skip
FLAT = [{**{k: v for k, v in row.items() if k != "product"}, "product.id": row["product"]["id"], "product.name": row["product"]["name"]} for row in ROWS]  # type: ignore[index]  # fmt: skip


def _delimited(path: Path, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(FLAT[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(FLAT)


def _pandas(path: Path) -> None:
    import pandas as pd

    pd.DataFrame(FLAT).to_parquet(path)


def _duckdb(path: Path) -> None:
    import duckdb
    import pandas as pd

    frame = pd.DataFrame(FLAT)
    duckdb.register("frame", frame)
    duckdb.sql(f"copy (select * from frame) to '{path}' (format parquet)")


def _nested(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), path)


def _spark(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir()
    for number, part in enumerate((FLAT[:30], FLAT[30:])):
        pq.write_table(pa.Table.from_pylist(part), path / f"part-0000{number}-c000.snappy.parquet")
    (path / "_SUCCESS").touch()
    (path / ".part-00000.crc").write_bytes(b"x")


CONTAINERS: Mapping[str, Callable[[Path], object]] = {
    "a.csv": lambda path: _delimited(path, ","),
    "b.tsv": lambda path: _delimited(path, "\t"),
    "c.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, ROWS))),
    "d.json": lambda path: path.write_text(json.dumps(ROWS)),
    "e.parquet": _pandas,
    "f.parquet": _duckdb,
    "g.parquet": _nested,
    "h-parts": _spark,
}


@pytest.fixture(scope="session")
def containers() -> Mapping[str, Callable[[Path], object]]:
    """Functions that write the same 80 rows to a path, keyed by the name of the file or folder."""
    return CONTAINERS
