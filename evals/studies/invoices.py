"""Make up a log of invoices, as a wholesaler of gifts exports it. Words, numbers and people are invented.

An item belongs to a range: one title in several colours, sizes or sets. A range belongs to a family: things of one
style. The noun in a title has a theme. The log does not name ranges, families and themes.

A line of an invoice has one of four origins. It repeats an item that the person bought before. It has the range of the
line above. It has the family of an earlier line. Or it is fresh: its item has a theme that interests the person. All
lines are drawn at once, as arrays. A line refers to an earlier line by its position.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.progress import NoProgress, Progress

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "CustomerID", "Country")
FIRST_MONTH, FIRST_INVOICE = "2022-12", 500_001
LEAST_ITEMS = 500
"""A smaller catalogue could lack a theme."""
DAY_MINUTES, OPENS, CLOSES = 24 * 60, 8 * 60, 18 * 60
"""Minutes of a day. Invoices are written between the minutes OPENS and CLOSES."""
WEEKDAYS = (1.0, 1.1, 1.05, 1.15, 0.9, 0.0, 0.5)
"""How busy the weekdays are, from Monday on."""
CLOSED = ("12-24", "12-25", "12-26", "12-27", "12-28", "12-29", "12-30", "12-31", "01-01")
DEMAND = (0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 0.9, 0.9, 1.2, 1.5, 1.8, 1.3)
"""How busy the shop is in the middle of each month, from January on."""
SEASONS = {
    "all year": (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
    "gift": (0.3, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.4, 0.6, 0.8, 1.0, 0.8),
    "garden": (0.1, 0.3, 0.8, 1.0, 1.0, 0.8, 0.6, 0.3, 0.2, 0.1, 0.1, 0.1),
    "christmas": (0.1, 0.01, 0.01, 0.01, 0.01, 0.02, 0.04, 0.1, 0.4, 0.8, 1.0, 0.6),
    "easter": (0.1, 0.6, 1.0, 0.7, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.02),
}
"""Probability that an item is bought once it is drawn, in the middle of each month from January on."""
NOUNS = {
    "tea": "CAKE DOME,TEA CADDY,SCONE PLATE,PITCHER,SAUCER,TEASPOON REST,SUGAR TIN,TEA TOWEL,DOILIES,TEAPOT COSY",
    "kitchen": "MIXING BOWL,EGG TIMER,PASTRY BRUSH,OVEN GLOVE,APRON,BREAD CROCK,SPICE RACK,MOULD,STORAGE JAR,WHISK",
    "party": "GARLAND,BALLOONS,PARTY HAT,SWEET BOX,STRAWS,INVITATIONS,CUPCAKE FLAGS,CONFETTI,BUNTING,NAPKINS",
    "garden": "SEED TIN,PLANT LABELS,WATERING JUG,BIRD FEEDER,TROWEL,FLOWER PAIL,TWINE,HERB POT,WIND CHIME,BEE HOUSE",
    "children": "SKIPPING CORD,PUZZLE,TOY TRAIN,PENCIL ROLL,PLAY TENT,SOFT RABBIT,BLOCKS,BIB,NIGHT LIGHT,LUNCH TIN",
    "home": "CUSHION,PHOTO FRAME,WALL CLOCK,DOOR KNOB,COAT HOOK,THROW,MIRROR,STORAGE CRATE,LAMP SHADE,CANDLE",
    "desk": "NOTEBOOK,GIFT WRAP,STICKERS,WRITING SET,MEMO BLOCK,TAPE ROLL,PEN POT,GIFT TAGS,ADDRESS BOOK,MAGNETS",
    "dress": "SHOPPER BAG,PURSE,BANGLE,HAIR CLIP,SCARF,UMBRELLA,KEY FOB,WASH BAG,EARRINGS,NECKLACE,SLIPPERS",
    "christmas": "TREE STAR,STOCKING,WREATH,ADVENT HOUSE,BAUBLE,TINSEL,REINDEER,SNOW GLOBE,ANGEL,CRACKER BOX",
    "easter": "EGG BASKET,FELT CHICK,RABBIT HANGER,DAFFODIL CLIP,EGG CUP,PAINTED EGGS",
}
"""What the items are, for each theme."""
THEMES = tuple(NOUNS)
LASTING, CHRISTMAS, EASTER = 8, 8, 9
"""The first LASTING themes interest people all year. CHRISTMAS and EASTER are bought by everyone, in season."""
P_THEMES = (*(0.82 / LASTING,) * LASTING, 0.14, 0.04)
P_FAMILY_THEME, P_GIFT = 0.8, 0.25
"""Probability that a range has the theme of its family, and that an item without a season has the season "gift"."""
STYLE_PARTS = (
    "MOSS HAZEL BRINDLE TEASEL QUILL PIPPIN THISTLE SORREL BRAMBLE MARLO TULLA WREN DAMSON CLOVER RUSSET FENNEL OTTER",
    "WICK SPRIG FOLK PLUME CHECK LARK BLOOM STRIPE FERN DOODLE PATCH SWIRL TASSEL DAPPLE",
)
"""The first parts of the names of styles, then the second parts."""
PLAIN_STYLES = ("ENAMEL", "WILLOW", "LINEN", "CERAMIC", "RUSTIC", "SILVERED", "KNITTED", "GLASS", "PAINTED", "VINTAGE")
"""Styles of several families."""
FORMS = {
    "{style} {noun} {word}": ("RED", "BLUE", "PINK", "GREEN", "CREAM", "GREY", "LILAC", "YELLOW", "MINT", "BLACK"),
    "{word} {style} {noun}": ("IVORY", "ROSE", "TEAL", "NAVY", "AMBER", "WHITE", "CORAL", "PLUM"),
    "{style} {noun}, {word}": ("SMALL", "MEDIUM", "LARGE", "MINI", "JUMBO"),
    "SET OF {word} {style} {noun}": ("2", "3", "4", "6", "8", "12"),
    "{noun} {style}": ("",),
}
"""The forms of a title, with the words that tell the items of a range apart."""
P_FORMS = (0.25, 0.2, 0.15, 0.1, 0.3)
SPREADS = (0.4, 0.3, 0.5)
"""How unequal families, ranges and items are: the standard deviations of the logarithms of their weights."""
CENTS, PACKS = (15, 29, 45, 55, 75, 85, 95), (1, 2, 3, 4, 6, 8, 10, 12, 24)
"""The ends of prices, and the numbers of pieces that shops buy at a time."""
POSTAGE_CENTS = 1850
COUNTRIES = ("Ireland", "United Kingdom", "France", "Netherlands", "Germany", "Spain", "Denmark", "Portugal")
"""The country of the shop, then other countries."""
P_FRESH = (0.4, 0.1, 0.3, 0.2)
"""Probability that a fresh line has the main theme, the second theme, any theme, or one of CHRISTMAS and EASTER."""
P_EASTER = 0.25
"""Probability of EASTER in the last case."""
MOST_ROUNDS = 40
"""A fresh line is drawn again if its item is out of season or out of stock, but no more often than this."""
P_BRIEF, P_LEAVE = 0.25, 0.8
"""Probability that an interest moves for one invoice only, and that a line after a shift refers to none before it."""
LEAST_VISITS = 3
"""The interest of a person with fewer invoices does not move."""
P_SECOND_TITLE, P_RETURN = 0.15, 0.15
"""Probability that a line has the second description of its item, and that it is cancelled if its invoice may be."""
DRAWN = 1.6
"""Lines that are drawn for each line that is kept. The others are out of season, out of stock, or doubled."""


@dataclass(frozen=True)
class InvoiceConfig:
    """What a made-up shop is like. A share is a number between 0 and 1.

    Attributes:
        customers: The number of customers.
        items: The number of stock codes, without that of postage.
        months: The number of months of the log.
        seed: The seed of the random numbers.
        private_share: The share of customers who are private. Most of them buy once. The others are shops.
        shop_invoices: The median number of invoices of a shop in a year.
        shop_lines: The mean number of lines of an invoice of a shop.
        private_lines: The mean number of lines of an invoice of a private customer.
        most_lines: The largest number of lines of an invoice, without postage.
        repeat_share: The share of lines drawn from earlier invoices of the person. First invoices have none.
        range_share: The share of the other lines that have the range of the line above.
        family_share: The share of the other lines that have the family of an earlier line.
        shifted_share: The share of customers whose interest moves.
        new_share: The share of ranges that enter the catalogue after the first day.
        ended_share: The share of ranges that leave the catalogue before the last day.
        same_title_share: The share of items with the description of another item.
        second_title_share: The share of items with a second description, which is misspelt or changed.
        anonymous_share: The share of lines without a customer.
        cancelled_share: The share of invoices some lines of which may be cancelled later.
        abroad_share: The share of people abroad, who pay postage on most invoices.
        free_share: The share of lines with a price of zero.
    """

    customers: int = 1500
    items: int = 3000
    months: int = 13
    seed: int = 0
    private_share: float = 0.3
    shop_invoices: float = 2.8
    shop_lines: float = 22.0
    private_lines: float = 8.0
    most_lines: int = 200
    repeat_share: float = 0.5
    range_share: float = 0.15
    family_share: float = 0.5
    shifted_share: float = 0.2
    new_share: float = 0.3
    ended_share: float = 0.15
    same_title_share: float = 0.03
    second_title_share: float = 0.06
    anonymous_share: float = 0.1
    cancelled_share: float = 0.14
    abroad_share: float = 0.12
    free_share: float = 0.003

    def __post_init__(self) -> None:
        if self.customers < 1 or self.items < LEAST_ITEMS or self.months < 1:
            raise ConfigError(
                f"{self.customers} customers, {self.items} items and {self.months} months make no log: give at least "
                f"1 customer, {LEAST_ITEMS} items and 1 month"
            )


@dataclass(frozen=True)
class Calendar:
    """The days of a log, numbered from 0. `first` is the first minute of day 0."""

    first: np.datetime64
    demand: Floats  # how busy each day is, shape (days,)
    seasons: Floats  # SEASONS on each day, shape (seasons, days)
    weekday: Ints  # Monday is 0, shape (days,)


@dataclass(frozen=True)
class Catalogue:
    """The items. Each array has the shape (items,)."""

    codes: list[str]
    titles: list[str]
    second_titles: list[str]  # without a second description, the first one
    theme: Ints  # position in THEMES
    family: Ints
    range: Ints
    season: Ints  # position in SEASONS
    weight: Floats  # how often the item is bought, in proportion
    begin: Ints  # the first day on which it is sold
    end: Ints  # the first day on which it is no longer sold
    cents: Ints  # the price of one piece
    pack: Ints  # the pieces that shops buy at a time


@dataclass(frozen=True)
class People:
    """The customers, then the anonymous people, who buy once. Each array has the shape (people,)."""

    visits: Ints  # the number of invoices
    lines: Floats  # the mean number of lines of an invoice
    single: Bools  # whether the person buys single pieces instead of packs
    themes: Ints  # the main theme, the second one, and the main one after a shift, shape (people, 3)
    turn: Ints  # the number of the invoice, from 0 on, with which the interest moves; -1 if it does not move
    brief: Bools  # whether the interest moves for that invoice only
    country: Ints  # position in COUNTRIES


@dataclass(frozen=True)
class Visits:
    """The invoices that sell, ordered by person, then by time. Each array has the shape (visits,)."""

    person: Ints
    number: Ints  # among the visits of the person, from 0 on
    day: Ints
    minute: Ints  # of the day
    lines: Ints  # the number of lines to draw


@dataclass(frozen=True)
class Shop:
    """Everything that lines are drawn from."""

    config: InvoiceConfig
    calendar: Calendar
    catalogue: Catalogue
    people: People
    visits: Visits


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
            invoice: f"{'C' if invoice >= len(visitors) else ''}{FIRST_INVOICE + place}"
            for place, invoice in enumerate(dict.fromkeys(self.lines.invoice.tolist()))
        }
        codes, titles = [*catalogue.codes, "POST"], [*catalogue.titles, "POSTAGE", *catalogue.second_titles]
        countries = [COUNTRIES[country] for country in self.shop.people.country]
        for begin in range(0, len(self.lines.invoice), size):
            part = self.lines.take(slice(begin, begin + size))
            people = visitors[part.invoice % len(visitors)].tolist()
            columns = (
                [numbers[invoice] for invoice in part.invoice.tolist()],
                [codes[item] for item in part.item.tolist()],
                [titles[place] for place in (part.item + part.is_second * len(codes)).tolist()],
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
    The time is that of the first invoice with the new interest. `from` and `to` are themes (see `theme_of`). The kind
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


def theme_of(description: str) -> str | None:
    """Return the theme of a description; None for postage and misspelt nouns.

    Example:
        >>> theme_of("MOSSWICK GARLAND PINK"), theme_of("POSTAGE")
        ('party', None)
    """
    found = _NOUN.search(description)
    return _THEME_OF_NOUN[found[0]] if found else None


_THEME_OF_NOUN = {noun: theme for theme, nouns in NOUNS.items() for noun in nouns.split(",")}
_NOUN = re.compile(rf"\b(?:{'|'.join(_THEME_OF_NOUN)})\b")


def draw_log(config: InvoiceConfig) -> InvoiceLog:
    """Draw the log of a shop."""
    # Each part has a generator of its own, so that a change of one part leaves the others as they are.
    of_items, of_people, of_visits, of_lines, of_export = np.random.default_rng(config.seed).spawn(5)
    calendar = _calendar(config.months)
    catalogue = _draw_catalogue(config, len(calendar.demand), of_items)
    people = _draw_people(config, len(calendar.demand), of_people)
    shop = Shop(config, calendar, catalogue, people, _draw_visits(people, calendar, of_visits))
    return _exported(shop, _draw_sales(shop, of_lines), of_export)


def _calendar(months: int) -> Calendar:
    first = np.datetime64(FIRST_MONTH)
    dates = np.arange(first.astype("M8[D]"), (first + months).astype("M8[D]"))
    day_of_year = (dates - dates.astype("M8[Y]")).astype(np.int64)
    middles = (np.arange(12) + 0.5) * 365 / 12
    demand, *seasons = (np.interp(day_of_year, middles, year, period=365) for year in (DEMAND, *SEASONS.values()))
    weekday = (dates.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    is_open = np.array([date[5:] not in CLOSED for date in dates.astype(str)])
    demand = demand * np.array(WEEKDAYS)[weekday] * is_open
    return Calendar(dates[0].astype("M8[m]"), demand, np.stack(seasons), weekday)


def _draw_catalogue(config: InvoiceConfig, days: int, random: np.random.Generator) -> Catalogue:
    """Draw families until there are enough items."""
    n = config.items
    starts, ends = (part.split() for part in STYLE_PARTS)
    styles = random.permutation([*(start + end for start in starts for end in ends), *PLAIN_STYLES * 4]).tolist()
    numbers = (10_000 + random.permutation(max(90_000, 3 * n))).tolist()
    codes, titles, rows = list[str](), list[str](), list[tuple[int, int, int, int]]()
    family = ranges = 0
    while len(codes) < n:
        # Each of the first families has a theme of its own, so that no theme lacks an item.
        own = family if family < len(THEMES) else random.choice(len(THEMES), p=P_THEMES)
        for place in range(2 + random.poisson(2)):
            theme = own if place == 0 or random.random() < P_FAMILY_THEME else random.choice(len(THEMES), p=P_THEMES)
            noun = random.choice(NOUNS[THEMES[theme]].split(","))
            form = random.choice(list(FORMS), p=P_FORMS)
            pounds, number, is_lettered = random.lognormal(0.8, 0.7), numbers.pop(), random.random() < 0.5
            for letter, word in zip(
                "ABCDEFGHIJ", random.permutation(FORMS[form])[: 1 + random.poisson(2)], strict=False
            ):
                codes.append(f"{number}{letter}" if is_lettered else str(numbers.pop()))
                titles.append(form.format(style=styles[family % len(styles)], noun=noun, word=word))
                rows.append((int(theme), family, ranges, 100 * int(pounds) + int(random.choice(CENTS))))
            ranges += 1
        family += 1
    theme, of_family, of_range, cents = np.array(rows[:n]).T
    for item in random.choice(np.flatnonzero(np.diff(of_range) == 0), int(config.same_title_share * n), replace=False):
        titles[item + 1] = titles[item]
    second_titles = titles[:n]
    for item in random.choice(n, int(config.second_title_share * n), replace=False):
        second_titles[item] = _misspelt(titles[item], random) if random.random() < 0.5 else f"{titles[item]} IN BOX"
    season_names = list(SEASONS)
    season = np.array([season_names.index(name) if name in SEASONS else 0 for name in THEMES])[theme]
    is_gift = (season == 0) & (random.random(n) < P_GIFT)
    of_families, of_ranges, of_items = map(random.lognormal, (0, 0, 0), SPREADS, (family, ranges, n))
    is_new, is_ended = (random.random(ranges) < share for share in (config.new_share, config.ended_share))
    begin = np.where(is_new, random.integers(days, size=ranges), 0)
    end = np.where(is_ended, begin + np.ceil((days - begin) * random.uniform(0.2, 1, ranges)), days).astype(np.int64)
    return Catalogue(
        codes=codes[:n],
        titles=titles[:n],
        second_titles=second_titles,
        theme=theme,
        family=of_family,
        range=of_range,
        season=np.where(is_gift, season_names.index("gift"), season),
        weight=of_families[of_family] * of_ranges[of_range] * of_items,
        begin=begin[of_range],
        end=end[of_range],
        cents=cents,
        pack=random.choice(PACKS, n),
    )


def _misspelt(title: str, random: np.random.Generator) -> str:
    """Return a title with two letters swapped."""
    place = int(random.choice([at for at in range(len(title) - 1) if title[at : at + 2].isalpha()]))
    return title[:place] + title[place + 1] + title[place] + title[place + 2 :]


def _draw_people(config: InvoiceConfig, days: int, random: np.random.Generator) -> People:
    n = config.customers
    is_private = random.random(n) < config.private_share
    shop_visits = np.ceil(random.lognormal(np.log(config.shop_invoices * config.months / 12), 1.1, n))
    visits = np.where(is_private, 1 + (random.random(n) < 0.1), np.minimum(shop_visits, max(days // 3, 1)))
    lines = np.where(is_private, config.private_lines, config.shop_lines) * _around_one(0.6, n, random)
    # An anonymous person buys as much as a shop buys on one invoice.
    ratio = config.anonymous_share / (1 - config.anonymous_share)
    anonymous = round(ratio * float(visits @ lines) / config.shop_lines)
    turn, regular = np.full(n + anonymous, -1), np.flatnonzero(visits >= LEAST_VISITS)
    moved = random.choice(regular, min(round(config.shifted_share * n), len(regular)), replace=False)
    turn[moved] = 1 + np.floor(random.random(len(moved)) * (visits[moved] - 1))
    is_abroad = random.random(n + anonymous) < config.abroad_share
    return People(
        visits=np.append(visits, np.ones(anonymous)).astype(np.int64),
        lines=np.append(lines, np.full(anonymous, config.shop_lines)),
        single=np.append(is_private, np.ones(anonymous, dtype=bool)),
        themes=random.permuted(np.tile(np.arange(LASTING), (n + anonymous, 1)), axis=1)[:, :3],
        turn=turn,
        brief=random.random(n + anonymous) < P_BRIEF,
        country=np.where(is_abroad, random.integers(1, len(COUNTRIES), n + anonymous), 0),
    )


def _around_one(spread: float, n: int, random: np.random.Generator) -> Floats:
    """Draw positive numbers with a heavy tail and a mean of 1. `spread` is the deviation of their logarithms."""
    return random.lognormal(-(spread**2) / 2, spread, n)


def _draw_visits(people: People, calendar: Calendar, random: np.random.Generator) -> Visits:
    """Draw visits at about equal distances from the day on which a person becomes a customer.

    A person prefers a weekday and an hour.
    """
    people_count, n = len(people.visits), int(people.visits.sum())
    person = np.repeat(np.arange(people_count), people.visits)
    number = np.arange(n) - np.repeat(np.cumsum(people.visits) - people.visits, people.visits)
    # Most people are customers from the first days on. Those with one invoice come at any time.
    joined = np.where(people.visits == 1, 0, 0.9 * random.random(people_count) ** 4)[person]
    passed = joined + (1 - joined) * (number + random.random(n)) / people.visits[person]
    demand = np.cumsum(calendar.demand)
    day = np.searchsorted(demand, passed * demand[-1], side="right")
    weekday = random.choice(7, people_count, p=np.array(WEEKDAYS) / sum(WEEKDAYS))[person]
    preferred = np.clip(day - calendar.weekday[day] + weekday, 0, len(demand) - 1)
    day = np.where((random.random(n) < 0.6) & (calendar.demand[preferred] > 0), preferred, day)
    hour = np.clip(random.beta(2.5, 2.5, people_count)[person] + random.normal(0, 0.1, n), 0, 0.999)
    minute = (OPENS + (CLOSES - OPENS) * hour).astype(np.int64)
    order = np.lexsort((minute, day, person))
    lines = np.ceil(DRAWN * people.lines[person] * _around_one(0.7, n, random)).astype(np.int64)
    return Visits(person, number, day[order], minute[order], lines)


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
        found = np.searchsorted(self._sums, at, side="right") - 1
        return np.asarray(self._order[np.clip(found, first, end - 1)])  # a rounded sum may lie in the next group


@dataclass(frozen=True)
class _Origins:
    """Where the items of lines come from. Each array has the shape (lines,)."""

    visit: Ints
    themes: Ints  # the main and the second theme of the person at that time, shape (lines, 2)
    source: Ints  # the line that a line refers to; a fresh line refers to itself
    repeats: Bools  # whether it has the item of its source
    has_range: Bools
    has_family: Bools


def _draw_sales(shop: Shop, random: np.random.Generator) -> Lines:
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
    own = begins[visit]  # the first line of the same invoice
    is_left = is_moved & (random.random(len(row)) < P_LEAVE)
    lowest = begins[visit - number + np.where(is_left, turn, 0)]  # the earliest line that a line may refer to
    repeats = (lowest < own) & (random.random(len(row)) < config.repeat_share)
    kind, reach = random.random(len(row)), random.random(len(row))
    refers = ~repeats & (lowest < row)
    has_range = refers & (kind < config.range_share)
    has_family = refers & ~has_range & (kind < config.range_share + config.family_share)
    end = np.where(repeats, own, row)
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
