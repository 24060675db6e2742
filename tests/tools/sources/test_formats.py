"""Formats: recognised by names and first lines, and added by other packages."""

import gzip
import json
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.sources.formats import FORMATS, format_names, open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.store.store import open_store


@pytest.fixture(autouse=True)
def _a_package_with_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_lines(path: str) -> Source:
        rows = [
            Row("lines", number, {"user_id": "u", "title": title, "time": number})
            for number, title in enumerate(Path(path).read_text().splitlines(), start=1)
        ]
        return Source("lines", iter(rows))

    package = types.ModuleType("line_formats")
    vars(package).update(read_lines=read_lines, read_nothing=lambda path: None)
    monkeypatch.setitem(sys.modules, "line_formats", package)
    values = {
        "lines": "line_formats:read_lines",
        "nothing": "line_formats:read_nothing",
        "absent": "line_formats:read_absent",
        "broken": "broken_formats:read",
        "csv": "line_formats:read_nothing",
    }
    fakes = metadata.EntryPoints(metadata.EntryPoint(name, value, "whimbrel.sources") for name, value in values.items())
    monkeypatch.setattr(metadata, "entry_points", fakes.select)


def test_a_named_format_of_another_package_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("Tea\nBread\n")
    ingest(open_source(str(log), format="lines"), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        assert [event.title for event in store.history("u")] == ["Tea", "Bread"]


def test_an_unknown_format_lists_those_of_other_packages() -> None:
    assert format_names() == [*FORMATS, "absent", "broken", "lines", "nothing"]
    with pytest.raises(ConfigError, match=r"unknown format 'xml': give one of completejourney, .*, lines, nothing"):
        open_source("log.txt", format="xml")


def test_another_package_cannot_replace_a_format(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,title,time\nu,Tea,2020-01-01\n")
    (batch,) = open_source(str(log), format="csv").batches()
    assert list(batch.columns["title"]) == ["Tea"]


@pytest.mark.parametrize(
    ("format", "mapped", "words"),
    [
        ("lines", [("a", "title")], "lines has columns of its own"),
        ("absent", [], "'absent' cannot be loaded from 'line_formats:read_absent'"),
        ("nothing", [], "returned NoneType, expected a Source"),
    ],
)
def test_a_format_that_cannot_be_used_says_why(format: str, mapped: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_source("log.txt", format=format, mapped=mapped)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise RuntimeError('half installed')", "cannot be loaded from 'broken_formats:read' .RuntimeError"),
        ("1 +", "cannot be loaded from 'broken_formats:read' .SyntaxError"),
        ("read = 5", "'broken_formats:read' failed .TypeError"),
        ("def read(path): 1 / 0", "'broken_formats:read' failed .ZeroDivisionError"),
    ],
)
def test_a_package_that_fails_is_named(
    module: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_formats.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_formats", raising=False)
    with pytest.raises(WhimbrelError, match=words):
        open_source("log.txt", format="broken")


REVIEW = {"user_id": "AGKH", "parent_asin": "B00005N5PF", "rating": 4.0, "timestamp": 1588687728923}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"Toys.jsonl.gz": json.dumps(REVIEW)}, "amazon"),
        ({"Toys.csv": "B00005N5PF,A9,4.0,1369699201"}, "amazon"),
        ({"news.tsv.gz": "", "behaviors.tsv": ""}, "mind"),
        ({"movies.csv": "movieId,title,genres", "ratings.csv": "userId,movieId,rating,timestamp"}, "movielens"),
        ({"movies.dat": "", "ratings.dat": ""}, "movielens"),
    ],
)
def test_the_format_of_a_folder_is_recognised(files: dict[str, str], name: str, tmp_path: Path) -> None:
    for file, text in files.items():
        data = text.encode()
        (tmp_path / file).write_bytes(gzip.compress(data) if file.endswith(".gz") else data)
    with pytest.raises(ConfigError, match=f"{name} has columns of its own"):
        open_source(str(tmp_path), format=name, mapped=[("a", "title")])
    guessed, named = open_source(str(tmp_path)), open_source(str(tmp_path), format=name)
    assert (guessed.total, list(guessed.rows)) == (named.total, list(named.rows))


def test_a_table_is_no_review_and_a_review_with_mapped_columns_is_a_table(tmp_path: Path) -> None:
    table, reviews = tmp_path / "table.jsonl", tmp_path / "reviews.jsonl"
    table.write_text(json.dumps({"user_id": "u", "title": "T", "time": 5}))
    (batch,) = open_source(str(table)).batches()
    assert batch.columns == {"user_id": ["u"], "title": ["T"], "time": ["5"]}
    reviews.write_text(json.dumps(REVIEW))
    (row,) = open_source(str(reviews)).rows
    assert row.fields["time"] == REVIEW["timestamp"] / 1000
    (batch,) = open_source(str(reviews), mapped=[("timestamp", "time")]).batches()
    assert batch.columns["time"] == [str(REVIEW["timestamp"])]


def test_a_source_of_no_format_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data files"):
        open_source(str(tmp_path))
    (tmp_path / "mixed").mkdir()
    for name in ("a.csv", "b.xml"):
        (tmp_path / "mixed" / name).write_text("user_id,title,time\n")
    with pytest.raises(ConfigError, match="cannot tell the format of the folder"):
        open_source(str(tmp_path / "mixed"))
    with pytest.raises(DataError, match="no file or folder at"):
        open_source(str(tmp_path / "absent"))
    (tmp_path / "log.parquet.gz").write_bytes(b"")
    with pytest.raises(DataError, match="unpack it with gunzip first"):
        open_source(str(tmp_path / "log.parquet.gz"))
