"""The doors of logs: each format that `whimbrel ingest` reads."""

import gzip
import io
import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whimbrel.evals.studies.fuzzed_door import Door, only_text
from whimbrel.evals.studies.fuzzed_shop import real_beginning, real_files, shop_csv
from whimbrel.evals.studies.mutations import Files
from whimbrel.tools.event_meanings import parse_events
from whimbrel.tools.sources.formats import open_source, open_source_with_items
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staged import staged
from whimbrel.tools.sources.table_options import TableOptions, parse_map
from whimbrel.tools.sources.validate import Validator

STAGED_EACH, INGESTED_EACH = 8, 100
"""All inputs are read and validated. One in so many is also staged, and one in so many ingested, which take longer."""
ITEMS = (
    {"item_id": "t1", "title": "Green tea", "topics": ["Tea"], "price": 3.5, "facts": {"grams": 100}, "organic": True},
    {"item_id": "t2", "title": "Rye bread", "topics": "Bread|Baked", "price": "4,20 €", "released": "2020-05-01"},
)
CLICKS = "user_id,item_id,time\nu1,t1,2020-09-13T12:00:00Z\nu2,t2,2020-09-13 12:01\nu1,t2,1600000000\n"
OPTIONS: dict[str, Any] = {
    "map": ["title=title", "topics=topics", "price=field.price"],
    "events": ["purchase=chosen"],
    "split": ">",
    "time_format": "%d.%m.%Y %H:%M",
    "timezone": "Europe/Berlin",
    "encoding": "cp1252",
}
_LISTS = ("map", "events")


