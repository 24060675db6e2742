"""Messy exports of shops: what is guessed, merged and refused, and hostile files."""

import csv
import json
import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.sources.formats import open_source, open_source_with_items
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.staged import staged
from whimbrel.tools.sources.table_options import TableOptions
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso


def read(path: Path, store: Path, **options: object) -> Ingested:
    return ingest(open_source(str(path), options=TableOptions(**options)), store)  # type: ignore[arg-type]


def test_a_messy_export_is_read_by_one_command(tmp_path: Path) -> None:
    berlin, draw = ZoneInfo("Europe/Berlin"), random.Random(0)
    products = [
        ("007", "Gießkanne &amp; Brause", 1299.0, "Garten"),
        ("008", "绿茶", 9.9, ""),
        ("009", "Wool socks", 12.5, "Kleidung"),
    ]
    prices = {1299.0: "€ 1.299,00", 9.9: "9,90 €", 12.5: "12,50"}
    spellings = {
        "Garten": ["Garten", "Garten", "Garten", "GARTEN", " garten "],
        "": ["", "-", "N/A"],
        "Kleidung": ["Kleidung"],
    }
    rows, expected = [], dict[str, list[tuple[str, str]]]()
    start = datetime(2024, 3, 20, 8, 30, tzinfo=berlin)
    for number in range(300):
        moment = (start + timedelta(hours=7 * number)).astimezone(berlin)
        sku, name, price, shelf = products[number % 3]
        customer = f"K{number % 11}"
        rows.append(
            [
                customer,
                sku,
                name,
                draw.choice(spellings[shelf]),
                prices[price],
                moment.strftime("%d.%m.%Y %H:%M"),
                "",
                "",
            ]
        )
        expected.setdefault(customer, []).append((sku, iso(moment.astimezone(UTC).timestamp())))
    again = draw.sample(rows, 15)
    path = tmp_path / "export.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["KUNDE Nr.", "artikelNR", "Bezeichnung", "Warengruppe", "Preis (€)", "Bestelldatum", "", ""])
        writer.writerows(rows + again)
    done = read(path, tmp_path / "s", timezone="Europe/Berlin")
    assert (done.rows, done.events, done.repeated, done.rejected, done.items) == (315, 300, 15, 0, 3)
    with open_store(tmp_path / "s") as store:
        items = store.items(["007", "008", "009"])
        for user_id, events in expected.items():
            assert [(event.item_id, iso(event.time)) for event in store.history(user_id)] == events
    assert {(item.title, item.price) for item in items.values()} == {
        ("Gießkanne & Brause", 1299.0),
        ("绿茶", 9.9),
        ("Wool socks", 12.5),
    }
    assert (items["007"].topics, items["008"].topics) == (("Garten",), ())


def test_facts_are_those_of_the_majority_up_to_a_moment(tmp_path: Path) -> None:
    head, path = "user_id,item_id,title,topics,time\n", tmp_path / "a.csv"
    names = ["Tea", "Tea", "TEE", "Tea", "Green tea", "Green tea", "Green tea", "Green tea"]
    lines = [f"u,1,{name},{'Drinks' if n else 'Drink'},2024-01-{n + 1:02}" for n, name in enumerate(names)]
    path.write_text(head + "\n".join(lines) + "\n")
    read(path, tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        now, then = store.items(["1"])["1"], store.items(["1"], before=1_704_412_800.0)["1"]  # 5 January 2024
        assert (now.title, now.topics) == ("Green tea", ("Drinks",))
        assert (then.title, then.topics) == ("Tea", ("Drinks",))
        assert [event.title for event in store.history("u", before=1_704_412_800.0)] == ["Tea"] * 4


def test_months_read_one_after_the_other_are_as_one_file(tmp_path: Path) -> None:
    head = "user_id,item_id,title,price,time\n"
    january = [f"u,1,Old name,1,2024-01-0{day}\n" for day in range(1, 6)]
    february = [f"u,1,New name,9,2024-02-0{day}\n" for day in range(1, 9)]
    for name, lines in (("jan", january), ("feb", february), ("both", january + february)):
        (tmp_path / f"{name}.csv").write_text(head + "".join(lines))
    for name in ("jan", "feb", "feb", "jan"):
        read(tmp_path / f"{name}.csv", tmp_path / "parts")
    read(tmp_path / "both.csv", tmp_path / "whole")
    for name in ("feb", "jan"):
        read(tmp_path / f"{name}.csv", tmp_path / "backwards")
    with open_store(tmp_path / "backwards") as store:
        assert store.items(["1"])["1"].title == "New name"
        assert store.items(["1"], before=1_706_000_000.0)["1"].title == "Old name"
    with open_store(tmp_path / "parts") as parts, open_store(tmp_path / "whole") as whole:
        for before in (float("inf"), 1_706_000_000.0):  # now, and in January
            assert parts.items(["1"], before=before) == whole.items(["1"], before=before)
        assert (parts.items(["1"])["1"].title, parts.items(["1"])["1"].price) == ("New name", 9)
        assert parts.items(["1"], before=1_706_000_000.0)["1"].title == "Old name"


def test_a_repeated_event_may_tell_more_about_its_item(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user_id,item_id,title,price,time\nu,i,,5,2024-02-01\nu,i,New,,2024-02-01\nu,j,Tea,,2024-02-02\n")
    done = read(path, tmp_path / "s")
    assert (done.events, done.repeated, done.rejected) == (2, 1, 0)
    with open_store(tmp_path / "s") as store:
        assert store.items(["i"])["i"].title == "New"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "half.jsonl",
            '{"user_id":"u","title":"Tea","time":"\\ud800"}\n{"user_id":"u","title":"T\\ud800","time":"2024-01-01"}',
        ),
        ("deep.csv", "user_id,title,time,topics\nu,Tea,2024-01-01," + "[" * 900 + "1" + "]" * 900 + "\n"),
        ("joiners.csv", "user_id,title,time\nu,\u200d \u200d,2024-01-01\nu,Tea,2024-01-01\n"),
        ("digits.jsonl", "{'user_id':'u','title':'Tea','time':'2024-01-01','price':0x" + "f" * 5000 + "}\n{}"),
        ("far.csv", "user_id,title,time\nu,Tea,Jan 99999999999 2024\nu,Tea,2024-01-01\n"),
        ("set.csv", "user_id,title,time,field.x\nu,Tea,2024-01-01,[{[]: 1}]\n"),
        ("slow.csv", "user_id,title,time,rating\nu,Tea,2024-01-01,1" + " " * 9000 + "x\n"),
        ("wide.csv", "user_id,title,time" + ",a" * 5000 + "\nu,Tea,2024-01-01" + "," * 5000 + "\n"),
        (
            "keys.jsonl",
            "\n".join(
                json.dumps({"user_id": "u", "title": "Tea", "time": 10**9 + n, "p": {f"k{n}": 1}}) for n in range(3000)
            ),
        ),
        ("escape.csv", "user_id,title,time,x\x1b]0;pwn\x07y\nu,Tea,2024-01-01,1\n"),
    ],
)
def test_hostile_files_do_no_harm(name: str, data: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(data, "utf-8")
    started = time.monotonic()
    try:
        with staged(open_source(str(path))) as staging:
            assert staging.counts.rows == staging.counts.valid + staging.counts.rejected
    except WhimbrelError as error:
        message = str(error)
        assert message.isprintable()
    assert time.monotonic() - started < 20


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.csv")
    with pytest.raises(WhimbrelError, match="no regular file"):
        open_source(str(tmp_path / "log.csv"))


def test_a_few_damaged_lines_leave_a_file_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"u,Café {n},2024-01-01\n".encode() for n in range(50)]
    path.write_bytes(b"user_id,title,time\n" + b"".join(lines) + "u,Café,2024-01-02\n".encode("latin-1"))
    done = read(path, tmp_path / "s")
    assert (done.events, [kind.reason for kind in done.rejections]) == (50, ["not UTF-8"])


