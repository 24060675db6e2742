"""Work that nobody waits for any more. It ends at its next step, so that it does not take the place of other work."""

import threading
from contextvars import ContextVar

GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)
"""Set in the context of a call, and then set itself once nobody waits for the call."""


def stop_if_given_up() -> None:
    """Raise TimeoutError if nobody waits for this call any more."""
    event = GIVEN_UP.get()
    if event is not None and event.is_set():
        raise TimeoutError("nobody waits for this answer any more")
