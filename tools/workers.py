"""The processes that do the work of a long run: this one, several of this machine, or those of a Ray cluster."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from whimbrel.tools.errors import ConfigError, WhimbrelError

Task = TypeVar("Task")
Result = TypeVar("Result")
TASKS_AHEAD = 4
"""This many tasks for each worker are handed out before their results are wanted, so that no worker waits."""


@dataclass(frozen=True)
class Workers:
    """The processes that work.

    Attributes:
        count: Number of processes.
        ray: Address of a Ray cluster. `local` starts a cluster here, and None uses processes of this machine.
    """

    count: int = 1
    ray: str | None = None


@contextmanager
def worker_pool(
    workers: Workers, make: Callable[..., Callable[[Task], Result]], arguments: tuple[Any, ...]
) -> Iterator[Callable[[Iterable[Task]], Iterator[Result]]]:
    """Start the workers, and stop them when the block ends.

    Args:
        workers: The processes.
        make: Called once in each process. It returns the function that does a task.
        arguments: The arguments of `make`.

    Yields:
        A function that does tasks and yields their results in order.

    Raises:
        ConfigError: Ray is not installed.
    """
    if workers.ray is not None:
        with _ray_pool(workers, make, arguments) as pool:
            yield lambda tasks: pool.imap(_work, tasks)
    elif workers.count == 1:
        work = make(*arguments)
        with _one_thread():
            yield lambda tasks: map(work, tasks)
    else:
        # Processes are spawned, since fork is unsafe in a process with threads, and llama.cpp starts threads.
        spawn = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(workers.count, spawn, _begin_with_parent, (make, arguments))
        try:
            yield lambda tasks: _in_order(executor, tasks, ahead=TASKS_AHEAD * workers.count)
        finally:
            executor.shutdown(cancel_futures=True)


def _one_thread() -> Any:
    """Let numpy multiply on one thread, until the returned context ends.

    The arrays of a request are small, so several threads mostly wait for each other. With other work on both cores, a
    request took half the time of the processor on one thread (52 instead of 106 ms on MovieLens 100K).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")


def _in_order(executor: ProcessPoolExecutor, tasks: Iterable[Any], *, ahead: int) -> Iterator[Any]:
    """Yield the results of tasks in order. Only `ahead` tasks wait at a time, so a long run needs little memory."""
    waiting: deque[Future[Any]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(_work, task))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WhimbrelError(
            "a worker was killed, perhaps for lack of memory: run the same command with fewer --workers to go on"
        ) from error


def _ray_pool(workers: Workers, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        from ray.util.multiprocessing import Pool
    except ImportError as error:
        raise ConfigError(f"Ray is not installed ({error}): pip install 'whimbrel[ray]'") from error
    address = None if workers.ray == "local" else workers.ray
    try:
        return Pool(workers.count, _begin, (make, arguments), ray_address=address)
    except ConnectionError as error:
        raise ConfigError(
            f"no Ray cluster answers at {workers.ray!r}: start it with `ray start --head`, and if it asks for a token, "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from error


_worker: list[Callable[[Any], Any] | Exception] = []
"""What does a task in a worker process, set once when the process begins. A pool offers no other place for it."""


def _begin_with_parent(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Begin in a process that ends when its parent does.

    If the parent is killed, the process would otherwise wait for its next task for ever.
    """
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    _begin(make, arguments)


def _begin(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Begin in a process.

    An error is kept and raised at the first task. If it were raised here, the pool would not tell what it was.
    """
    try:
        _worker[:] = [make(*arguments)]
        _one_thread()
    except Exception as error:
        _worker[:] = [error]


def _work(task: Any) -> Any:
    (work,) = _worker
    if isinstance(work, Exception):
        raise work
    return work(task)
