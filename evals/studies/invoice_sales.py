"""What the customers of a made-up shop buy.

A line of an invoice has one of four origins. It repeats an item that the person bought before. It has the range of the
line above. It has the family of an earlier line. Or it is fresh: its item has a theme that interests the person. All
lines are drawn at once, as arrays. A line refers to an earlier line by its position.
"""

from dataclasses import dataclass

import numpy as np

from whimbrel.evals.studies.invoice_shop import (
    CHRISTMAS,
    EASTER,
    P_THEMES,
    THEMES,
    Bools,
    Catalogue,
    Floats,
    Ints,
    Shop,
)

P_FRESH = (0.4, 0.1, 0.3, 0.2)
"""Probability that a fresh line has the main theme, the second theme, any theme, or one of CHRISTMAS and EASTER."""
P_EASTER = 0.25
"""Probability of EASTER in the last case."""
MOST_ROUNDS = 40
"""A fresh line is drawn again if its item is out of season or out of stock, but no more often than this."""
P_LEAVE = 0.8
"""Probability that a line after a shift refers to none before it."""
P_SECOND_TITLE = 0.15
"""Probability that a line has the second description of its item."""


@dataclass(frozen=True)
class Lines:
    """Lines of invoices. Each array has the shape (lines,)."""

    invoice: Ints  # position in `InvoiceLog.minute`
    item: Ints  # position in `Catalogue`; the number of items stands for postage
    is_second: Bools  # whether the line has the second description of the item
    quantity: Ints  # pieces, negative if they come back
    cents: Ints  # the price of one piece

    def take(self, rows: Ints | Bools | slice) -> "Lines":
        """Return some of the lines."""
        return Lines(*(column[rows] for column in vars(self).values()))


class _Urns:
    """Draws items of groups, in proportion to their weights."""

    def __init__(self, group: Ints, weight: Floats) -> None:
        self._order: Ints = np.argsort(group, kind="stable")
        self._sums = np.append(0.0, np.cumsum(weight[self._order]))
        self._bounds = np.searchsorted(group[self._order], np.arange(group.max() + 2))

    def draw(self, groups: Ints, random: np.random.Generator) -> Ints:
        """Draw an item of each group, shape (groups,)."""
        first, end = self._bounds[groups], self._bounds[groups + 1]
        at = self._sums[first] + (self._sums[end] - self._sums[first]) * random.random(len(groups))
        drawn = np.searchsorted(self._sums, at, side="right") - 1
        return np.asarray(self._order[np.clip(drawn, first, end - 1)])  # a rounded sum may lie in the next group


@dataclass(frozen=True)
class _Origins:
    """Where the items of lines come from. Each array has the shape (lines,)."""

    visit: Ints
    themes: Ints  # the main and the second theme of the person at that time, shape (lines, 2)
    source: Ints  # the line that a line refers to; a fresh line refers to itself
    repeats: Bools  # whether it has the item of its source
    has_range: Bools
    has_family: Bools


def draw_sales(shop: Shop, random: np.random.Generator) -> Lines:
    """Draw the lines of all visits, in the order of the visits."""
    config, catalogue, visits = shop.config, shop.catalogue, shop.visits
    origins = _draw_origins(shop, random)
    visit, repeats, has_range, has_family = origins.visit, origins.repeats, origins.has_range, origins.has_family
    is_fresh, day = ~(repeats | has_range | has_family), visits.day[visit]
    item, is_bought = _draw_fresh(shop, np.flatnonzero(is_fresh), origins, random)
    for group, takes, passes_on in (
        (catalogue.family, has_family, ~is_fresh),
        (catalogue.range, has_range, repeats | has_range),
    ):
        groups = group[item[_followed(origins.source, passes_on)[takes]]]
        item[takes] = _Urns(group, catalogue.weight).draw(groups, random)
    item = item[_followed(origins.source, repeats)]

    # People reorder less out of season. Fresh lines were drawn in season.
    peaks = shop.calendar.seasons.max(axis=1, keepdims=True)
    in_season = random.random(len(item)) < (shop.calendar.seasons / peaks)[catalogue.season[item], day]
    kept = np.flatnonzero(np.where(is_fresh, is_bought, in_season & _in_stock(catalogue, item, day)))
    kept = kept[np.sort(np.unique(visit[kept] * config.items + item[kept], return_index=True)[1])]
    kept = kept[np.arange(len(kept)) - np.searchsorted(visit[kept], visit[kept]) < config.most_lines]
    visit, item, n = visit[kept], item[kept], len(kept)
    pack = np.where(shop.people.single[visits.person[visit]], 1, catalogue.pack[item])
    cents = np.where(random.random(n) < config.free_share, 0, catalogue.cents[item])
    return Lines(visit, item, random.random(n) < P_SECOND_TITLE, pack * random.geometric(0.6, n), cents)


