"""Formats of other packages come by entry points."""

import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

from whimbrel.tools.errors import ConfigError
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
    assert format_names() == [*FORMATS, "absent", "lines", "nothing"]
    with pytest.raises(ConfigError, match=r"unknown format 'xml': give one of completejourney, .*, lines, nothing"):
        open_source("log.txt", format="xml")


def test_another_package_cannot_replace_a_format(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,title,time\nu,Tea,2020-01-01\n")
    assert [row.fields["title"] for row in open_source(str(log), format="csv").rows] == ["Tea"]


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
