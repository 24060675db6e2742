"""A log and its catalogue in two files, and the typed facts of the items."""

import json
from pathlib import Path

import pytest

from whimbrel.agent import Agent
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.formats import open_source, open_source_with_items
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.table_options import parse_map
from whimbrel.tools.store.store import open_store

CLICKS = "user_id,film,time,rating\na,f1,2024-01-01,4\na,f2,2024-01-02,5\nb,f2,2024-01-03,3\n"
FILMS = [
    {"film": "f1", "name": "Up", "genres": ["Family"], "minutes": 96, "rating": 8.2, "on": ["Hulu"]},
    {"film": "f2", "name": "Heat", "genres": ["Crime"], "minutes": 170, "rating": 8.3, "on": []},
    {"film": "f3", "name": "Nobody saw it", "genres": ["Crime"], "minutes": 88, "rating": 2.5, "on": ["Hulu"]},
]
MAP = ["film=item_id", "name=title", "genres=topics", "minutes=field.minutes", "rating=field.rating", "on=field.on"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    log, items = tmp_path / "clicks.csv", tmp_path / "films.jsonl"
    log.write_text(CLICKS)
    items.write_text("".join(json.dumps(film) + "\n" for film in FILMS))
    return str(log), str(items)


def ingested(log: str, items: str, store: Path, *pairs: str) -> Ingested:
    return ingest(open_source_with_items(log, items, mapped=parse_map(pairs or MAP)), store)


def test_events_and_facts_meet(files: tuple[str, str], tmp_path: Path) -> None:
    done = ingested(*files, tmp_path / "s")
    assert (done.events, done.catalogue, done.items, done.rejected) == (3, 3, 3, 0)
    with open_store(tmp_path / "s") as store:
        up, heat = store.items(["f1"])["f1"], store.items(["f2"])["f2"]
        assert (up.title, up.topics, up.fact("minutes"), up.fact("on")) == ("Up", ("Family",), 96.0, ("Hulu",))
        assert heat.fact("rating") == 8.3
        assert [event.rating for event in store.history("a")] == [4.0, 5.0]


def test_reading_both_files_again_changes_nothing(files: tuple[str, str], tmp_path: Path) -> None:
    ingested(*files, tmp_path / "s")
    again = ingested(*files, tmp_path / "s")
    assert (again.new_events, again.new_items) == (0, 0)


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_catalogue_may_be_a_json_list_or_csv(files: tuple[str, str], tmp_path: Path, suffix: str) -> None:
    items = tmp_path / f"films.{suffix}"
    rows = [f"{f['film']},{f['name']},Crime|Drama,{f['minutes']},{f['rating']},Hulu|Netflix" for f in FILMS]
    table = "\n".join(["film,name,genres,minutes,rating,on", *rows])
    items.write_text(json.dumps(FILMS) if suffix == "json" else table)
    ingested(files[0], str(items), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        item = store.items(["f1"])["f1"]
        assert item.fact("minutes") == 96.0
        assert item.fact("on") == (("Hulu",) if suffix == "json" else ("Hulu", "Netflix"))


def test_an_item_that_no_event_names_is_recommended_if_it_fits(files: tuple[str, str], tmp_path: Path) -> None:
    ingested(*files, tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        conditions = [
            {"field": "topics", "op": "contains", "value": "crime"},
            {"field": "on", "op": "contains", "value": "hulu"},
        ]
        listed = agent.recommend("a", context={"conditions": conditions}, k=3).recommendations
        assert [entry.title for entry in listed] == ["Nobody saw it"]
        nothing = agent.recommend("a", context={"conditions": [{"field": "minutes", "op": "<", "value": 9}]}, k=3)
        assert nothing.recommendations == ()


def test_a_column_that_neither_file_has_is_an_error(files: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither .*films\.jsonl' has a column 'length'"):
        ingested(*files, tmp_path / "s", *MAP, "length=field.length")


def test_a_catalogue_that_cannot_be_read_is_an_error(files: tuple[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"not": "a list"}')
    with pytest.raises(DataError, match="not a JSON list"):
        ingested(files[0], str(broken), tmp_path / "s")
    with pytest.raises(DataError, match="no file"):
        ingested(files[0], str(tmp_path / "absent.csv"), tmp_path / "s")


def test_facts_may_be_columns_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "sales.csv"
    log.write_text("user_id,title,time,weight\na,Tea,2024-01-01,250\n")
    ingest(open_source(str(log), mapped=parse_map(["weight=field.weight"])), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        assert [event.fact("weight") for event in store.history("a")] == [250.0]
