"""How often an item was chosen when it was shown: what lists that were shown tell beyond what was met."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0)]
DOUBT = 3.0
"""As many showings at the mean rate are added to those of each item."""


class ClickRates(BaseModel):
    """How often each item was `shown`, and `chosen` then, by id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: Mapping[str, Count] = {}
    chosen: Mapping[str, Count] = {}

    @model_validator(mode="after")
    def _possible(self) -> "ClickRates":
        if any(count > self.shown.get(item_id, 0) for item_id, count in self.chosen.items()):
            raise ValueError("chosen more often than shown")
        return self

    @classmethod
    def of(cls, lists: Iterable[tuple[Sequence[str], Sequence[str]]]) -> "ClickRates":
        """From lists of ids that were shown, each with those of them that were chosen."""
        shown, chosen = Counter[str](), Counter[str]()
        for listed, taken in lists:
            shown.update(set(listed))
            chosen.update(set(taken) & set(listed))
        return cls(shown=dict(shown), chosen=dict(chosen))

    def rates(self, item_ids: Sequence[str]) -> NDArray[np.float64]:
        """Logarithm of the share of showings in which each was chosen, drawn to the mean of all, shape (items,); nan
        where nothing was ever chosen."""
        if not any(self.chosen.values()):
            return np.full(len(item_ids), np.nan)
        mean = sum(self.chosen.values()) / sum(self.shown.values())
        chosen, shown = (np.array([of.get(item_id, 0) for item_id in item_ids]) for of in (self.chosen, self.shown))
        return np.asarray(np.log((chosen + DOUBT * mean) / (shown + DOUBT)))
