"""Threads for the calls of an event loop. Unlike those of an executor, they do not keep a process that ends alive."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class CallThreads:
    """A few threads that call functions, in the order in which they are given."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Return the future result of a call.

        Raises:
            RuntimeError: the threads are closed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the agent is closed")
            self._unfinished.add(future)
            self._waiting.put((future, call))
            if len(self._threads) < self._count:
                self._threads.append(threading.Thread(target=self._work, daemon=True, name="whimbrel"))
                self._threads[-1].start()
        future.add_done_callback(self._finish)
        return future

    def close(self, seconds: float) -> int:
        """Cancel the calls that wait, and wait for those that run. Return how many still run after some seconds."""
        with self._lock:
            self._is_closed = True
            unfinished = list(self._unfinished)
            for _ in self._threads:
                self._waiting.put(None)
        for future in unfinished:
            future.cancel()  # one that runs goes on
        return len(wait([future for future in unfinished if not future.done()], seconds).not_done)

    def _finish(self, future: "Future[Any]") -> None:
        with self._lock:
            self._unfinished.discard(future)

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            future, call = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # whoever awaits gets it
                future.set_exception(error)
            del future, call, waiting  # else a thread that waits keeps the last result
