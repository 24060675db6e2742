"""Mutated files of every adapter: no traceback, and no row is lost in silence."""

import json
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.staged import staged

MUTATIONS = int(os.environ.get("WHIMBREL_MUTATIONS", "60"))
"""Mutated files of each adapter. 5,000 were tried: WHIMBREL_MUTATIONS=5000 pytest tests/tools/sources/test_mutated_files.py."""


def _bytes_of(folder: Path, write: Callable[[Path], object], name: str) -> bytes:
    write(folder / name)
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def originals(
    containers: Mapping[str, Callable[[Path], object]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("originals")
    mind = "\t".join(["N1", "news", "world", "A title", "Words", "", "[]", "[]"])
    shown = "\t".join(["1", "U1", "11/11/2019 9:05:58 AM", "N1", "N1-1 N1-0"])
    review = {"reviewerID": "A1", "asin": "B00005N5PF", "overall": 5.0, "unixReviewTime": 1369699200}
    meta = {"asin": "B00005N5PF", "title": "Bird", "category": ["Toys"], "price": "$5.00"}
    return {
        **{
            name: {name: _bytes_of(folder, containers[name], name)}
            for name in ("a.csv", "b.tsv", "c.jsonl", "d.json", "e.parquet")
        },
        "movielens": {
            "ratings.csv": b"userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n2,2,4,1112486028\n",
            "movies.csv": b"movieId,title,genres\n2,Jumanji (1995),Adventure|Children\n",
        },
        "amazon": {
            "Toys.json": "\n".join(json.dumps(review | {"unixReviewTime": 1369699200 + n}) for n in range(9)).encode(),
            "meta_Toys.json": json.dumps(meta).encode(),
        },
        "mind": {"news.tsv": (mind + "\n").encode(), "behaviors.tsv": (shown + "\n" + shown).encode()},
    }


def _mutated(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        position = draw.randrange(len(changed)) if changed else 0
        kind = draw.randrange(6)
        junk = draw.choice(
            [
                b'"',
                b"\n",
                b"\r",
                b"\x00",
                b"\xff\xfe",
                b",",
                b";",
                b"\t",
                b"NaN",
                b"\\",
                b"[",
                b"'",
                b"&amp;",
                b"\xe2\x80\x8d",
                b"1e999",
                b"{",
            ]
        )
        if kind == 0:
            changed[position : position + 1] = junk
        elif kind == 1:
            changed[position:position] = junk * draw.randint(1, 5)
        elif kind == 2:
            del changed[position : position + draw.randint(1, 40)]
        elif kind == 3:
            changed[position:position] = changed[position : position + draw.randint(1, 200)]
        elif kind == 4:
            changed[position : position + 4] = bytes(draw.randrange(256) for _ in range(4))
        else:
            del changed[position:]
    return bytes(changed)


@pytest.mark.parametrize("name", ["a.csv", "b.tsv", "c.jsonl", "d.json", "e.parquet", "movielens", "amazon", "mind"])
def test_a_mutated_file_loses_no_row_in_silence(
    name: str, originals: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    refusals: list[str] = []

    @settings(
        max_examples=MUTATIONS,
        deadline=None,
        database=None,
        derandomize=MUTATIONS < 1000,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        draw, folder = random.Random(seed), tmp_path_factory.mktemp("mutated")
        files = originals[name]
        for file, data in files.items():
            (folder / file).write_bytes(_mutated(data, draw) if len(files) == 1 or draw.random() < 0.7 else data)
        path = folder / name if len(files) == 1 else folder
        given_format = name if len(files) > 1 else None
        try:
            with staged(open_source(str(path), format=given_format)) as staging:
                counts = staging.counts
                repeated = counts.valid - staging.events
                assert repeated >= 0
                assert counts.rows == staging.events + repeated + counts.rejected + counts.catalogue
                assert sum(count for _, count, _ in staging.reject_reasons()) == counts.rejected
                assert len(list(staging.rejects())) == counts.rejected
                list(staging.items(staging.spelling(())))
        except WhimbrelError as error:
            refusals.append(str(error))

    check()
    assert not [refusal for refusal in refusals if not refusal.isprintable()]