def _door(seeds: Sequence[Files], opened: Callable[[Path], Source]) -> Door:
    """Return a door through which a source is opened and read to its end."""

    def enter(folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digest = zlib.crc32(b"".join(path.read_bytes() for path in files))
        if digest % INGESTED_EACH == 0:
            store = folder.with_name("ingested")
            shutil.rmtree(store, ignore_errors=True)
            ingest(opened(folder), store)
        elif digest % STAGED_EACH == 0:
            with staged(opened(folder)):
                pass
        else:
            validator = Validator()
            for batch in opened(folder).batches():
                validator.validate(batch)

    return Door(seeds, enter)


def _of_file(folder: Path) -> Source:
    return open_source(str(next(folder.iterdir(), folder / "absent.csv")))


def _of_folder(folder: Path) -> Source:
    return open_source(str(folder))


def _rows() -> list[dict[str, str]]:
    names, *rows = (line.split(",") for line in shop_csv(3).splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


def _files(pattern: str, *own: tuple[str, bytes]) -> list[Files]:
    return [{name: data} for name, data in (*own, *real_files(pattern))]


def csv(folder: Path) -> Door:
    """CSV of any separator, plain or gzipped."""
    text = shop_csv(4)
    german = "Kunde;Produkt;Datum;Preis\n" + "".join(
        f"k{n};Tee {n % 3};{n + 1}.03.2021 08:15;3,{n}0\n" for n in range(9)
    )
    quoted = "user_id,title,time\n" + "".join(f'u{n},"Tea, ""fine""\nno {n}",2020-01-0{n + 1}\n' for n in range(8))
    own = [
        ("log.csv", text.encode()),
        ("log.tsv", text.replace(",", "\t").encode()),
        ("log.csv.gz", gzip.compress(text.encode(), mtime=0)),
        ("kauf.csv", german.encode()),
        ("quoted.csv", quoted.encode()),
        ("wide.csv", text.encode("utf-16")),
        ("log.dat", text.replace(",", "::").partition("\n")[2].encode()),
    ]
    return _door([*_files("*.csv", *own), *_files("*.tsv")], _of_file)


def jsonl(folder: Path) -> Door:
    """Lines of JSON or of Python dictionaries, plain or gzipped."""
    rows = _rows()
    lines = "".join(json.dumps({**row, "user": {"id": row["user_id"]}, "tags": ["a", 1]}) + "\n" for row in rows)
    python = "".join(f"{row}\n" for row in rows)
    own = [
        ("log.jsonl", lines.encode()),
        ("log.jsonl.gz", gzip.compress(lines.encode(), mtime=0)),
        ("python.jsonl", python.encode()),
    ]
    return _door(_files("*.jsonl", *own), _of_file)


def json_list(folder: Path) -> Door:
    """One JSON list of objects, or an object that holds one."""
    rows = _rows()
    wrapped = json.dumps({"events": [{**row, "topics": ["Tea", {"name": "x"}]} for row in rows[:9]], "page": 1})
    return _door(_files("*.json", ("log.json", json.dumps(rows).encode()), ("page.json", wrapped.encode())), _of_file)


def parquet(folder: Path) -> Door:
    """Parquet files."""
    rows: list[dict[str, Any]] = [
        {**row, "time": int(row["time"]), "rating": float(row["rating"]), "seen": {"at": n, "on": ["tv"]}, "ok": n > 3}
        for n, row in enumerate(_rows())
    ]
    return _door(_files("*.parquet", ("log.parquet", _parquet_of(rows))), _of_file)


def _parquet_of(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def spark(folder: Path) -> Door:
    """Folders of parts, as Spark writes them."""
    head, *rows = shop_csv(3).splitlines(keepends=True)
    parts = {f"part-{n}.csv": (head + "".join(rows[n::2])).encode() for n in range(2)}
    lines = [json.dumps(row) + "\n" for row in _rows()]
    of_json = {f"day={n}/part-{n}.json": "".join(lines[n::2]).encode() for n in range(2)}
    of_parquet: dict[str, bytes] = {f"part-{n}.parquet": _parquet_of([*_rows()][n::2]) for n in range(2)}
    return _door([parts | {"_SUCCESS": b""}, of_json, of_parquet], _of_folder)


def movielens(folder: Path) -> Door:
    """The folders of MovieLens, in three forms."""
    films = [("1", "Heat (1995)", "Action|Crime"), ("2", "Up (2009)", "Animation")]
    ratings = [("1", "1", "5", "978300760"), ("2", "2", "3", "978302109"), ("1", "2", "4", "978301968")]
    genres = b"unknown|0\nAction|1\nCrime|2\n"
    seeds: list[Files] = [
        {
            "u.data": "".join("\t".join(row) + "\n" for row in ratings).encode(),
            "u.item": b"1|Heat (1995)|01-Jan-1995||http://x|0|1|1\n2|Up (2009)|||http://y|0|0|0\n",
            "u.genre": genres,
            "item_features.csv": b'movie_id,tagline,overview\n1,"A, b","c\n',
        },
        {
            "ratings.dat": "".join("::".join(row) + "\n" for row in ratings).encode(),
            "movies.dat": "".join("::".join(row) + "\n" for row in films).encode(),
        },
        {
            "ratings.csv": (
                "userId,movieId,rating,timestamp\n" + "".join(",".join(r) + "\n" for r in ratings)
            ).encode(),
            "movies.csv": ("movieId,title,genres\n" + "".join(",".join(row) + "\n" for row in films)).encode(),
        },
    ]
    real = {name: real_beginning(f"ml-100k/{name}") for name in ("u.data", "u.item", "u.genre", "item_features.csv")}
    real_tweets = {name: real_beginning(f"movietweetings/{name}") for name in ("ratings.dat", "movies.dat")}
    return _door([*seeds, *(files for files in (real, real_tweets) if all(files.values()))], _of_folder)


def amazon(folder: Path) -> Door:
    """Amazon reviews and their metadata."""
    old = {"reviewerID": "A1", "asin": "B00000000A", "overall": 5.0, "unixReviewTime": 1400000000, "reviewText": "ok"}
    new = {"user_id": "A1", "parent_asin": "B00000000A", "rating": 4.0, "timestamp": 1500000000000, "text": "ok"}
    meta_old = {"asin": "B00000000A", "title": "Tea &amp; more", "categories": [["Food", "Tea"]], "price": 3.5}
    meta_new = {
        "parent_asin": "B00000000A",
        "title": "Tea",
        "categories": ["Food"],
        "price": "$1,200.50 - 3",
        "features": ["x"],
        "images": [{"large": "u"}],
        "details": {"Brand": "y"},
    }
    seeds: list[Files] = [
        {"reviews_Tea_5.json": _lines(old, old), "meta_Tea.json": f"{meta_old}\n".encode()},
        {"Tea.jsonl.gz": gzip.compress(_lines(new, new), mtime=0), "meta_Tea.jsonl": _lines(meta_new)},
        {"ratings_Tea.csv": b"A1,B00000000A,5.0,1400000000\nA2,B00000000B,1.0,1400000001\n"},
        {"Tea.csv": b"user_id,parent_asin,rating,timestamp\nA1,B00000000A,5.0,1500000000000\n"},
    ]
    return _door(seeds, lambda folder: open_source(str(folder), format="amazon"))


def _lines(*documents: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


def mind(folder: Path) -> Door:
    """MIND, news and impressions."""
    news = "".join(f"N{n}\tnews\tworld\tTitle {n}\tAbstract\thttps://x\t[]\t[]\n" for n in range(4))
    behaviors = "".join(f"{n}\tU{n % 2}\t11/1{n}/2019 9:05:58 AM\tN0 N1\tN2-1 N3-0\n" for n in range(4))
    return _door([{"news.tsv": news.encode(), "behaviors.tsv": behaviors.encode()}], _of_folder)


def completejourney(folder: Path) -> Door:
    """A folder of the Complete Journey."""
    from datetime import datetime

    products = [
        {
            "product_id": n,
            "manufacturer_id": 1,
            "department": "GROCERY",
            "brand": "Private",
            "product_category": "FRZN PIZZA",
            "product_type": "PIZZA/PREMIUM",
            "package_size": "12 OZ",
        }
        for n in range(3)
    ]
    baskets = [
        {
            "household_id": n % 2,
            "store_id": 7,
            "basket_id": n,
            "product_id": n % 3,
            "quantity": 1.0,
            "sales_value": 2.5,
            "retail_disc": 0.0,
            "coupon_disc": 0.0,
            "coupon_match_disc": 0.0,
            "week": 1,
            "transaction_timestamp": datetime(2017, 1, 1 + n),
        }
        for n in range(6)
    ]
    seed = {"products.parquet": _parquet_of(products), "transactions.parquet": _parquet_of(baskets)}
    text = [{**row, "quantity": "1", "sales_value": None, "transaction_timestamp": "x"} for row in baskets]
    return _door([seed, seed | {"transactions.parquet": _parquet_of(text)}], _of_folder)


def items(folder: Path) -> Door:
    """A log with a catalogue in a file of its own."""
    table = "id;name;genre;year;minutes\nt1;Green tea;Tea|Hot;1999;90\nt2;Rye bread;Bread;2001;\n"
    log = {"log.csv": CLICKS.encode()}
    seeds: list[Files] = [
        log | {"items.jsonl": _lines(*ITEMS)},
        log | {"items.json": json.dumps(ITEMS).encode()},
        log | {"items.csv": table.encode()},
        log | {"items.parquet": _parquet_of([{"item_id": "t1", "title": "Tea", "stock": [1], "made": 1.5}])},
    ]

    def opened(folder: Path) -> Source:
        catalogue = next(folder.glob("items.*"), folder / "items.csv")
        return open_source_with_items(str(folder / "log.csv"), str(catalogue))

    return _door(seeds, opened)


def options(folder: Path) -> Door:
    """What a user says about a table: `--map`, `--events`, `--split`, `--time-format`, `--timezone`, `--encoding`."""
    log = folder / "log.csv"
    log.write_text(
        "user_id,title,topics,time,price\n" + "".join(f"u{n},Tea,A>B,{n + 1}.3.2021 8:15,3\n" for n in range(9))
    )
    choices = [
        OPTIONS,
        OPTIONS | {"time_format": "day-first", "timezone": "+02:00", "encoding": "utf-8", "map": []},
        OPTIONS | {"time_format": "excel", "timezone": "", "encoding": "shift_jis", "map": ["time=time"]},
    ]

    def enter(folder: Path) -> None:
        try:
            given = json.loads(only_text(folder))
        except (ValueError, RecursionError):
            given = {}
        given = given if isinstance(given, dict) else {}
        split, time_format, timezone, encoding = (str(given.get(name) or "") for name in OPTIONS if name not in _LISTS)
        pairs, events = ([str(one) for one in _list(given.get(name))] for name in _LISTS)
        parse_events(events)
        table = TableOptions(parse_map(pairs), split, time_format, timezone, encoding or None)
        with staged(open_source(str(log), options=table)):
            pass

    return Door([{"options.json": json.dumps(choice).encode()} for choice in choices], enter)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
