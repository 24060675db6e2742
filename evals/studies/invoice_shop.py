"""The shop behind made-up invoices: its calendar, its items, its customers and their visits. Everything is invented."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FIRST_MONTH = "2022-12"
LEAST_ITEMS = 500
"""A smaller catalogue could lack a theme."""
OPENS, CLOSES = 8 * 60, 18 * 60
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
COUNTRIES = ("Ireland", "United Kingdom", "France", "Netherlands", "Germany", "Spain", "Denmark", "Portugal")
"""The country of the shop, then other countries."""
P_BRIEF = 0.25
"""Probability that an interest moves for one invoice only."""
LEAST_VISITS = 3
"""The interest of a person with fewer invoices does not move."""
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


def draw_shop(
    config: InvoiceConfig, of_items: np.random.Generator, of_people: np.random.Generator, of_visits: np.random.Generator
) -> Shop:
    """Draw a shop. Each part has a generator of its own, so that a change of one part leaves the others as they are."""
    calendar = _calendar(config.months)
    catalogue = _draw_catalogue(config, len(calendar.demand), of_items)
    people = _draw_people(config, len(calendar.demand), of_people)
    return Shop(config, calendar, catalogue, people, _draw_visits(people, calendar, of_visits))


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
        main_theme = family if family < len(THEMES) else random.choice(len(THEMES), p=P_THEMES)
        for number_in_family in range(2 + random.poisson(2)):
            keeps_theme = number_in_family == 0 or random.random() < P_FAMILY_THEME
            theme = main_theme if keeps_theme else random.choice(len(THEMES), p=P_THEMES)
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
    first = int(random.choice([at for at in range(len(title) - 1) if title[at : at + 2].isalpha()]))
    return title[:first] + title[first + 1] + title[first] + title[first + 2 :]


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
