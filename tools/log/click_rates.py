"""Click rates of items, learned from lists that were shown to users: how many showings led to a choice."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

NonNegativeCount = Annotated[int, Field(ge=0)]
PRIOR_SHOWINGS = 3.0
"""Each item gets this many extra showings at the mean rate. An item that was shown rarely thus stays near the mean."""


class ClickRates(BaseModel):
    """Counts of showings and choices, from which the click rates of items are computed.

    Attributes:
        shown: How many lists showed each item, keyed by id.
        chosen: In how many of these lists the item was chosen, keyed by id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: Mapping[str, NonNegativeCount] = {}
    chosen: Mapping[str, NonNegativeCount] = {}

    @model_validator(mode="after")
    def _check_chosen_was_shown(self) -> "ClickRates":
        if any(count > self.shown.get(item_id, 0) for item_id, count in self.chosen.items()):
            raise ValueError("an item was chosen more often than shown")
        return self

    @classmethod
    def of(cls, lists: Iterable[tuple[Sequence[str], Sequence[str]]]) -> "ClickRates":
        """Count showings and choices in lists that were shown.

        Args:
            lists: For each list, the ids of its items and the ids that were chosen. A chosen id that is not in its
                list is ignored.

        Example:
            ClickRates.of([(["tea", "bread"], ["tea"]), (["tea", "cake"], [])])
        """
        shown, chosen = Counter[str](), Counter[str]()
        for shown_ids, chosen_ids in lists:
            shown.update(set(shown_ids))
            chosen.update(set(chosen_ids) & set(shown_ids))
        return cls(shown=dict(shown), chosen=dict(chosen))

    def rates(self, item_ids: Sequence[str]) -> NDArray[np.float64]:
        """Compute the logarithm of each item's click rate, smoothed towards the mean rate by PRIOR_SHOWINGS.

        Returns:
            An array of shape (items,). An item that was never shown has the mean rate. If no item was ever chosen, all
            values are NaN.
        """
        # If nothing was chosen, the mean rate is 0 and its logarithm is not finite.
        if not any(self.chosen.values()):
            return np.full(len(item_ids), np.nan)
        mean = sum(self.chosen.values()) / sum(self.shown.values())
        chosen = np.array([self.chosen.get(item_id, 0) for item_id in item_ids])
        shown = np.array([self.shown.get(item_id, 0) for item_id in item_ids])
        return np.asarray(np.log((chosen + PRIOR_SHOWINGS * mean) / (shown + PRIOR_SHOWINGS)))
