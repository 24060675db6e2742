"""The first inputs of doors: a small shop, and the beginnings of real logs."""

import os
from collections.abc import Iterator
from pathlib import Path

from whimbrel.agent.agent import Agent
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

DATA_VARIABLE = "WHIMBREL_DATA"
"""The environment variable with the folder of real logs. Small ones beside it are first inputs, too."""
LARGEST_SEED = 20_000  # bytes
SHELVES = tuple(
    (f"{kind} {thing}", topic)
    for topic, things in {
        "Tea": "tea cup",
        "Bread": "bread roll",
        "Garden": "hose rake",
        "Books": "novel atlas",
    }.items()
    for thing in things.split()
    for kind in ("Green", "Black", "Fine")
)
"""Titles and topics of the items. A person meets about a third of them."""


def shop_csv(days: int = 10) -> str:
    """Return the log of a shop: eight people who buy two things a day."""
    rows = ["user_id,item_id,title,topics,time,event,rating,price,context.place"]
    for user in range(8):
        for day in range(days):
            for turn in range(2):
                item = (user * 3 + (day * 3 + turn * 5) % 9) % len(SHELVES)
                time = 1_600_000_000 + day * 86_400 + user * 600 + turn * 60
                place = "home" if day % 2 else "work"
                rows.append(
                    f"u{user},i{item},{','.join(SHELVES[item])},{time},purchase,{1 + day % 5},{3 + turn}.50,{place}"
                )
    return "\n".join(rows) + "\n"


def made_shop(folder: Path, days: int = 10) -> Path:
    """Return the store of the shop, made in a folder."""
    log = folder / "shop.csv"
    log.write_text(shop_csv(days))
    ingest(open_source(str(log)), folder / "shop")
    return folder / "shop"


def opened_shop(folder: Path) -> Agent:
    """Return an agent without a language model on a shop made in a folder."""
    return Agent.open(made_shop(folder), llm="none")


def real_files(pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield the beginnings of small files beside the real logs, each with its name."""
    folder = os.environ.get(DATA_VARIABLE)
    for path in sorted(Path(folder).parent.glob(f"cases/*/{pattern}")) if folder else ():
        data = path.read_bytes()
        yield path.name, data if path.suffix == ".parquet" else data[:LARGEST_SEED].rpartition(b"\n")[0] + b"\n"


def real_beginning(name: str) -> bytes:
    """Return the first lines of a file of the real logs; nothing if there is none."""
    path = Path(os.environ.get(DATA_VARIABLE, "")) / name
    if not os.environ.get(DATA_VARIABLE) or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(LARGEST_SEED // 4).rpartition(b"\n")[0] + b"\n"
