"""Fixtures of all tests: no network but loopback, an empty cache of replies, a small log with its store."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent.language_models import reply_cache
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

LOOPBACK = ("127.0.0.1", "::1", "localhost")
DATA = Path(os.environ.get("WHIMBREL_DATA", "../shared/data"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise OSError(f"tests may not reach {address!r}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _empty_reply_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test is answered from replies that another test, or a user of this machine, got before."""
    monkeypatch.setattr(reply_cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture(scope="session")
def shop_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve users over five weeks buy tea and bread; from the fifth week on the first four buy garden things."""
    path = tmp_path_factory.mktemp("log") / "shop.csv"
    kitchen = [("Green tea", "Tea"), ("Black tea", "Tea"), ("Rye bread", "Bread"), ("Wheat bread", "Bread")]
    garden = [("Garden hose", "Garden"), ("Flower pot", "Garden"), ("Rose seeds", "Garden"), ("Rake", "Garden")]
    lines = ["user_id,title,topics,time,event,context.place"]
    for user in range(12):
        for day in range(35):
            shelf = garden if user < 4 and day >= 28 else kitchen
            for turn in range(2):
                title, topic = shelf[(user + day + turn) % (4 if day % 5 else 3)]
                at = 1_600_000_000 + day * 86_400 + user * 600 + turn * 60
                lines.append(f"u{user},{title},{topic},{at},purchase,{'home' if day % 2 else 'work'}")
    for number in range(20):
        lines.append(f"v{number},Oak table {number},Furniture,{1_600_000_000 + number * 90_000},purchase,home")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def shop(shop_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the log `shop_csv`."""
    folder = tmp_path_factory.mktemp("store") / "shop"
    ingest(open_source(str(shop_csv)), folder)
    return folder


@pytest.fixture(scope="session")
def ml100k() -> Iterator[Path]:
    """The folder of MovieLens 100K."""
    folder = DATA / "ml-100k"
    if not folder.is_dir():
        pytest.skip(f"no real log at {folder}: set WHIMBREL_DATA")
    yield folder
