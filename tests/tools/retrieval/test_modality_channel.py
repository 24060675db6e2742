"""The channel of images and the like: it finds what no text and no log would, and only what may be returned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.retrieval.candidates import retrieve
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.channels import RetrievalQuery, search_channels
from whimbrel.tools.retrieval.interest import Interest
from whimbrel.tools.retrieval.without_topics import WithoutTopics
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.modalities import FROM_SOURCE, Maker
from whimbrel.tools.store.store import open_store
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

COUNT = 300
MET = ("i000", "i001")
RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(size=(COUNT, 8)).astype(np.float32) + 3  # what all have in common
TABLE[[2, 3]] = TABLE[[0, 1]] + 0.01
TABLE[:4] += [0, 0, 0, 0, 0, 0, 0, 4]
TABLE /= np.linalg.norm(TABLE, axis=1, keepdims=True)
TABLE[250:] = np.nan
ITEMS = [Item(item_id=f"i{n:03}", title=f"Thing {n}", topics=("Odd" if n == 3 else "Plain",)) for n in range(COUNT)]
HISTORY = [
    Interaction(user_id="u", item_id=item_id, title=item_id, time=n, event="purchase") for n, item_id in enumerate(MET)
]


def expected(table: np.ndarray = TABLE) -> list[str]:
    known = ~np.isnan(table[:, 0])
    apart = table - table[known].mean(axis=0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    likeness = np.where(known, (apart @ apart[:2].T).mean(axis=1), -np.inf)
    return [f"i{row:03}" for row in np.argsort(-likeness) if known[row]]


def in_memory(**modalities: np.ndarray) -> InMemory:
    log = InteractionLog.build(ITEMS, [(float(n), "u", item_id, None) for n, item_id in enumerate(MET)])
    return InMemory(ITEMS, log, timed=True, modalities=modalities)


def found(catalogue: Catalogue, query: RetrievalQuery) -> list[str]:
    ranks = search_channels(catalogue, query)
    if "modality" not in ranks.channels:
        return []
    of = ranks.ranks[:, ranks.channels.index("modality")]
    rows = ranks.rows[of > 0][np.argsort(of[of > 0])]
    return [catalogue.log.item_ids[row] for row in rows]


def asked(**more: object) -> RetrievalQuery:
    return RetrievalQuery(HISTORY, 10.0, Interest(), **more)  # type: ignore[arg-type]


def test_the_nearest_to_the_latest_items_come_first_and_none_that_is_refused() -> None:
    catalogue = in_memory(image=TABLE)
    order = [item_id for item_id in expected() if item_id not in MET]
    assert order[:2] in (["i002", "i003"], ["i003", "i002"])
    assert found(catalogue, asked()) == order[:100]
    assert found(catalogue, asked(without=order[:150])) == order[150:]
    only = np.arange(COUNT) >= 240
    assert set(found(catalogue, asked(only=only))) == {f"i{n}" for n in range(240, 250)}
    assert found(catalogue, RetrievalQuery([], 10.0, Interest())) == []
    assert found(in_memory(), asked()) == []
    odd = WithoutTopics(catalogue, SensitiveTopics(("Odd",)))
    assert found(odd, asked()) == [item_id for item_id in order if item_id != "i003"][:100]


def test_several_modalities_take_turns() -> None:
    sound = RANDOM.normal(size=(COUNT, 5)).astype(np.float32)
    sound[20] = sound[:2].mean(axis=0) * 5
    first, second = found(in_memory(image=TABLE, sound=sound), asked())[:2]
    assert (first in {"i002", "i003"}, second) == (True, "i020")


def test_it_is_a_way_into_the_candidates() -> None:
    weights = dict.fromkeys(("popular", "rising", "topics", "explore"), 0.0)
    items = retrieve(in_memory(image=TABLE), asked(), weights=weights, n=5).items
    assert {item.item_id for item in items[:2]} == {"i002", "i003"}


@pytest.fixture
def location(tmp_path: Path) -> Path:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    rows = [f"u,{item.item_id},{item.title},{n}" for n, item in enumerate(ITEMS, 1_600_000_000)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,title,time", *rows]))
    ingest(open_source(str(tmp_path / "log.csv")), tmp_path / "shop")
    return tmp_path / "shop"


def test_a_store_finds_the_same(location: Path) -> None:
    def ids(rows: Sequence[int]) -> list[str]:
        return [f"i{row:03}" for row in rows]

    with open_store(location, writing=True) as store:
        store.modalities.make("image", Maker(FROM_SOURCE, 8))
        known = dict(zip(ids(range(250)), TABLE[:250], strict=True))
        store.modalities.put("image", known, dict.fromkeys(known, "x"))
    with open_store(location) as store:
        near = store.nearest_by_modality("image", TABLE[:2], n=40)
        assert len(set(near) & set(expected()[:40])) >= 38
        assert near[:4] == expected()[:4]
        assert store.nearest_by_modality("sound", TABLE[:2], n=40) == []
