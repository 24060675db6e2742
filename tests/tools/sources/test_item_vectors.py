"""Vectors and images of items: every one is kept, or rejected with a reason, and none is made twice."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.errors import ConfigError, StoreError
from whimbrel.tools.images import encoder as image_encoder
from whimbrel.tools.sources.formats import open_source, open_source_with_items
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.report import Ingested
from whimbrel.tools.store.store import open_store

SOUNDS: dict[str, object] = {
    "tea": [3, 4],
    "bread": [0, -2],
    "rake": [1, 2, 3],
    "hose": "loud",
    "soap": [0, 0],
    "pot": None,
}
COLOURS = {"tea": "#ff0000", "bread": "#00ff00", "rake": "#0000ff"}


def catalogue(path: Path) -> Path:
    rows = [{"item_id": id_, "title": id_.title(), "sound": sound} for id_, sound in SOUNDS.items()]
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        lists = [row | {"sound": row["sound"] if isinstance(row["sound"], list) else None} for row in rows]
        pq.write_table(pa.Table.from_pylist(lists), path)
    else:
        cells = ["" if row["sound"] is None else json.dumps(row["sound"]) for row in rows]
        lines = [f'{row["item_id"]},{row["title"]},"{cell}"' for row, cell in zip(rows, cells, strict=True)]
        path.write_text("\n".join(["item_id,title,sound", *(line.replace('""loud""', "loud") for line in lines)]))
    return path


def log(path: Path) -> Path:
    rows = [f"u{user},{id_},{1_600_000_000 + 100 * user + n}" for user in range(3) for n, id_ in enumerate(SOUNDS)]
    path.write_text("\n".join(["user_id,item_id,time", *rows]))
    return path


def rejected(done: Ingested) -> list[dict[str, str]]:
    return [json.loads(line) for line in done.rejects.read_text().splitlines()] if done.rejects else []


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl", "items.parquet"])
def test_vectors_of_a_catalogue_are_kept_at_unit_length_and_others_rejected(name: str, tmp_path: Path) -> None:
    def read() -> Ingested:
        files = str(log(tmp_path / "log.csv")), str(catalogue(tmp_path / name))
        return ingest(open_source_with_items(*files, mapped=[("sound", "vector.sound")]), tmp_path / "shop")

    done = read()
    # A column of numbers in Parquet cannot hold a word.
    bad = {"rake", "soap"} if name.endswith("parquet") else {"rake", "hose", "soap"}
    of = done.modalities["sound"]
    assert (of.items, of.new, of.length, of.rejected) == (2, 2, 2, len(bad))
    assert (done.rows, done.events, done.rejected, done.item_rejected, done.items) == (18, 18, 0, 0, 6)
    reasons = {row["fields"]["item_id"]: row["reason"] for row in rejected(done)}  # type: ignore[index]
    assert reasons.keys() == bad
    assert reasons["rake"] == "vector.sound: 3 numbers, where most have 2"
    assert reasons["soap"] == "vector.sound: all numbers are 0"
    assert reasons.get("hose", "vector.sound: not a list of numbers") == "vector.sound: not a list of numbers"
    with open_store(tmp_path / "shop") as store:
        kept = store.vectors_by_modality(["tea", "bread", "pot", "nothing"])
        assert kept["sound"].keys() == {"tea", "bread"}
        np.testing.assert_allclose(kept["sound"]["tea"], [0.6, 0.8], atol=1e-6)
        np.testing.assert_allclose(kept["sound"]["bread"], [0, -1], atol=1e-6)
    again = read().modalities["sound"]
    assert (again.items, again.new) == (2, 0)


def test_a_vector_that_each_event_repeats_is_read_once(tmp_path: Path) -> None:
    rows = [f'u{n % 4},Thing {n % 3},{1_600_000_000 + n},"{n % 3} 1"' for n in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,title,time,vector.look", *rows]))
    done = ingest(open_source(str(tmp_path / "log.csv")), tmp_path / "shop")
    assert done.modalities["look"].new == done.modalities["look"].items == 3
    assert done.rejects is None


def test_vectors_of_another_length_than_the_store_has_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for number, vector in enumerate(("1 2", "1 2 3")):
        rows = [f'u,Thing {n},{1_600_000_000 + n},"{vector}"' for n in range(number, 4)]
        (tmp_path / f"{number}.csv").write_text("\n".join(["user_id,title,time,vector.look", *rows]))
    ingest(open_source(str(tmp_path / "0.csv")), tmp_path / "shop")
    with pytest.raises(StoreError, match="with 2 numbers, and these are by 'source' with 3"):
        ingest(open_source(str(tmp_path / "1.csv")), tmp_path / "shop")
    with open_store(tmp_path / "shop") as store:  # it is not unfinished
        assert store.modalities.names == ["look"]


@pytest.fixture
def pictures(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """A log and a catalogue of which three items have an image, one of them in an archive."""
    for id_, colour in COLOURS.items():
        write_image(tmp_path / "pictures" / f"{id_}.png", colour)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.write(tmp_path / "pictures" / "tea.png", "tea.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no image")
    photos = {"tea": "pictures.zip!tea.png", "bread": "pictures/bread.png", "rake": "pictures/rake.png"}
    photos |= {"hose": "pictures/broken.png", "soap": "https://example.org/soap.png"}
    rows = [f"{id_},{id_.title()},{photos.get(id_, '')}" for id_ in SOUNDS]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title,photo", *rows]))
    log(tmp_path / "log.csv")
    return tmp_path


def read_pictures(folder: Path, spec: Path | str | None) -> Ingested:
    files = str(folder / "log.csv"), str(folder / "items.csv")
    source = open_source_with_items(*files, mapped=[("photo", "image")])
    return ingest(source, folder / "shop", image_encoder=None if spec is None else str(spec))


def test_images_are_encoded_once_and_those_that_cannot_be_read_are_told(
    pictures: Path, write_encoder: Callable[..., Path], write_image: Callable[..., Path]
) -> None:
    done = read_pictures(pictures, write_encoder(pictures / "a.onnx"))
    of = done.modalities["image"]
    assert (of.items, of.new, of.length, of.rejected) == (3, 3, 3, 2)
    assert of.per_second is not None
    assert done.rejected == done.item_rejected == 0
    reasons = {row["fields"]["item_id"]: row["reason"] for row in rejected(done)}  # type: ignore[index]
    assert reasons == {
        "hose": "image: it cannot be decoded (UnidentifiedImageError)",
        "soap": "image: a web address, which is never fetched",
    }
    places = {row["fields"]["item_id"]: (row["file"], row["line"]) for row in rejected(done)}  # type: ignore[index]
    assert places == {id_: ("items.csv", 2 + list(SOUNDS).index(id_)) for id_ in ("hose", "soap")}
    with open_store(pictures / "shop") as store:
        kept = store.vectors_by_modality(list(SOUNDS))["image"]
    for row, id_ in enumerate(COLOURS):
        np.testing.assert_allclose(kept[id_], np.eye(3)[row], atol=1e-6)
    # The store keeps its encoder. Only what changed is encoded again, and what is gone is missing.
    write_image(pictures / "pictures" / "bread.png", "#0000ff", size=(9, 9))
    (pictures / "pictures" / "rake.png").unlink()
    again = read_pictures(pictures, None).modalities["image"]
    assert (again.items, again.new, again.rejected) == (2, 1, 3)
    with open_store(pictures / "shop") as store:
        kept = store.vectors_by_modality(list(SOUNDS))["image"]
        assert kept.keys() == {"tea", "bread"}
        np.testing.assert_allclose(kept["bread"], [0, 0, 1], atol=1e-6)


def test_another_look_at_the_same_images_is_no_other_reading_of_the_log(
    pictures: Path, write_encoder: Callable[..., Path]
) -> None:
    files = str(pictures / "log.csv"), str(pictures / "items.csv")

    def read(command: str, spec: str | None) -> list[str]:
        source = open_source_with_items(*files, mapped=[("photo", "image")])
        return ingest(source, pictures / "shop", command=command, image_encoder=spec).warnings

    encoder = str(write_encoder(pictures / "a.onnx"))
    read("log.csv --items items.csv", None)
    assert not [
        words for words in read(f"log.csv --items items.csv --image-encoder {encoder}", encoder) if "before" in words
    ]
    assert [words for words in read("log.csv --items items.csv --split ;", None) if "was read before" in words]


def test_an_encoder_without_images_says_which_option_is_missing(
    tmp_path: Path, write_encoder: Callable[..., Path]
) -> None:
    log(tmp_path / "log.csv")
    encoder = str(write_encoder(tmp_path / "a.onnx"))
    done = ingest(open_source(str(tmp_path / "log.csv")), tmp_path / "shop", image_encoder=encoder)
    assert [words for words in done.warnings if "--map COLUMN=image" in words]


def test_without_an_encoder_images_are_said_to_wait(pictures: Path) -> None:
    done = read_pictures(pictures, None)
    assert done.modalities == {}
    assert any("5 items name an image" in warning for warning in done.warnings)
    assert not any("image" in warning for warning in read_pictures(pictures, "none").warnings)
    with open_store(pictures / "shop") as store:
        assert store.vectors_by_modality(list(SOUNDS)) == {}


def test_a_stopped_ingestion_goes_on_with_the_images_that_are_left(
    pictures: Path, write_encoder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from whimbrel.tools.sources import item_vectors

    encoder, encode = write_encoder(pictures / "a.onnx"), image_encoder.ImageEncoder.encode
    calls: list[int] = []

    def stopped(self: image_encoder.ImageEncoder, images: list[bytes | str]) -> image_encoder.Encoded:
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, images)

    monkeypatch.setattr(item_vectors, "IMAGES_AT_ONCE", 1)
    monkeypatch.setattr(image_encoder.ImageEncoder, "encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        read_pictures(pictures, encoder)
    calls[:] = [0] * 3
    of = read_pictures(pictures, encoder).modalities["image"]
    assert of.items == 3
    assert of.new == 3 - 1  # that of bread was written before; broken and missing ones are tried again
    assert (of.rejected, sum(calls)) == (2, 3)


def test_vectors_of_two_makers_are_never_mixed(pictures: Path, write_encoder: Callable[..., Path]) -> None:
    read_pictures(pictures, write_encoder(pictures / "a.onnx"))
    with pytest.raises(StoreError, match="ingest into a new store"):
        read_pictures(pictures, write_encoder(pictures / "b.onnx", batch=4))
    with pytest.raises(ConfigError, match="no image encoder"):
        read_pictures(pictures, pictures / "c.onnx")
    assert read_pictures(pictures, None).modalities["image"].items == 3
    source = open_source_with_items(
        str(pictures / "log.csv"), str(catalogue(pictures / "b.csv")), mapped=[("sound", "vector.image")]
    )
    with pytest.raises(ConfigError, match=r"vector\.image is a column of the source and also"):
        ingest(source, pictures / "shop")


@pytest.mark.parametrize("name", ["vector.Look", "vector.", "vector.a-b", "vector." + "a" * 41])
def test_a_modality_has_a_plain_name(name: str) -> None:
    from whimbrel.tools.sources.table_options import parse_map

    assert parse_map(["x=vector.look_2"]) == [("x", "vector.look_2")]
    with pytest.raises(ConfigError, match="lower-case letters"):
        parse_map([f"x={name}"])
