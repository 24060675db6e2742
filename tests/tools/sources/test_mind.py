"""The log of Microsoft News, in files made here."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Interaction
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.rows import Row
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso, parse_time

NEWS = "N1\tsports\tsoccer\tA goal\tIt was late.\thttps://x\t[]\t[]\nN2\tnews\tworld\tA vote\t\thttps://x\t[]\t[]\nN3\tnews\tworld\tRain\tWet.\t\t\t\n"
BEHAVIORS = (
    "1\tU1\t11/12/2019 12:05:58 AM\tN2 N3 N2\tN1-1 N3-0\n"
    "2\tU1\t11/11/2019 9:05:58 PM\tN2 N3 N2\tN1-0 N3-1 N2-1\n"
    "3\tU2\t11/11/2019 12:00:00 PM\t\tN1-1\n"
    "4\tU3\t11/11/2019 9:05:58 AM\tN1\tN2 N3\n"
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def read(path: Path, store: Path) -> Ingested:
    return ingest(open_source(str(path)), store)


def history(store: Path, user_id: str) -> list[Interaction]:
    with open_store(store) as opened:
        return opened.history(user_id)


def reasons(done: Ingested) -> list[tuple[str, int, str]]:
    assert done.rejects is not None
    documents = [json.loads(line) for line in done.rejects.read_text().splitlines()]
    return [(document["file"], document["line"], document["reason"]) for document in documents]


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
    write(tmp_path / "mind" / "behaviors.tsv.gz", "".join(f"{row}\n" for row, _ in rows))
    done = read(tmp_path / "mind", tmp_path / "s")
    expected = [
        *(("behaviors.tsv.gz", n, words) for n, (_, words) in enumerate(rows, 1) if words),
        ("news.tsv", 4, "2 values, expected 8"),
        ("news.tsv", 5, "title"),
    ]
    rejects = reasons(done)
    assert [(file, line) for file, line, _ in rejects] == [(file, line) for file, line, _ in expected]
    for (_, _, reason), (_, _, words) in zip(rejects, expected, strict=True):
        assert words in reason
    assert [iso(event.time) for event in history(tmp_path / "s", "U1")] == [
        "2019-11-11T09:05:57Z",
        "2019-11-11T09:05:58Z",
    ]


def test_a_folder_without_news_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no news\.tsv"):
        open_source(str(tmp_path), format="mind")


LINE = st.one_of(
    st.text(st.characters(exclude_characters="\n"), max_size=20),
    st.builds("\t".join, st.lists(st.sampled_from(["U1", "N1", "N1-1", "11/11/2019 9:05:58 AM", ""]), max_size=8)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=4), st.lists(LINE, max_size=4))
def test_no_line_raises_and_every_row_can_be_written_as_json(news: list[str], behaviors: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for name, content in (("news.tsv", news), ("behaviors.tsv", behaviors)):
            (Path(folder) / name).write_bytes("\n".join(content).encode("utf-8", "surrogatepass"))
        for row in open_source(folder, format="mind").rows:
            assert isinstance(row, Row)
            json.dumps(dict(row.fields), allow_nan=False)