def _draw_origins(shop: Shop, random: np.random.Generator) -> _Origins:
    config, people, visits = shop.config, shop.people, shop.visits
    visit = np.repeat(np.arange(len(visits.lines)), visits.lines)
    person, number, row = visits.person[visit], visits.number[visit], np.arange(len(visit))
    turn = people.turn[person]
    is_moved = (turn >= 0) & np.where(people.brief[person], number == turn, number >= turn)
    begins = np.cumsum(visits.lines) - visits.lines
    first_of_invoice = begins[visit]
    is_left = is_moved & (random.random(len(row)) < P_LEAVE)
    lowest = begins[visit - number + np.where(is_left, turn, 0)]  # the earliest line that a line may refer to
    repeats = (lowest < first_of_invoice) & (random.random(len(row)) < config.repeat_share)
    kind, reach = random.random(len(row)), random.random(len(row))
    refers = ~repeats & (lowest < row)
    has_range = refers & (kind < config.range_share)
    has_family = refers & ~has_range & (kind < config.range_share + config.family_share)
    end = np.where(repeats, first_of_invoice, row)
    earlier = lowest + np.floor(reach * (end - lowest)).astype(np.int64)
    source = np.where(has_range, row - 1, np.where(repeats | has_family, earlier, row))
    themes = np.stack([people.themes[person, np.where(is_moved, 2, 0)], people.themes[person, 1]], axis=1)
    return _Origins(visit, themes, source, repeats, has_range, has_family)


def _draw_fresh(shop: Shop, fresh: Ints, origins: _Origins, random: np.random.Generator) -> tuple[Ints, Bools]:
    """Draw the items of the lines `fresh`.

    Returns:
        The item of each line, and whether it is bought. Lines that are not fresh have item 0.
    """
    catalogue, day = shop.catalogue, shop.visits.day[origins.visit]
    urns = _Urns(catalogue.theme, catalogue.weight)
    item, is_bought = np.zeros(len(day), dtype=np.int64), np.zeros(len(day), dtype=bool)
    for _ in range(MOST_ROUNDS):
        n = len(fresh)
        seasonal = np.where(random.random(n) < P_EASTER, EASTER, CHRISTMAS)
        themes = [*origins.themes[fresh].T, random.choice(len(THEMES), n, p=P_THEMES), seasonal]
        drawn = urns.draw(np.choose(random.choice(len(P_FRESH), n, p=P_FRESH), themes), random)
        in_season = random.random(n) < shop.calendar.seasons[catalogue.season[drawn], day[fresh]]
        item[fresh], is_bought[fresh] = drawn, in_season & _in_stock(catalogue, drawn, day[fresh])
        fresh = fresh[~is_bought[fresh]]
    return item, is_bought


def _in_stock(catalogue: Catalogue, item: Ints, day: Ints) -> Bools:
    return (catalogue.begin[item] <= day) & (day < catalogue.end[item])


def _followed(source: Ints, follows: Bools) -> Ints:
    """Return for each line the first line that does not follow its source, along the sources. Shape (lines,)."""
    target = np.where(follows, source, np.arange(len(source)))
    while not np.array_equal(target, further := target[target]):  # each round doubles the steps
        target = further
    return target