def test_returns_need_no_event_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "Customer,Product,Date,Qty,Price\n1,Tea,2024-01-01,1,9.90\n1,Tea,2024-01-02,-1,-9.90\n1,Oil,2024-01-03,2,-R$ 5\n"
    )
    done = read(path, tmp_path / "s")
    assert done.event_words == {"return": 2, "interaction": 1}


def test_title_lines_above_the_header_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "Sales report 2024\nprinted on 1 March\n\nCustomer;Product;Order date\n1;Tea;2024-01-01\n2;Oil;2024-01-02\n"
    )
    assert read(path, tmp_path / "s").events == 2


def test_a_catalogue_is_joined_by_its_values(tmp_path: Path) -> None:
    log, items = tmp_path / "log.csv", tmp_path / "items.csv"
    log.write_text("user,product,when\n1,978-1,2024-01-01\n1,978-2,2024-01-02\n")
    items.write_text("id,EAN13,name\n1,978-1,Tea\n2,978-2,Oil\n")
    done = ingest(open_source_with_items(str(log), str(items)), tmp_path / "s")
    assert (done.events, done.items) == (2, 2)


def test_habits_keep_the_local_hour_through_summer_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    days = [datetime(2024, 2, 1) + timedelta(days=number) for number in range(120)]
    lines = [f"u{n % 3},Morning {n % 9},News,{day:%d.%m.%Y} 08:10" for n, day in enumerate(days)]
    lines += [f"u{n % 3},Evening {n % 9},Cooking,{day:%d.%m.%Y} 20:10" for n, day in enumerate(days)]
    path.write_text("user_id,title,topics,time\n" + "\n".join(lines))
    ingest(
        open_source(str(path), options=TableOptions(timezone="Europe/Berlin")), tmp_path / "s", timezone="Europe/Berlin"
    )
    with open_store(tmp_path / "s") as store:
        habits = store.habits(before=float("inf"))
        assert habits is not None
        assert [hour for hour in range(24) if habits.hours[hour].sum()] == [8, 20]


def test_a_file_that_is_wrong_throughout_is_refused_early(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user_id,title,time\n" + "u,Tea,soon\n" * 50_000)
    with pytest.raises(WhimbrelError, match=r"no valid row among the first 20,000 .* no known format"):
        read(path, tmp_path / "s")


def test_a_log_and_its_catalogue_are_counted_apart(tmp_path: Path) -> None:
    log, items = tmp_path / "log.csv", tmp_path / "items.csv"
    log.write_text("user,product,when\n1,7,2024-01-01\n1,8,2024-01-02\n2,9,2024-01-03\n")
    items.write_text("product,name,genre\n7,Tea,Drinks\n8,Oil,Food\n,Lost,Food\n")
    done = ingest(open_source_with_items(str(log), str(items)), tmp_path / "s")
    assert (done.rows, done.item_rows, done.events, done.rejected) == (3, 3, 2, 1)
    assert [rejection.reason for rejection in done.rejections] == ["title: none here, and no row describes item '9'"]
