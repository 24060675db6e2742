"""MovieLens in its forms, in files made here."""

from pathlib import Path

import pytest

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.store.store import open_store


def read(path: Path, store: Path, **options: object) -> Ingested:
    return ingest(open_source(str(path), **options), store)  # type: ignore[arg-type]


def test_1m_is_read_in_latin_1_and_latest_by_the_rules_of_csv(tmp_path: Path) -> None:
    old, new = tmp_path / "ml-1m", tmp_path / "latest"
    old.mkdir()
    new.mkdir()
    (old / "movies.dat").write_bytes("1::Amélie (2001)::Comedy|Romance\n".encode("latin-1"))
    (old / "ratings.dat").write_text("7::1::5::978300760\n7::2::4::978300761\n")
    (new / "movies.csv").write_text('movieId,title,genres\n1,"American President, The (1995)",Comedy|Romance\n')
    (new / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,964982703\n")
    done = read(old, tmp_path / "s-old")
    assert (done.events, done.rejected) == (1, 1)
    read(new, tmp_path / "s-new")
    with open_store(tmp_path / "s-old") as store:
        assert [(e.title, e.topics) for e in store.history("7")] == [("Amélie (2001)", ("Comedy", "Romance"))]
    with open_store(tmp_path / "s-new") as store:
        assert [(e.title, e.rating) for e in store.history("7")] == [("American President, The (1995)", 4.5)]


def test_100k_has_genres_as_flags_the_day_of_release_overviews_and_posters(tmp_path: Path) -> None:
    (tmp_path / "u.genre").write_text("unknown|0\nComedy|1\nDrama|2\n")
    (tmp_path / "u.item").write_bytes(
        "1|Amélie (2001)|01-Jan-1995||http://x|0|1|1\n2|Plain||||1|0|0\n3|short\n".encode("latin-1")
    )
    (tmp_path / "u.data").write_text("7\t1\t5\t978300760\n7\t2\t4\t978300761\n")
    (tmp_path / "item_features.csv").write_text("movie_id,tagline,overview\n1,Yes!,She smiles.\n")
    (tmp_path / "posters").mkdir()
    rows = list(open_source(str(tmp_path)).rows)
    assert rows[0].fields == {
        "item_id": "1",
        "title": "Amélie (2001)",
        "topics": ["Comedy", "Drama"],
        "text": "Yes! She smiles.",
        "image": str(tmp_path.resolve() / "posters" / "1.jpg"),
        "time": 788_918_400.0,
        "fields": {"year": 2001},
    }
    assert "time" not in rows[1].fields
    assert rows[1].fields["topics"] == []
    assert rows[2].problem == "2 values, expected 8"
    assert rows[3].fields == {"user_id": "7", "item_id": "1", "rating": "5", "time": "978300760", "event": "rating"}


@pytest.mark.parametrize(
    ("files", "words"), [({}, "holds no MovieLens log"), ({"u.data": ""}, r"holds u\.data but no u\.item")]
)
def test_a_folder_without_ratings_or_films_is_refused(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        open_source(str(tmp_path), format="movielens")
