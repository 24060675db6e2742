"""The fields of a whole catalogue as columns, to find the items that fulfil conditions."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.conditions import Condition
from whimbrel.tools.fields import FieldValue
from whimbrel.tools.records import Item


class FieldTable:
    """The values of every field, one row for each item of a log.

    Attributes:
        columns: For each field, the value of each item, in the order of `item_ids`; None where it is unknown. `topics`
            and `price` are columns if an item has them.
        titles: The title of each item.
        texts: The description of each item; "" if it has none.
    """

    def __init__(self, items: Iterable[Item], item_ids: Sequence[str]) -> None:
        """Read the fields of a catalogue.

        Args:
            items: The items, in any order.
            item_ids: The ids of the rows. An item with another id is left out.
        """
        row_of = {item_id: row for row, item_id in enumerate(item_ids)}
        self.columns: dict[str, list[FieldValue | None]] = {}
        self.titles: list[str] = [""] * len(item_ids)
        self.texts: list[str] = [""] * len(item_ids)
        for item in items:
            row = row_of.get(item.item_id)
            if row is None:
                continue
            self.titles[row], self.texts[row] = item.title, item.text
            facts = {"topics": item.topics or None, "price": item.price, **item.fields}
            for name, value in facts.items():
                if value is not None:
                    self.columns.setdefault(name, [None] * len(item_ids))[row] = value

    def rows_where(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        """Return for each row whether its item fulfils all conditions, shape (items,)."""
        mask = np.ones(len(self.titles), dtype=np.bool_)
        for condition in conditions:
            mask &= np.fromiter(map(condition.admits, self._column(condition.field)), dtype=np.bool_, count=len(mask))
        return mask

    def _column(self, name: str) -> Sequence[FieldValue | None]:
        if name == "title":
            return self.titles
        if name == "text":
            return [text or None for text in self.texts]
        return self.columns.get(name, [None] * len(self.titles))

    @cached_property
    def rows_by_title(self) -> dict[str, list[int]]:
        """The rows of each title, keyed by the title without regard to case."""
        rows: dict[str, list[int]] = {}
        for row, title in enumerate(self.titles):
            rows.setdefault(title.casefold(), []).append(row)
        return rows
