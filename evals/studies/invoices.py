"""Make up a log of invoices, as a wholesaler of gifts exports it. Words, numbers and people are invented.

An item belongs to a range: one title in several colours, sizes or sets. A range belongs to a family: things of one
style. The noun in a title has a theme. The log does not name ranges, families and themes.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.evals.studies.invoice_sales import Lines, draw_sales
from whimbrel.evals.studies.invoice_shop import (
    CLOSES,
    COUNTRIES,
    OPENS,
    THEMES,
    Ints,
    InvoiceConfig,
    Shop,
    draw_shop,
)
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.progress import NoProgress, Progress

__all__ = ["InvoiceConfig", "InvoiceLog", "draw_log", "write_invoices"]

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "CustomerID", "Country")
FIRST_INVOICE, DAY_MINUTES, POSTAGE_CENTS = 500_001, 24 * 60, 1850
P_RETURN = 0.15
"""Probability that a line is cancelled if its invoice may be."""


@dataclass(frozen=True)
class InvoiceLog:
    """A whole log in memory.

    Attributes:
        shop: What the lines were drawn from.
        lines: The lines, in the order of the file.
        minute: The minute of each invoice, counted from the first day. The first half are the invoices of
            `shop.visits`, and the second half are their cancellations. Only invoices with lines are in the file.
        user_ids: The number of each customer, then an empty text for each anonymous person.
    """

    shop: Shop
    lines: Lines
    minute: Ints
    user_ids: list[str]

    def rows(self, size: int = 50_000) -> Iterator[list[tuple[object, ...]]]:
        """Yield the lines as rows of COLUMNS, `size` rows at a time."""
        catalogue, visitors = self.shop.catalogue, self.shop.visits.person
        numbers = {
            invoice: f"{'C' if invoice >= len(visitors) else ''}{FIRST_INVOICE + number}"
            for number, invoice in enumerate(dict.fromkeys(self.lines.invoice.tolist()))
        }
        codes, titles = [*catalogue.codes, "POST"], [*catalogue.titles, "POSTAGE", *catalogue.second_titles]
        countries = [COUNTRIES[country] for country in self.shop.people.country]
        for begin in range(0, len(self.lines.invoice), size):
            part = self.lines.take(slice(begin, begin + size))
            people = visitors[part.invoice % len(visitors)].tolist()
            columns = (
                [numbers[invoice] for invoice in part.invoice.tolist()],
                [codes[item] for item in part.item.tolist()],
                [titles[row] for row in (part.item + part.is_second * len(codes)).tolist()],
                part.quantity.tolist(),
                [time.replace("T", " ") for time in self._times(part.invoice)],
                [f"{cents / 100:.2f}" for cents in part.cents.tolist()],
                [self.user_ids[person] for person in people],
                [countries[person] for person in people],
            )
            yield list(zip(*columns, strict=True))

    def shifts(self) -> list[dict[str, str]]:
        """Return the truth about the shifts as JSON, in order of time."""
        people, visits = self.shop.people, self.shop.visits
        turns = np.flatnonzero(visits.number == people.turn[visits.person])
        turns = turns[np.isin(turns, self.lines.invoice)]  # an invoice without lines shows no shift
        turns = turns[np.argsort(self.minute[turns], kind="stable")]
        return [
            {
                "user_id": self.user_ids[person],
                "time": f"{time}Z",
                "from": THEMES[people.themes[person, 0]],
                "to": THEMES[people.themes[person, 2]],
                "kind": "contextual" if people.brief[person] else "temporal",
            }
            for person, time in zip(visits.person[turns], self._times(turns), strict=True)
        ]

    def _times(self, invoices: Ints) -> list[str]:
        times = self.shop.calendar.first + self.minute[invoices].astype("m8[m]")
        return [f"{time}:00" for time in times.astype(str)]


def write_invoices(config: InvoiceConfig, out: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Write the log of a made-up shop to `out`, and the truth about the shifts to a file beside it.

    The second file has the suffix `.shifts.jsonl`. Each of its lines has `user_id`, `time`, `from`, `to` and `kind`.
    The time is that of the first invoice with the new interest. `from` and `to` are themes (see `NOUNS`). The kind
    is "contextual" if the interest moves for that invoice only, and "temporal" if it moves for good.

    Returns:
        The names of the two files, and how much they hold.

    Raises:
        OSError: a file cannot be written.
    """
    progress = progress or NoProgress()
    log = draw_log(config)
    progress.step("Writing lines", len(log.lines.invoice))
    with atomic_write(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rows in log.rows():
            writer.writerows(rows)
            progress.advance(len(rows))
    shifts, truth = log.shifts(), out.with_suffix(".shifts.jsonl")
    with atomic_write(truth) as partial:
        partial.write_text("".join(f"{json.dumps(shift)}\n" for shift in shifts), "utf-8")
    invoices = len(np.unique(log.lines.invoice))
    return {
        "log": str(out),
        "invoices": invoices,
        "lines": len(log.lines.invoice),
        "truth": str(truth),
        "shifts": len(shifts),
    }


def draw_log(config: InvoiceConfig) -> InvoiceLog:
    """Draw the log of a shop."""
    of_items, of_people, of_visits, of_lines, of_export = np.random.default_rng(config.seed).spawn(5)
    shop = draw_shop(config, of_items, of_people, of_visits)
    return _exported(shop, draw_sales(shop, of_lines), of_export)


def _exported(shop: Shop, sold: Lines, random: np.random.Generator) -> InvoiceLog:
    """Return the log with postage and cancellations, in order of time."""
    config, people, visits = shop.config, shop.people, shop.visits
    n = len(visits.person)
    used = np.unique(sold.invoice)
    is_posted = random.random(len(used)) < np.where(people.country[visits.person[used]] > 0, 0.7, 0.01)
    posted, one = used[is_posted], np.ones(is_posted.sum(), dtype=np.int64)
    postage = Lines(posted, config.items * one, one < 0, one, POSTAGE_CENTS * one)

    open_days = np.flatnonzero(shop.calendar.demand)
    back = np.searchsorted(open_days, visits.day + random.geometric(0.12, n))
    may_return = (random.random(n) < config.cancelled_share) & (back < len(open_days))
    may_return &= visits.person < config.customers
    returned = sold.take(may_return[sold.invoice] & (random.random(len(sold.item)) < P_RETURN))
    share = np.minimum(random.uniform(0, 2, len(returned.item)), 1)  # half of these lines come back as a whole
    quantity = -np.ceil(share * returned.quantity).astype(np.int64)
    returned = replace(returned, invoice=n + returned.invoice, quantity=quantity)
    returned_on = open_days[np.minimum(back, len(open_days) - 1)]

    lines = Lines(*map(np.concatenate, zip(*(vars(part).values() for part in (sold, postage, returned)), strict=True)))
    minute = np.append(visits.day, returned_on) * DAY_MINUTES
    minute += np.append(visits.minute, random.integers(OPENS, CLOSES, n))
    numbers = (10_000 + random.permutation(max(90_000, config.customers)))[: config.customers]
    user_ids = [*map(str, numbers.tolist()), *[""] * (len(people.visits) - config.customers)]
    return InvoiceLog(shop, lines.take(np.lexsort((lines.invoice, minute[lines.invoice]))), minute, user_ids)
