"""Amazon reviews of three generations, in files made here."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Interaction
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.rows import Row
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso

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


def lines(*documents: object) -> str:
    return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in documents)


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
def test_the_columns_of_ratings_without_a_header_are_recognised_by_the_asin(
    name: str, text: str, seconds: float, tmp_path: Path
) -> None:
    file = write(tmp_path / name, text)
    done = read(file, tmp_path / "s")
    assert (done.events, done.users, done.rejected) == (2, 2, 0)
    (event,) = history(tmp_path / "s", "A1B2C3D4E5F6")
    assert (event.item_id, event.title, event.rating, event.time) == (ASIN, ASIN, 3.0, seconds)
    write(tmp_path / "meta_Toys.jsonl.gz", lines(META))
    assert read(file, tmp_path / "s").rejected == 0  # the store knows the other item
    done = read(file, tmp_path / "new")
    assert [reason for _, _, reason in reasons(done)] == [f"title: none here, and no row describes item {OTHER!r}"]
    for store in ("s", "new"):
        (event,) = history(tmp_path / store, "A1B2C3D4E5F6")
        assert event.title == "Hopper & Dove"


def test_wrong_lines_of_amazon_are_rejected_with_line_and_reason(tmp_path: Path) -> None:
    folder = tmp_path / "toys"
    items = (
        (META, ""),
        ({"title": "No id"}, "asin: none"),
        ({"asin": OTHER, "title": [{}]}, "title: none"),
        ({"asin": OTHER, "title": "x (new Date()).getTime()"}, "a script"),
        ({"asin": [1], "title": "x"}, "asin: none"),
        ("{'asin': __import__('os').getcwd()}", "not a Python literal"),
        ("{'asin': " + "[" * 5000, "not a Python literal"),
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
        (OLD | {"asin": OTHER}, f"no row describes item '{OTHER}'"),
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
    rejects = reasons(done)
    assert [(file, line) for file, line, _ in rejects] == [(file, line) for file, line, _ in expected]
    for (_, _, reason), (_, _, words) in zip(rejects, expected, strict=True):
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
def test_a_price_is_read_if_there_is_one_and_left_out_otherwise(
    price: object, read_as: float | None, tmp_path: Path
) -> None:
    write(tmp_path / "meta_Toys.json", lines(META | {"price": price}))
    read(write(tmp_path / "Toys.json", lines(OLD)), tmp_path / "s")
    assert [event.price for event in history(tmp_path / "s", OLD["reviewerID"])] == [read_as]


def test_metadata_cannot_name_a_local_file_and_markup_of_any_length_is_read(tmp_path: Path) -> None:
    junk = META | {"imageURLHighRes": "/etc/passwd", "imageURL": [{}, "file:///etc/passwd"], "category": "Toys"}
    junk |= {"title": "A&#" + "9" * 5000 + ";", "description": "<" * 400_000, "brand": [["Lark", [["deep"]]], 5]}
    write(tmp_path / "meta_Toys.json", lines(junk))
    read(write(tmp_path / "Toys.json", lines(OLD)), tmp_path / "s")
    (event,) = history(tmp_path / "s", "A3R5OBKS7OM2IR")
    assert (event.image, event.topics) == (None, ("Toys",))
    assert 0 < len(event.title) <= 500
    assert event.text.startswith("Lark <<<")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("meta_Toys.json", lines(META), "is metadata"),
        ("bare.csv", "a,b,3,1369699201\n", "none looks like an ASIN"),
    ],
)
def test_a_file_that_is_no_reviews_is_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        open_source(str(write(tmp_path / name, text)), format="amazon")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no Amazon reviews"):
        open_source(str(tmp_path / "empty"), format="amazon")


def test_the_progress_of_amazon_ends_at_the_total(tmp_path: Path) -> None:
    write(tmp_path / "meta_Toys.json", lines(META))
    source = open_source(str(write(tmp_path / "Toys.json.gz", lines(*([OLD] * 50)))))
    positions = [row.position for row in source.rows]
    assert positions == sorted(positions)
    assert positions[-1] == source.total


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
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=4), st.lists(LINE, max_size=4))
def test_no_line_raises_and_every_row_can_be_written_as_json(metadata: list[str], reviews: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for name, content in (("meta_a.json", metadata), ("a.jsonl", reviews)):
            (Path(folder) / name).write_bytes("\n".join(content).encode("utf-8", "surrogatepass"))
        for row in open_source(folder, format="amazon").rows:
            assert isinstance(row, Row)
            json.dumps(dict(row.fields), allow_nan=False)
