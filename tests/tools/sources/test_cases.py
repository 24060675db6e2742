"""Small logs that went wrong elsewhere, each with its right value. They are found beside the real logs."""

import os
from pathlib import Path

import pytest

from whimbrel.tools.errors import DataError
from whimbrel.tools.event_meanings import parse_events
from whimbrel.tools.records import Interaction, rejected_ids
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.table_options import TableOptions, parse_map
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso

CASES = Path(os.environ.get("WHIMBREL_DATA", "../shared/data")).resolve().parent / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}: set WHIMBREL_DATA to the real logs")


def read(name: str, store: Path, *mapped: str, **options: object) -> Ingested:
    given = TableOptions(parse_map(mapped), **options)  # type: ignore[arg-type]
    return ingest(open_source(str(CASES / name), options=given), store)


def histories(store: Path) -> dict[str, list[Interaction]]:
    with open_store(store) as opened:
        return {user_id: opened.history(user_id) for user_id in sorted(opened.log.user_ids)}


def events_of(store: Path) -> list[Interaction]:
    return [event for history in histories(store).values() for event in history]


def test_ids_that_a_gap_made_floats_are_those_of_the_other_file(tmp_path: Path) -> None:
    read("01-float-ids/january.csv", tmp_path / "s")
    read("01-float-ids/february.csv", tmp_path / "s")
    assert [len(history) for history in histories(tmp_path / "s").values()] == [12] * 8


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_dates_as_integers_are_dates_in_every_container(name: str, tmp_path: Path) -> None:
    done = read(f"02-int-dates/{name}", tmp_path / "s")
    assert done.span is not None
    assert [iso(time) for time in done.span] == ["2014-01-02T00:00:00Z", "2014-01-27T00:00:00Z"]


def test_a_bare_day_number_is_refused_with_the_reason(tmp_path: Path) -> None:
    name = "02-int-dates/clickhouse_date.parquet"
    with pytest.raises(DataError, match=r"16072 .* January 1970.* --time-format days"):
        read(name, tmp_path / "s")
    done = read(name, tmp_path / "s", time_format="days")
    assert done.span is not None
    assert iso(done.span[0]) == "2014-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("name", "options"), [("python_list.csv", {}), ("json_list.csv", {}), ("comma.csv", {"split": ","})]
)
def test_a_list_in_a_cell_is_several_topics(name: str, options: dict[str, str], tmp_path: Path) -> None:
    done = read(f"04-list-as-text/{name}", tmp_path / "s", **options)
    assert not done.warnings
    assert {len(event.topics) for event in events_of(tmp_path / "s")} == {2}


@pytest.mark.parametrize(("name", "split"), [("comma.csv", ","), ("path.csv", ">")])
def test_a_text_that_looks_like_several_topics_is_told(name: str, split: str, tmp_path: Path) -> None:
    done = read(f"04-list-as-text/{name}", tmp_path / "s")
    assert any(f"--split '{split}'" in warning for warning in done.warnings)
    assert {len(event.topics) for event in events_of(tmp_path / "s")} == {1}


@pytest.mark.parametrize(
    "name",
    [
        "05-decimal-ids/log.parquet",
        "06-nan-polars/log.parquet",
        "06-nan-polars/log_na.csv",
        "16-empty-columns/log.csv",
        "16-empty-columns/dup_other.csv",
        "21-utc-suffix/log.csv",
        "23-long-title/log.csv",
        "44-prices/usd.csv",
        "44-prices/eur.csv",
        "47-compact-times/log.csv",
        "47-compact-times/ns.csv",
        "47-compact-times/uci.csv",
        "47-compact-times/goodreads.csv",
        "13-zwnj/log.csv",
        "32-headerless/quotes.tsv",
    ],
)
def test_all_96_events_of_8_users_are_read(name: str, tmp_path: Path) -> None:
    done = read(name, tmp_path / "s")
    assert (done.rows, done.events, done.users, done.items, done.rejected) == (96, 96, 8, 14, 0)
    assert done.span is not None
    assert iso(done.span[0]).startswith("2014-01-02")


