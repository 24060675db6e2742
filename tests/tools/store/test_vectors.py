"""Re-encoding a store: all vectors of one encoder, also after an interruption."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.errors import ConfigError, StoreError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store import vectors as module
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.store.vectors import reencode
from whimbrel.tools.text.encoder import TextEncoder
from whimbrel.tools.text.item_vectors import item_vectors
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.multilingual import MULTILINGUAL


@pytest.fixture
def shop(tmp_path: Path) -> str:
    rows = [f"u{user},茶 {item},茶叶,2024-01-0{item + 1}" for user in range(3) for item in range(3)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user_id,title,topics,time", *rows]), "utf-8")
    folder = str(tmp_path / "shop")
    done = ingest(open_source(str(path)), folder)
    assert any("multilingual" in warning for warning in done.warnings)
    return folder


def assert_encoded_by(store: Store, encoder: TextEncoder) -> None:
    assert store.encoder is encoder
    items = store.items(store.log.item_ids)
    stored = store.item_vectors(list(items))
    assert np.allclose(np.stack(list(stored.values())), item_vectors(list(items.values()), encoder), atol=1e-3)
    assert np.allclose(store.vectors_of_topics(["茶叶"]), encoder.encode(["茶叶"]), atol=1e-3)
    # The taste vector of a user is a mean of item vectors, so it is nearest to itself among those of this encoder.
    assert store.people_near(next(iter(stored.values())), n=3)


def test_a_catalogue_of_another_script_gets_the_multilingual_encoder(shop: str) -> None:
    with open_store(shop) as store:
        assert_encoded_by(store, MULTILINGUAL)


def test_reencoding_replaces_all_vectors(shop: str) -> None:
    assert reencode(shop, ENGLISH) == (ENGLISH, 3)
    with open_store(shop) as store:
        assert_encoded_by(store, ENGLISH)
    assert reencode(shop) == (MULTILINGUAL, 3)
    with open_store(shop) as store:
        assert_encoded_by(store, MULTILINGUAL)


def test_an_interrupted_reencoding_is_refused_by_readers_and_goes_on(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.compute_vectors

    def stopped(database: object, name: str, *rest: object, **more: object) -> None:
        if name == "users":
            raise KeyboardInterrupt
        real(database, name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compute_vectors", stopped)
    with pytest.raises(KeyboardInterrupt):
        reencode(shop, ENGLISH)
    with pytest.raises(StoreError, match="whimbrel reencode"):
        open_store(shop)
    monkeypatch.setattr(module, "compute_vectors", real)
    assert reencode(shop)[0] is ENGLISH  # the one that was begun, not the one of the titles
    with open_store(shop) as store:
        assert_encoded_by(store, ENGLISH)


def test_an_encoder_that_is_not_installed_changes_nothing(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(texts: object, **_: object) -> None:
        raise ConfigError("not installed")

    monkeypatch.setattr(ENGLISH, "encode", refuse)
    with pytest.raises(ConfigError, match="not installed"):
        reencode(shop, ENGLISH)
    with open_store(shop) as store:
        assert store.encoder is MULTILINGUAL


def test_a_store_keeps_its_encoder_and_says_so(shop: str, tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text("user_id,title,topics,time\nu9,Green tea,Tea,2024-02-01\n", "utf-8")
    ingest(open_source(str(path)), shop)
    with open_store(shop) as store:
        assert store.encoder is MULTILINGUAL
    with pytest.raises(ConfigError, match="whimbrel reencode"):
        ingest(open_source(str(path)), shop, encoder=ENGLISH)
