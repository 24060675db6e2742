"""A process that records feedback in a store, and notes each event that was acknowledged. A study kills it."""

import json
import sys
import threading
import time
from pathlib import Path

from whimbrel.tools.errors import StoreError
from whimbrel.tools.records import Occurrence
from whimbrel.tools.store import store as store_module
from whimbrel.tools.store.store import Store, open_store

START = 2_000_000_000.0
PAUSE_SECONDS = 0.2  # after an event that was refused


def main(
    location: str, notes: str, first: int, count: int, people: int, threads: int, folded_at: int, refusals: int = 0
) -> None:
    """Record events and note each one after `Store.add` returned.

    Args:
        location: The store.
        notes: The file of notes, one JSON document a line: the person and the time of an event.
        first: The number of the first event. No two processes share a number.
        count: How many events.
        people: Among how many people the events are spread.
        threads: How many threads record them.
        folded_at: The number of events at which the journal is folded.
        refusals: 1 if the store may refuse events, since its server fails. They are not noted.
    """
    store_module.FOLDED_AT = folded_at
    with open_store(location) as store, Path(notes).open("a", encoding="utf-8", buffering=1) as file:
        lock = threading.Lock()

        def record(share: range) -> None:
            for number in share:
                try:
                    _record(store, number, people)
                except StoreError:
                    if not refusals:
                        raise
                    time.sleep(PAUSE_SECONDS)
                    continue
                with lock:
                    file.write(json.dumps([f"person {number % people}", START + number]) + "\n")

        shares = [range(first + part, first + count, threads) for part in range(threads)]
        workers = [threading.Thread(target=record, args=(share,)) for share in shares]
        print("begun", flush=True)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _record(store: Store, number: int, people: int) -> None:
    item_ids = store.log.item_ids
    event = Occurrence(START + number, item_ids[number % len(item_ids)], "click", is_feedback=True)
    store.add(f"person {number % people}", event)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
