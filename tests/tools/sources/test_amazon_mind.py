"""Amazon reviews of three generations and the log of Microsoft News, in files made here."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.records import Interaction
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.rows import Row
from whimbrel.tools.sources.tables import parse_map
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso, parse_time

ASIN, OTHER = "B00005N5PF", "0767800281"
OLD: dict[str, Any] = {"reviewerID": "A3R5OBKS7OM2IR", "asin": ASIN, "overall": 5.0, "unixReviewTime": 1369699200}
OLD |= {"summary": "A review's own", "reviewText": "says", "style": {"Format:": " DVD"}}
NEW: dict[str, Any] = {
    "user_id": "AGKH",
    "asin": "B000000000",
    "parent_asin": ASIN,
    "rating": 4.0,
    "timestamp": 1588687728923,
}
NEW |= {"title": "A review's own", "text": "says", "images": []}
META: dict[str, Any] = {
    "asin": ASIN,
    "title": "Hopper &amp; Dove",
    "category": ["Toys", "Birds"],
    "price": "$1,012.99",
    "brand": "Lark",
}
META |= {
    "description": ["<b>Two</b> birds.", ""],
    "imageURL": ["http://x/s.jpg"],
    "imageURLHighRes": ["http://x/l.jpg"],
}

META_2014: dict[str, Any] = {
    "asin": ASIN,
    "title": "Hopper & Dove",
    "categories": [["Toys", "Birds"], ["Toys"]],
    "price": 9.5,
}
META_2014 |= {"description": "Lark Two birds.", "imUrl": "http://x/l.jpg"}
META_2023: dict[str, Any] = {
    "parent_asin": ASIN,
    "title": "Hopper & Dove",
    "main_category": "Toys",
    "categories": ["Toys", "Birds"],
}
META_2023 |= {"price": None, "description": ["Lark"], "features": ["Two birds."]}
META_2023 |= {"images": [{"thumb": "http://x/t.jpg", "large": "http://x/m.jpg"}, {"hi_res": "http://x/l.jpg"}]}

BARE = f"A1B2C3D4E5F6,{ASIN},3.0,1369699200\nA9,{OTHER},4.0,1369699201\n"
BARE_2018 = f"{ASIN},A1B2C3D4E5F6,3.0,1369699200\n{OTHER},A9,4.0,1369699201\n"
BARE_2023 = f"A1B2C3D4E5F6,{ASIN},3.0,1588687728923\nA9,{OTHER},4,1588687728924\n"

NEWS = "N1\tsports\tsoccer\tA goal\tIt was late.\thttps://x\t[]\t[]\nN2\tnews\tworld\tA vote\t\thttps://x\t[]\t[]\nN3\tnews\tworld\tRain\tWet.\t\t\t\n"
BEHAVIORS = (
    "1\tU1\t11/12/2019 12:05:58 AM\tN2 N3 N2\tN1-1 N3-0\n"
    "2\tU1\t11/11/2019 9:05:58 PM\tN2 N3 N2\tN1-0 N3-1 N2-1\n"
    "3\tU2\t11/11/2019 12:00:00 PM\t\tN1-1\n"
    "4\tU3\t11/11/2019 9:05:58 AM\tN1\tN2 N3\n"
)


def lines(*documents: object) -> str:
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in documents)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def read(path: Path, store: Path, format: str | None = None) -> Ingested:
    return ingest(open_source(str(path), format=format), store)


def history(store: Path, user_id: str) -> list[Interaction]:
    with open_store(store) as opened:
        return opened.history(user_id)


def reasons(done: Ingested) -> list[tuple[str, int, str]]:
    if done.rejects is None:
        return []
    documents = [json.loads(line) for line in done.rejects.read_text().splitlines()]
    return [(document["file"], document["line"], document["reason"]) for document in documents]


@pytest.mark.parametrize(
    ("review", "meta", "at", "price"),
    [
        (OLD, str(META_2014), "2013-05-28T00:00:00Z", 9.5),
        (OLD, META, "2013-05-28T00:00:00Z", 1012.99),
        (NEW, META_2023, "2020-05-05T14:08:48.923000Z", None),
    ],
    ids=["2014", "2018", "2023"],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_review_of_each_generation_is_a_rating_of_its_item(
    review: object, meta: object, at: str, price: float | None, ending: str, tmp_path: Path
) -> None:
    write(tmp_path / "toys" / f"meta_Toys.json{ending}", lines(meta))
    file = write(tmp_path / "toys" / f"reviews_Toys_5.json{ending}", lines(review))
    user_id = "A3R5OBKS7OM2IR" if review is OLD else "AGKH"
    for source in (file, file.parent):
        store = tmp_path / f"of-{source.name}"
        done = read(source, store)
        assert (done.rows, done.catalogue, done.events, done.rejected) == (2, 1, 1, 0)
        (event,) = history(store, user_id)
        assert (event.item_id, event.title, event.topics) == (ASIN, "Hopper & Dove", ("Toys", "Birds"))
        assert (event.text, event.price, event.image) == ("Lark Two birds.", price, "http://x/l.jpg")
        assert (event.event, event.rating, iso(event.time)) == ("rating", 5.0 if review is OLD else 4.0, at)
        again = read(source, store)
        assert (again.new_events, again.new_items) == (0, 0)


@pytest.mark.parametrize(
    ("name", "text", "seconds"),
    [
        ("ratings_Toys.csv", BARE, 1369699200),
        ("Toys.csv", BARE_2018, 1369699200),
        ("Toys.train.csv", "user_id,parent_asin,rating,timestamp\n" + BARE_2023, 1588687728.923),
        (
            "Toys.csv.gz",
            "parent_asin,user_id,timestamp,rating,history\n"
            + f"{ASIN},A1B2C3D4E5F6,1588687728923,3.0,\n{OTHER},A9,1588687728924,4,{ASIN}\n",
            1588687728.923,
        ),
    ],
)
def test_bare_ratings_are_told_apart_by_what_looks_like_an_asin(
    name: str, text: str, seconds: float, tmp_path: Path
) -> None:
    file = write(tmp_path / name, text)
    done = read(file, tmp_path / "s")
    assert (done.events, done.users, done.rejected) == (2, 2, 0)
    (event,) = history(tmp_path / "s", "A1B2C3D4E5F6")
    assert (event.item_id, event.title, event.rating, event.time) == (ASIN, ASIN, 3.0, seconds)
    write(tmp_path / "meta_Toys.jsonl.gz", lines(META))
    done = read(file, tmp_path / "s")
    assert [reason for _, _, reason in reasons(done)] == [f"title: none here, and item {OTHER!r} is in no row before"]
    (event,) = history(tmp_path / "s", "A1B2C3D4E5F6")
    assert event.title == "Hopper & Dove"


def test_wrong_lines_of_amazon_are_rejected_with_line_and_reason(tmp_path: Path) -> None:
    folder = tmp_path / "toys"
    items = (
        (META, ""),
        ({"title": "No id"}, "asin: none"),
        ({"asin": OTHER, "title": [{}]}, "title: none"),
        ({"asin": OTHER, "title": "x (new Date()).getTime()"}, "a script"),
        ({"asin": [1], "title": "x"}, "asin: none"),
        ("{'asin': __import__('os').getcwd()}", "not a Python dictionary"),
        ("{'asin': " + "[" * 5000, "not a Python dictionary"),
        ("{'asin': " + "1+" * 5000 + "1}", "nested too deep"),
        ("{'asin': 0x" + "f" * 9000 + ", 'title': 'x'}", "asin: none"),
        ("{'asin': '" + "x" * 200_000 + "'}", "200012 characters"),
        ("[" * 200_000, "nested too deep"),
    )
    reviews = (
        (OLD, ""),
        (OLD | {"overall": float("nan")}, "rating: neither"),
        (OLD | {"overall": 10**300}, "rating: neither"),
        (OLD | {"overall": True}, "rating: neither"),
        (OLD | {"overall": 7}, "'7' is not between 1 and 5"),
        (OLD | {"overall": "five"}, "'five' is not between 1 and 5"),
        (OLD | {"overall": None}, "rating: none"),
        (OLD | {"unixReviewTime": 1369699200000}, "milliseconds?"),
        (OLD | {"unixReviewTime": [[]]}, "time: neither"),
        (OLD | {"reviewerID": {"a": 1}}, "user_id: neither"),
        (OLD | {"reviewerID": "A\x01B"}, "control character"),
        (NEW | {"timestamp": "soon"}, "no known format"),
        (NEW | {"timestamp": 10**300}, "time: neither"),
        (OLD | {"asin": OTHER}, f"item '{OTHER}' is in no row before"),
        ("reviewerID", "not JSON"),
        ("[1]", "not a JSON object"),
        ("9" * 5000, "limit"),
        ("x" * 2_000_000, "line of 2000001 bytes"),
        (OLD | {"asin": 1}, "item '1'"),
        (OLD, ""),
    )
    write(folder / "meta_Toys.json.gz", lines(*(line for line, _ in items)))
    write(folder / "Toys.json.gz", lines(*(line for line, _ in reviews)))
    (folder / "Toys.json.gz").write_bytes((folder / "Toys.json.gz").read_bytes() + gzip.compress(b"\xff\xfe\n"))
    done = read(folder, tmp_path / "s")
    expected = [
        *(("Toys.json.gz", n, words) for n, (_, words) in enumerate([*reviews, ("", "not UTF-8")], 1) if words),
        *(("meta_Toys.json.gz", n, words) for n, (_, words) in enumerate(items, 1) if words),
    ]
    found = reasons(done)
    assert [place[:2] for place in found] == [place[:2] for place in expected]
    for (_, _, reason), (_, _, words) in zip(found, expected, strict=True):
        assert words in reason
    assert (done.events, done.repeated, done.items) == (1, 1, 1)


@pytest.mark.parametrize(
    ("price", "read_as"),
    [
        *[
            ("$12.99", 12.99),
            (7, 7.0),
            ("from 5.10", 5.1),
            ("$5.00 - $10.00", 5.0),
            ("", None),
            ("None", None),
            (-1, None),
        ],
        *[
            (float("nan"), None),
            ("9" * 400, None),
            (10**400, None),
            (".a-box{width:1}", None),
            ([1], None),
            (True, None),
        ],
    ],
)
def test_a_price_is_read_where_there_is_one(price: object, read_as: float | None, tmp_path: Path) -> None:
    write(tmp_path / "meta_Toys.json", lines(META | {"price": price}))
    read(write(tmp_path / "Toys.json", lines(OLD)), tmp_path / "s")
    assert [event.price for event in history(tmp_path / "s", OLD["reviewerID"])] == [read_as]


def test_metadata_name_no_file_of_this_machine_and_markup_of_any_length_is_read(tmp_path: Path) -> None:
    junk = META | {"imageURLHighRes": "/etc/passwd", "imageURL": [{}, "file:///etc/passwd"], "category": "Toys"}
    junk |= {"title": "A&#" + "9" * 5000 + ";", "description": "<" * 400_000, "brand": [["Lark", [["deep"]]], 5]}
    write(tmp_path / "meta_Toys.json", lines(junk))
    read(write(tmp_path / "Toys.json", lines(OLD)), tmp_path / "s")
    (event,) = history(tmp_path / "s", "A3R5OBKS7OM2IR")
    assert (event.image, event.topics, len(event.title)) == (None, ("Toys",), 500)
    assert event.text.startswith("Lark <<<")


def test_what_surely_is_amazon_or_mind_is_told(tmp_path: Path) -> None:
    told: dict[str, Callable[[Path], object]] = {
        "a": lambda folder: write(folder / "Toys.jsonl.gz", lines(NEW)),
        "b": lambda folder: write(folder / "Toys.csv", f"{ASIN},A9,4.0,1369699201\n"),
        "c": lambda folder: (write(folder / "news.tsv.gz", NEWS), write(folder / "behaviors.tsv", BEHAVIORS)),
    }
    for name, make in told.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        assert read(tmp_path / name, tmp_path / f"s-{name}").events > 0
    plain = write(tmp_path / "own.jsonl", lines({"user_id": "u", "title": "T", "time": 5}))
    assert read(plain, tmp_path / "s-own").events == 1
    mapped = parse_map(["timestamp=time"])
    rows = open_source(str(tmp_path / "a" / "Toys.jsonl.gz"), mapped=mapped).rows
    assert next(rows).fields["time"] == NEW["timestamp"]
    with pytest.raises(ConfigError, match="amazon has columns of its own"):
        open_source(str(tmp_path / "a"), format="amazon", mapped=mapped)
    (tmp_path / "d").mkdir()
    with pytest.raises(ConfigError, match="cannot tell the format"):
        open_source(str(tmp_path / "d"))
    with pytest.raises(DataError, match="holds no Amazon reviews"):
        open_source(str(tmp_path / "d"), format="amazon")
    with pytest.raises(DataError, match=r"holds no news\.tsv"):
        open_source(str(tmp_path / "d"), format="mind")
    with pytest.raises(DataError, match="is metadata"):
        open_source(str(write(tmp_path / "meta_Toys.json", lines(META))), format="amazon")
    with pytest.raises(DataError, match="none looks like an ASIN"):
        open_source(str(write(tmp_path / "e.csv", "a,b,3,1369699201\n")), format="amazon")


def test_the_progress_of_amazon_ends_at_the_total(tmp_path: Path) -> None:
    write(tmp_path / "meta_Toys.json", lines(META))
    source = open_source(str(write(tmp_path / "Toys.json.gz", lines(*([OLD] * 50)))))
    positions = [row.position for row in source.rows]
    assert positions == sorted(positions)
    assert positions[-1] == source.total


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_clicks_have_the_time_of_their_impression_and_a_history_comes_once_before_the_earliest(
    ending: str, tmp_path: Path
) -> None:
    write(tmp_path / "mind" / f"news.tsv{ending}", NEWS)
    write(tmp_path / "mind" / f"behaviors.tsv{ending}", BEHAVIORS)
    done = read(tmp_path / "mind", tmp_path / "s")
    assert (done.rows, done.catalogue, done.events, done.users, done.rejected) == (11, 3, 8, 3, 0)
    evening, midnight = parse_time("2019-11-11T21:05:58Z"), parse_time("2019-11-12T00:05:58Z")
    assert [(event.item_id, event.time, event.event) for event in history(tmp_path / "s", "U1")] == [
        ("N2", evening - 3, "click"),
        ("N3", evening - 2, "click"),
        ("N2", evening - 1, "click"),
        ("N2", evening, "click"),
        ("N3", evening, "click"),
        ("N1", midnight, "click"),
    ]
    (event,) = history(tmp_path / "s", "U2")
    assert (event.title, event.topics, event.text) == ("A goal", ("sports", "soccer"), "It was late.")
    assert iso(event.time) == "2019-11-11T12:00:00Z"
    assert [event.item_id for event in history(tmp_path / "s", "U3")] == ["N1"]
    again = read(tmp_path / "mind", tmp_path / "s")
    assert (again.new_events, again.new_items) == (0, 0)


def test_wrong_lines_of_mind_are_rejected_with_line_and_reason(tmp_path: Path) -> None:
    rows = (
        ("1\tU1\t11/11/2019 9:05:58 AM\tN1\tN1-1", ""),
        ("1\tU1\t11/11/2019 8:05:58 AM\tN1\tN1-2", "'N1-2' ends in neither"),
        ("1\tU1\t11/11/2019 8:05:58 AM\tN1\t-1", "'-1' ends in neither"),
        ("1\tU1\t2019-11-11 8:05:58\tN1\tN1-1", "expected one like"),
        ("1\tU1\t1/1/0001 8:05:58 AM\tN1\tN1-1", "expected one like"),
        ("1\tU1\t11/11/2019 8:05:58 AM\tN1", "4 values, expected 5"),
        ("1\tU1\t11/11/2019 9:05:58 AM\tN1\tN9-1", "item 'N9'"),
        ("1\t\t11/11/2019 9:05:58 AM\t\tN1-1", "user_id"),
        ("N1 " * 400_000, "line of 1200001 bytes"),
    )
    write(tmp_path / "mind" / "news.tsv", NEWS + "N4\tnews\n" + "N5\tnews\tworld\t\t\t\t\t\n")
    write(tmp_path / "mind" / "behaviors.tsv.gz", lines(*(row for row, _ in rows)))
    done = read(tmp_path / "mind", tmp_path / "s")
    expected = [
        *(("behaviors.tsv.gz", n, words) for n, (_, words) in enumerate(rows, 1) if words),
        ("news.tsv", 4, "2 values, expected 8"),
        ("news.tsv", 5, "title"),
    ]
    found = reasons(done)
    assert [place[:2] for place in found] == [place[:2] for place in expected]
    for (_, _, reason), (_, _, words) in zip(found, expected, strict=True):
        assert words in reason
    assert [iso(event.time) for event in history(tmp_path / "s", "U1")] == [
        "2019-11-11T09:05:57Z",
        "2019-11-11T09:05:58Z",
    ]


def test_a_truncated_file_is_an_error_and_no_shorter_log(tmp_path: Path) -> None:
    whole = gzip.compress(lines(*(OLD | {"unixReviewTime": 10**9 + n} for n in range(5000))).encode())
    (tmp_path / "Toys.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        read(tmp_path / "Toys.json.gz", tmp_path / "s", format="amazon")
    assert not (tmp_path / "s").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**30), 10**30) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({*OLD, *NEW, *META, "categories", "main_category", "imUrl"}))
DOCUMENT = st.dictionaries(NAMES, JSON, max_size=8)
LINE = st.one_of(
    st.text(st.characters(exclude_characters="\n"), max_size=20),
    st.builds(lambda base, other: json.dumps(base | other), st.sampled_from([OLD, NEW, META]), DOCUMENT),
    st.builds(lambda base, other: repr(base | other), st.sampled_from([OLD, NEW, META]), DOCUMENT),
    st.builds("\t".join, st.lists(st.sampled_from(["U1", "N1", "N1-1", "11/11/2019 9:05:58 AM", ""]), max_size=8)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=4), st.lists(LINE, max_size=4))
def test_no_line_raises_and_every_row_can_be_written_down(first: list[str], second: list[str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in {
            "meta_a.json": first,
            "a.jsonl": second,
            "news.tsv": first,
            "behaviors.tsv": second,
        }.items():
            (folder / file).write_bytes("\n".join(content).encode("utf-8", "surrogatepass"))
        for kind in ("amazon", "mind"):
            for row in open_source(name, format=kind).rows:
                assert isinstance(row, Row)
                json.dumps(dict(row.fields), allow_nan=False)
