"""What images add: a log in which the look alone decides, and one in which it says nothing."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.evals.studies.images import images_markdown, measure_images
from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

USERS, ITEMS, EVENTS, LOOKS = 210, 60, 9, 4


def made_store(folder: Path, *, told: bool) -> Path:
    """A store in which each person chooses items of one look. Titles say nothing, and neither do vectors unless told."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(LOOKS, 8))
    look = np.arange(ITEMS) % LOOKS
    vectors = centres[look] if told else random.normal(size=(ITEMS, 8))
    vectors += 0.3 * random.normal(size=vectors.shape)
    rows = ["user_id,item_id,title,time,vector.look"]
    for user in range(USERS):
        own = random.permutation(np.flatnonzero(look == user % LOOKS))[:EVENTS]
        for turn, item in enumerate(own):
            time = 1.5e9 + turn * 86_400 + user * 60
            rows.append(f'u{user},i{item},Thing {item * 37 % ITEMS},{time},"{vectors[item].tolist()}"')
    (folder / "log.csv").write_text("\n".join(rows))
    ingest(open_source(str(folder / "log.csv")), folder / "shop", min_people=1)
    return folder / "shop"


def test_a_look_that_decides_helps_where_the_log_is_unknown(tmp_path: Path) -> None:
    document = measure_images(str(made_store(tmp_path, told=True)), cases=40, choices=100)
    rows = {(row["candidates"], row["items"]): row for row in document["results"]}
    cold = rows["cold", "all"]
    assert cold["gain"]["ci"][0] > 0.1
    assert cold["alone"]["value"] > cold["without"]["value"] + 0.1
    assert document["weights"]["cold"] > 0.1
    assert document["modalities"] == {"look": ITEMS}
    assert all(row["with_vector"] == 1 for row in rows.values() if row["n"])
    found = document["found"][0]
    assert (found["items"], found["n"]) == ("all", 40)
    assert found["with"]["value"] >= found["without"]["value"] > 0
    assert found["alone"]["value"] > 0.5
    assert images_markdown(document).count("\n| ") == len(rows) + 1 + len(document["found"]) + 1


def test_a_store_without_vectors_is_refused(shop: Path) -> None:
    with pytest.raises(DataError, match="--image-encoder"):
        measure_images(str(shop))
