"""Read Amazon reviews of 2014, 2018 and 2023 (McAuley Lab): reviews or bare ratings, with metadata of the items."""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from whimbrel.tools.errors import DataError
from whimbrel.tools.literals import json_object
from whimbrel.tools.records import LONGEST_TITLE
from whimbrel.tools.sources.cells import unescaped
from whimbrel.tools.sources.lines import LONGEST_SHOWN, read_lines
from whimbrel.tools.sources.rows import Row, Source

LINES_SEARCHED = 100  # first lines that are searched for an ASIN, if a CSV file has no column names

# The columns of a rating: _OLD in the files of 2014 and 2018, _NEW in those of 2023.
_OLD = ("reviewerID", "asin", "overall", "unixReviewTime")
_NEW = ("user_id", "parent_asin", "rating", "timestamp")
_ENDING = re.compile(r"\.(?:json|jsonl|csv)(?:\.gz)?$")
# What stands around the category in the name of a review file, as in `reviews_Toys_5` or `Toys.train`.
_PART = re.compile(r"^(?:reviews|ratings)_|(?:_\d+)?(?:\.(?:train|valid|test)(?:_w_his)?)?$")
_ASIN = re.compile(r"B[0-9A-Z]{9}|[0-9]{9}[0-9X]")
_RATED = re.compile(r"[^,\s]+,[^,\s]+,[1-5](?:\.0)?,[0-9]{9,10}")
_TAG = re.compile(r"<[^<>]*>")
_PRICE = re.compile(r"(?:from )?\$? ?([0-9][0-9,]{0,11}(?:\.[0-9]{1,2})?)(?: ?- ?\$?[0-9,.]+)?")


def read_amazon(path: Path) -> Source:
    """Read a folder of reviews and metadata, or one file of reviews and the `meta_*` files in the same folder.

    Items come first, then reviews.

    - In the files of 2023, an item is a `parent_asin`, which unites the variants of a product. `style` is left out.
    - The text of an item is its brand, description and features. The text of a review is left out.
    - A title is cut at 500 characters. The price of a range is its lower end. An unreadable price is left out.
    - If there is no metadata at all, an item has its id as its title. Otherwise, a review is rejected if its item has
      no metadata.
    - If a file exists both plain and gzipped, the plain one is read.

    Raises:
        DataError: There are no reviews, or the columns of a CSV file cannot be recognised.
    """
    if path.is_dir():
        reviews, metadata = _reviews(path), _metadata(path)
    elif path.name.startswith("meta_"):
        raise DataError(f"{str(path)!r} is metadata: give the file of reviews beside it, or the folder of both")
    else:
        reviews, metadata = [path], _metadata(path.parent, of=path)
    if not reviews:
        expected = "expected files .json, .jsonl or .csv (.gz too), and beside them meta_*"
        raise DataError(f"{str(path)!r} holds no Amazon reviews: {expected}")
    review = partial(_review, untitled=not metadata)
    parts = [_Part(file, json_object, _item, catalogue=True) for file in metadata]
    parts += [_Part(file, _reader(file), review) for file in reviews]
    name = path.resolve().name if path.is_dir() else path.name
    return Source(name, _rows(parts), sum(part.file.stat().st_size for part in parts))


def is_amazon(path: Path) -> bool:
    """Return whether the first line of a file is certainly an Amazon review or rating.

    For a folder, return whether this holds for any of its files.
    """
    if path.is_dir():
        return any(map(is_amazon, _reviews(path)))
    if not (path.is_file() and _ENDING.search(path.name)):
        return False
    for line in islice(read_lines(path), 1):
        if _is_csv(path):
            names = line.text.split(",")
            return set(_NEW) <= set(names) or bool(_RATED.fullmatch(line.text) and _names(names))
        try:
            document = json_object(line.text)
        except ValueError:
            return False
        return document.keys() >= set(_OLD) or document.keys() >= set(_NEW)
    return False


class _Part(NamedTuple):
    """A file with two functions: `parse` turns a line into a document, `make` turns a document into fields."""

    file: Path
    parse: Callable[[str], Mapping[str, Any] | None]
    make: Callable[[Mapping[str, Any]], dict[str, Any]]
    catalogue: bool = False


def _rows(parts: Iterable[_Part]) -> Iterator[Row]:
    start = 0
    for file, parse, make, catalogue in parts:
        for number, text, position, problem in read_lines(file):
            try:
                if problem:
                    raise ValueError(problem)
                document = parse(text)
                if document is None:  # the line that names the columns
                    continue
                fields = make(document)
            except ValueError as error:
                yield Row(file.name, number, {"line": text[:LONGEST_SHOWN]}, start + position, str(error))
            else:
                yield Row(file.name, number, fields, start + position, catalogue=catalogue)
        start += file.stat().st_size


def _reviews(folder: Path) -> list[Path]:
    return _plain_first(file for file in folder.iterdir() if not file.name.startswith(("meta_", ".")))


def _metadata(folder: Path, *, of: Path | None = None) -> list[Path]:
    """Return the metadata files of a folder.

    With `of`, return only those that belong to this review file: `meta_Books.json.gz` belongs to
    `reviews_Books_5.json.gz`.
    """
    files = _plain_first(file for file in folder.iterdir() if file.name.startswith("meta_"))
    if of is None:
        return files
    stem = _ENDING.sub("", of.name)
    return [file for file in files if _ENDING.sub("", file.name) in (f"meta_{stem}", f"meta_{_PART.sub('', stem)}")]


