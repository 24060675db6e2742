"""A log without some of its items, as if nobody had ever met them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import InteractionLog, distinct_pairs, offsets


def without_items(log: InteractionLog, hidden: NDArray[np.bool_]) -> InteractionLog:
    """Return a log without items, their events, and the topics that only they have. All users keep their rows.

    Args:
        log: The log.
        hidden: Whether each item is left out, shape (items,).
    """
    kept = ~hidden
    new_row = np.cumsum(kept) - 1
    events = kept[log.item]
    time, user, item = log.time[events], log.user[events], new_row[log.item[events]]
    rows = np.flatnonzero(kept)
    topic, owner = log.topics_of(rows)
    used, renumbered = np.unique(topic, return_inverse=True)
    return replace(
        log,
        item_ids=[log.item_ids[row] for row in rows],
        topics=[log.topics[row] for row in used],
        time=time,
        user=user,
        item=item,
        situation=log.situation[events],
        appeared=log.appeared[kept],
        topic_offset=offsets(np.bincount(owner, minlength=len(rows))),
        topic=renumbered.astype(np.int64),
        **distinct_pairs(time, user, item, users=len(log.user_ids), items=len(rows)),
    )