def test_nan_is_no_price_no_rating_and_no_topic(tmp_path: Path) -> None:
    for name in ("log.parquet", "log_na.csv"):
        read(f"06-nan-polars/{name}", tmp_path / name)
        assert {event.rating for event in events_of(tmp_path / name)} == {None, 4.0}
    done = read("07-nan-jsonl/log.jsonl", tmp_path / "s")
    assert (done.events, done.rejected) == (87, 9)
    assert "nan" not in {event.title.casefold() for event in events_of(tmp_path / "s")}


def test_joiners_stay_in_titles(tmp_path: Path) -> None:
    read("13-zwnj/log.csv", tmp_path / "s")
    source = (CASES / "13-zwnj/log.csv").read_text("utf-8")
    assert all(event.title in source for event in events_of(tmp_path / "s"))
    assert any("\u200c" in event.title for event in events_of(tmp_path / "s"))


def test_who_only_removed_an_item_did_not_choose_it(tmp_path: Path) -> None:
    read("20-remove-from-cart/log.csv", tmp_path / "s")
    removed = [
        history for history in histories(tmp_path / "s").values() if {e.event for e in history} == {"remove_from_cart"}
    ]
    assert removed
    for history in removed:
        assert {event.meaning for event in history} == {"turned-away"}
        assert set(rejected_ids(history)) == {event.item_id for event in history}


def test_a_long_title_is_cut(tmp_path: Path) -> None:
    done = read("23-long-title/log.csv", tmp_path / "s")
    assert max(len(event.title) for event in events_of(tmp_path / "s")) <= 500
    assert done.mended["title cut: longer than 500 characters"] > 0


def test_the_error_names_an_encoding_and_with_it_all_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--encoding cp1252"):
        read("26-latin1/log.csv", tmp_path / "s")
    done = read("26-latin1/log.csv", tmp_path / "s", encoding="latin-1")
    assert (done.events, done.rejected) == (96, 0)
    assert "Théière émaillée" in {event.title for event in events_of(tmp_path / "s")}


@pytest.mark.parametrize("name", ["plays.tsv", "plays4.tsv"])
def test_a_missing_header_is_told_and_costs_no_event(name: str, tmp_path: Path) -> None:
    done = read(f"32-headerless/{name}", tmp_path / "s")
    assert (done.rows, done.events) == (96, 96)
    assert any("no header" in warning and "--no-header" in warning for warning in done.warnings)
    title = "6" if name == "plays.tsv" else "4"
    given = read(f"32-headerless/{name}", tmp_path / "t", "1=user_id", "2=time", f"{title}=title", header=False)
    assert given.events == 96
    assert {event.title for event in events_of(tmp_path / "t")} == {event.title for event in events_of(tmp_path / "s")}


def test_marks_at_odd_places_are_letters(tmp_path: Path) -> None:
    read("32-headerless/quotes.tsv", tmp_path / "s")
    assert {'"Desk lamp', '"Heroes" kettle', '12" trowel'} <= {event.title for event in events_of(tmp_path / "s")}


def test_codes_of_behaviour_are_the_same_from_every_container(tmp_path: Path) -> None:
    for name in ("log.csv", "log.parquet"):
        done = read(f"43-numeric-events/{name}", tmp_path / name)
        assert set(done.event_words) == {"0", "1", "2", "3"}
        assert any("--events" in warning for warning in done.warnings)
    csv, parquet = (events_of(tmp_path / name) for name in ("log.csv", "log.parquet"))
    assert csv == parquet
    done = ingest(
        open_source(str(CASES / "43-numeric-events/log.csv")),
        tmp_path / "log.csv",
        meanings=parse_events(["3=turned-away"]),
    )
    assert {event.meaning for event in events_of(tmp_path / "log.csv") if event.event == "3"} == {"turned-away"}


def test_prices_of_any_country_are_read(tmp_path: Path) -> None:
    for name, prices in (("eur.csv", {9.9}), ("usd.csv", {9.9, 1299.0})):
        read(f"44-prices/{name}", tmp_path / name)
        assert {event.price for event in events_of(tmp_path / name)} <= prices


def test_a_flag_is_a_rating_in_every_container(tmp_path: Path) -> None:
    for name in ("log.csv", "log.jsonl"):
        read(f"50-recommend-flag/{name}", tmp_path / name, "recommended=rating")
    csv, jsonl = (events_of(tmp_path / name) for name in ("log.csv", "log.jsonl"))
    assert csv == jsonl
    assert {event.rating for event in csv} == {0.0, 1.0}
