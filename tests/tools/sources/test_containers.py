"""The container decides nothing: the same table gives the same store."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store


def contents(folder: Path) -> dict[str, list[str]]:
    with open_store(folder) as store:
        return {
            user_id: [event.model_dump_json() for event in store.history(user_id)]
            for user_id in sorted(store.log.user_ids)
        }


def test_one_table_gives_one_store_in_every_container(
    containers: Mapping[str, Callable[[Path], object]], tmp_path: Path
) -> None:
    stores = []
    for name, write in containers.items():
        write(tmp_path / name)
        done = ingest(open_source(str(tmp_path / name)), tmp_path / f"store-{name}")
        assert (done.rows, done.rejected) == (80, 0), name
        stores.append(contents(tmp_path / f"store-{name}"))
    assert all(store == stores[0] for store in stores)
    assert json.loads(stores[0]["0"][0])["title"].startswith("Thing, ")
