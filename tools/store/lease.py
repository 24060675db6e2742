"""A lease: the right to rewrite the users' records, which one writer has at a time.

A folder is locked by its process, so its threads alone take turns. On a server, the processes of many machines take
turns by records in `notes`. Chroma keeps the first of several records that are added with the same id. Whoever adds the
next number thus holds the lease, and all others see that.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from whimbrel.tools.errors import StoreError
from whimbrel.tools.store.chroma import Database
from whimbrel.tools.store.notes import COLLECTION

SECONDS, RENEWED_AFTER, RETRIED_AFTER = 60.0, 15.0, 0.5
"""A lease that is not renewed for SECONDS is over, so that a killed process does not hold it for ever."""
CLOCK_SECONDS = 3600.0
"""Clocks of machines differ by less. A lease whose end is this long past is over at once."""
_PREFIX = "lease "


class Lease:
    """The lease of one store, as seen from one process."""

    def __init__(self, database: Database, *, shared: bool) -> None:
        """Make the lease, which nobody holds yet.

        Args:
            database: The store.
            shared: Whether processes share the store.
        """
        self._database, self._shared = database, shared
        self._turn, self._depth = threading.RLock(), 0
        # The latest number with its end, and since when they are the same.
        self._seen, self._since = (0, 0.0), 0.0

    @contextmanager
    def held(self, *, wait: float) -> Iterator[None]:
        """Hold the lease until the block ends. A thread that holds it may take it again.

        Args:
            wait: How many seconds to wait while another writer holds it.

        Raises:
            StoreError: another writer held it all the time.
        """
        self._database.require_writable()
        until = time.monotonic() + wait
        if not self._turn.acquire(timeout=wait):
            raise self._is_held()
        self._depth += 1
        try:
            if not self._shared or self._depth > 1:
                yield
            else:
                with self._renewed(self._take(until)):
                    yield
        finally:
            self._depth -= 1
            self._turn.release()

    def _take(self, until: float) -> int:
        """Return the number of the lease when this process has it."""
        me = uuid4().hex
        while True:
            numbers = self._numbers()
            latest = max(numbers, default=0)
            if self._is_over(latest, numbers.get(latest, 0.0)):
                mine = _record_id(latest + 1)
                self._database.put_new(COLLECTION, mine, {"owner": me, "until": time.time() + SECONDS})
                owners = [metadata["owner"] for _, metadata in self._database.get(COLLECTION, [mine], "metadatas")]
                # Others may have taken this number, ended it, and taken the next one since the numbers were read.
                if owners == [me] and max(self._numbers(), default=0) == latest + 1:
                    self._database.delete(COLLECTION, [_record_id(number) for number in numbers])
                    return latest + 1
                if owners == [me]:
                    self._database.delete(COLLECTION, [mine])
            if time.monotonic() >= until:
                raise self._is_held()
            time.sleep(RETRIED_AFTER)

    def _is_over(self, latest: int, until: float) -> bool:
        """Return whether a lease has ended. Clocks jump, so a renewal is noticed by its change, not by its time."""
        if (latest, until) != self._seen:
            self._seen, self._since = (latest, until), time.monotonic()
        is_silent = time.monotonic() - self._since >= SECONDS
        return not until or is_silent or time.time() >= until + CLOCK_SECONDS

    def _numbers(self) -> dict[int, float]:
        """Return when each lease ends, keyed by number. The highest number counts."""
        self._database.recount(COLLECTION)
        return {
            int(id_.removeprefix(_PREFIX)): float(metadata["until"])
            for page in self._database.pages(COLLECTION, "metadatas")
            for id_, metadata in page
            if id_.startswith(_PREFIX)
        }

    @contextmanager
    def _renewed(self, number: int) -> Iterator[None]:
        """Renew the lease until the block ends, then end it."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEWED_AFTER):
                self._write(number, time.time() + SECONDS)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._write(number, 0.0)

    def _write(self, number: int, until: float) -> None:
        with suppress(StoreError):  # a lease that cannot be renewed ends by itself
            self._database.put(COLLECTION, {_record_id(number): {"owner": "", "until": until}})

    def _is_held(self) -> StoreError:
        return StoreError(
            f"store {self._database.location!r} is being written by another process: wait for it to end. If it was "
            f"killed, this takes up to {SECONDS:.0f} s"
        )


def _record_id(number: int) -> str:
    return f"{_PREFIX}{number}"