def _plain_first(files: Iterable[Path]) -> list[Path]:
    """Return the data files among `files`, sorted by name. Of a plain and a gzipped copy, the plain one is kept."""
    fitting = sorted((file for file in files if _ENDING.search(file.name) and file.is_file()), reverse=True)
    return sorted({file.name.removesuffix(".gz"): file for file in fitting}.values())


def _is_csv(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".csv")


def _reader(path: Path) -> Callable[[str], Mapping[str, Any] | None]:
    """Return the function that parses a line of reviews. It returns None for the line of column names."""
    if not _is_csv(path):
        return json_object
    for line in islice(read_lines(path), LINES_SEARCHED):
        cells = line.text.split(",")
        header = bool({"asin", "parent_asin"} & set(cells))
        if names := cells if header else _names(cells):
            return partial(_rating, names=names, header=line.text if header else None)
    raise DataError(
        f"the columns of {path.name!r} cannot be recognised: they have no names, and none looks like an ASIN"
    )


def _names(cells: list[str]) -> list[str]:
    """Return the column names of ratings without a header; none if they are uncertain.

    The files of 2014 have the reviewer first. The files of 2018 have the item first.
    """
    items = [bool(_ASIN.fullmatch(cell)) for cell in cells[:2]]
    if len(cells) != len(_OLD) or items.count(True) != 1:
        return []
    return ["asin", "reviewerID", *_OLD[2:]] if items[0] else [*_OLD]


def _rating(text: str, *, names: list[str], header: str | None) -> dict[str, str] | None:
    if text == header:
        return None
    try:
        cells = next(csv.reader([text]), [])
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from None
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} values, expected {len(names)}")
    return dict(zip(names, cells, strict=True))


def _review(document: Mapping[Any, Any], *, untitled: bool) -> dict[str, Any]:
    """Return the fields of a rating. The `title` of a review is left out, since it is not the title of the item."""
    old = "reviewerID" in document
    user_id, item_id, rating, time = (document.get(name) for name in (_OLD if old else _NEW))
    fields = {
        "user_id": user_id,
        "item_id": item_id or document.get("asin"),
        "time": time if old or math.isnan(_number(time)) else _number(time) / 1000,  # milliseconds in the files of 2023
        "event": "rating",
        "rating": rating,
    }
    for name, value in fields.items():
        if value in (None, ""):
            raise ValueError(f"{name}: none here")
        if not _is_plain(value):
            raise ValueError(f"{name}: neither a text nor a number of at most 18 digits")
    if not 1 <= _number(rating) <= 5:
        raise ValueError(f"rating: {str(rating)[:40]!r} is not between 1 and 5")
    return fields | ({"title": fields["item_id"]} if untitled else {})


def _item(document: Mapping[Any, Any]) -> dict[str, Any]:
    item_id = document.get("parent_asin") or document.get("asin")
    if not _is_plain(item_id):
        raise ValueError("asin: none here")
    title = " ".join(_texts(document.get("title"), depth=0))
    if not title:
        raise ValueError("title: none here")
    if "getTime" in title:
        raise ValueError("title: a script of the web page")  # scraping errors in some titles of 2018
    topics = _texts(document.get("categories")) or _texts(document.get("category"))
    item = {
        "item_id": item_id,
        "title": title[:LONGEST_TITLE],
        "topics": topics or _texts(document.get("main_category")) or _texts(document.get("main_cat")),
        "text": " ".join(t for n in ("brand", "description", "features", "feature") for t in _texts(document.get(n))),
        "price": _price(document.get("price")),
        "image": _image(document),
    }
    return {name: value for name, value in item.items() if value not in (None, "")}


def _texts(value: object, *, depth: int = 2) -> list[str]:
    """Return the texts in a value, without markup.

    The value is a text or a list. Lists are read up to `depth` levels deep. Other values are skipped.
    """
    if isinstance(value, list) and depth:
        return [text for part in value for text in _texts(part, depth=depth - 1)]
    text = unescaped(_TAG.sub(" ", value)).strip() if isinstance(value, str) else ""
    return [text] if text else []


def _price(value: object) -> float | None:
    match = _PRICE.fullmatch(value.strip()) if isinstance(value, str) else None
    price = _number(match[1].replace(",", "") if match else value)
    return price if 0 <= price < 1e9 else None


def _image(document: Mapping[Any, Any]) -> str | None:
    """Return the first web address of the highest resolution.

    A path is refused, because it would name a file on this machine.
    """
    images = document.get("images")
    of_2023 = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    values = [image.get(size) for size in ("hi_res", "large", "thumb") for image in of_2023]
    values += [document.get(name) for name in ("imageURLHighRes", "imageURL", "image", "imUrl")]
    addresses = (address for value in values for address in (value if isinstance(value, list) else [value]))
    return next((address for address in addresses if _is_address(address)), None)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"https?://[!-~]{1,1900}", value) is not None


def _is_plain(value: object) -> bool:
    """Return whether the value is a text, or a number of at most 18 digits, which JSON can hold."""
    return isinstance(value, str) or abs(_number(value)) < 1e18


def _number(value: object) -> float:
    """Return the value as a number; NaN if it is not a number."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan
