"""Make up logs of the domains for which policies are shipped: health, finance, devices at home."""

import csv
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from whimbrel.tools.timestamps import DAY_SECONDS

DOMAINS = ("health", "finance", "home")
FIRST_TIME = 1_700_000_000
DAYS, MOVES_AFTER = 56, 42
"""The days of a log, and the day on which the interest of half of the people moves."""
OTHER_SHARE = 0.15
"""The share of events with things on which a policy has its say."""
FIELDS = ("medicine", "supplement", "prescription", "risk", "credit", "sponsored", "controls", "records")


@dataclass(frozen=True)
class Thing:
    """Something of a shelf, with its typed facts."""

    title: str
    shelf: str
    facts: dict[str, str]


def write_domain_log(domain: str, out: Path, *, users: int = 60, seed: int = 0) -> int:
    """Write the log of a domain as a CSV file. Return the number of its events.

    The people `moves-N` move in the last two weeks, the people `stays-N` do not.

    Args:
        domain: One of DOMAINS.
        out: The file.
        users: The number of people.
        seed: Seed of the random numbers.
    """
    plan = tomllib.loads(resources.files(__package__).joinpath("domain_logs.toml").read_text("utf-8"))[domain]
    shelves = {name: [_thing(words, name) for words in things] for name, things in plan["shelves"].items()}
    random = Random(seed)  # noqa: S311  # not for secrets
    rows = [row for number in range(users) for row in _events(plan, shelves, number, random)]
    rows.sort(key=lambda row: (row["time"], row["user"]))
    names = ["user", "title", "topics", "time", "event", *(f"context.{name}" for name in plan["situation"])]
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*names, *(f"field.{name}" for name in FIELDS)], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _thing(words: str, shelf: str) -> Thing:
    title, _, facts = words.partition("|")
    return Thing(title, shelf, dict(fact.split("=", 1) for fact in facts.split(";") if fact))


def _events(plan: Any, shelves: dict[str, list[Thing]], number: int, random: Random) -> list[dict[str, Any]]:
    moves = number % 2 == 0
    user = f"{'moves' if moves else 'stays'}-{number}"
    preferred = [plan["from"], *random.sample([name for name in plan["usual"] if name != plan["from"]], 2)]
    rows = []
    for day in range(DAYS):
        for _ in range(random.choice((0, 1, 1, 2))):
            has_moved = moves and day >= MOVES_AFTER
            if random.random() < OTHER_SHARE:
                shelf = random.choice(plan["other"])
            elif has_moved and random.random() < 0.85:
                shelf = plan["to"]
            else:
                shelf = preferred[0] if random.random() < 0.6 else random.choice(preferred[1:])
            thing = random.choice(shelves[shelf])
            situation = {name: random.choice(values) for name, values in plan["situation"].items()}
            if shelf == plan["to"]:
                situation |= plan["moved"]
            at = FIRST_TIME + day * DAY_SECONDS + random.randrange(8, 22) * 3600 + random.randrange(3600)
            rows.append(
                {"user": user, "time": at, "title": thing.title, "topics": shelf, "event": plan["event"]}
                | {f"context.{name}": value for name, value in situation.items()}
                | {f"field.{name}": value for name, value in thing.facts.items()}
            )
    return rows
