"""How many users of an item have each other item."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog, Ints

MOST_KEPT = 5_000_000
"""About this many counts are kept, 40 MB. A run over all users asks for popular items again and again."""


class SharedUsers:
    """Counts of the users that two items of a log share. Those as of the end of the log are kept."""

    def __init__(self, log: InteractionLog) -> None:
        self._log = log
        self._kept: dict[int, tuple[Ints, Ints]] = {}
        self._size = 0

    @classmethod
    def of_log(cls, log: InteractionLog) -> "SharedUsers":
        """Return the counts that are kept with a log."""
        counts: SharedUsers = log.computed.setdefault(cls, cls(log))
        return counts

    def of(self, items: Ints, pairs: Sequence[Ints], *, before: float) -> Any:
        """Count the users that items share with each other item.

        Args:
            items: Rows of distinct items.
            pairs: For each of them, the positions of its (user, item) pairs whose users count. As of the end of the
                log, an item must have the same pairs in each call.
            before: A time in Unix seconds. Only earlier events count.

        Returns:
            A sparse array of shape (items, items of the log). An item shares no users with itself.
        """
        if not len(items) or (self._log.end is not None and before <= self._log.end):
            return self._count(items, pairs, before)
        from scipy.sparse import csr_array

        kept = {item: row for item in items.tolist() if (row := self._kept.get(item)) is not None}
        absent = [place for place, item in enumerate(items.tolist()) if item not in kept]
        counted = self._count(items[absent], [pairs[place] for place in absent], before)
        for item, start, end in zip(items[absent].tolist(), counted.indptr, counted.indptr[1:], strict=False):
            kept[item] = self._keep(item, (counted.indices[start:end].copy(), counted.data[start:end].copy()))
        if len(absent) == len(items):
            return counted
        rows = [kept[item] for item in items.tolist()]
        columns, counts = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
        bounds = np.cumsum([0, *(len(row[0]) for row in rows)])
        return csr_array((counts, columns, bounds), shape=(len(items), len(self._log.item_ids)))

    def _count(self, items: Ints, pairs: Sequence[Ints], before: float) -> Any:
        from scipy.sparse import csr_array

        log = self._log
        flat = np.concatenate(pairs) if len(pairs) else np.empty(0, dtype=np.int64)
        users, of_pair = np.unique(log.pair_user[flat], return_inverse=True)
        met, counts = log.items_of(users, before=before)
        ones = np.ones(max(len(met), len(flat)), dtype=np.int32)
        has = csr_array(
            (ones[: len(met)], met, np.concatenate([[0], np.cumsum(counts)])), shape=(len(users), len(log.item_ids))
        )
        bounds = np.cumsum([0, *map(len, pairs)])
        users_of = csr_array((ones[: len(flat)], of_pair, bounds), shape=(len(items), len(users)))
        # The product reads each user's items once for each of the given items. It takes a third of the time of
        # counting them with numpy (2 and 6 ms for 500,000 of them on MovieLens 100K).
        shared = users_of @ has
        shared.data[shared.indices == np.repeat(items, np.diff(shared.indptr))] = 0
        return shared

    def _keep(self, item: int, row: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        if self._size > MOST_KEPT:
            self._kept, self._size = {}, 0
        self._kept[item] = row
        self._size += len(row[0])
        return row
