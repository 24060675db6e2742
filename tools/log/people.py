"""Count the distinct people who interacted with items before a moment."""

from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog, Ints


@dataclass(frozen=True, eq=False)
class PeopleCounts:
    """Counts of the people of a log as of a moment, for the few items of a list.

    Attributes:
        log: The interactions of all users.
        before: A time in Unix seconds. Only earlier events count.
        without: Id of the user who does not count, because the counts are shown to them.
    """

    log: InteractionLog
    before: float = np.inf
    without: str = ""
    _users: dict[str, Ints] = field(default_factory=dict, repr=False)

    def of(self, *item_ids: str) -> int:
        """Count the people who interacted with all of these items; 0 if the log lacks one of them.

        Example:
            >>> from whimbrel.tools.records import Item
            >>> items = [Item(item_id=name, title=name) for name in "ab"]
            >>> rows = [(1.0, "u", "a", None), (2.0, "u", "b", None), (3.0, "v", "a", None)]
            >>> counts = PeopleCounts(InteractionLog.build(items, rows))
            >>> counts.of("a"), counts.of("a", "b")
            (2, 1)
        """
        users = [self._users_of(item_id) for item_id in item_ids]
        return len(reduce(lambda some, others: np.intersect1d(some, others, assume_unique=True), users))

    def since(self, item_id: str, since: float) -> int:
        """Count the people who interacted with an item at or after `since`."""
        (row,) = self.log.rows([item_id])
        start, stop = np.searchsorted(self.log.time, [since, self.before])
        users = np.unique(self.log.user[start:stop][self.log.item[start:stop] == row])
        return int(np.count_nonzero(users != self._without))

    @property
    def _without(self) -> int:
        return self.log.user_rows.get(self.without, -1)

    def _users_of(self, item_id: str) -> Ints:
        if item_id not in self._users:
            (row,) = self.log.rows([item_id])
            pairs = self.log.pairs_of(int(row), before=self.before) if row >= 0 else np.empty(0, dtype=np.int64)
            users = self.log.pair_user[pairs]
            self._users[item_id] = users[users != self._without]
        return self._users[item_id]
