"""What may leave this machine: traces of LangChain, and prompts.

Traces hold prompts, ids and titles, so the variables of LangChain do not turn them on.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

VARIABLE = "WHIMBREL_TRACING"
"""Unset: no traces, whatever else asks for them. `masked`: traces without inputs and outputs. `whole`: with them."""
LOCAL_ONLY = "WHIMBREL_LOCAL_ONLY"
"""If it is set, nothing of a person leaves this machine. The option `--local-only` sets it."""
Tracing = Literal["off", "masked", "whole"]


def wanted_tracing() -> Tracing:
    """Return what the environment allows. An unknown value allows nothing."""
    value = os.environ.get(VARIABLE, "").strip().casefold()
    return cast(Tracing, value) if value in ("masked", "whole") and not is_local_only() else "off"


def is_local_only() -> bool:
    """Return whether nothing of a person may leave this machine, neither to a hosted model nor as a trace."""
    return os.environ.get(LOCAL_ONLY, "").strip().casefold() not in ("", "0", "no", "false", "off")


@contextmanager
def traced_as_wanted() -> Iterator[None]:
    """Let LangChain post no more than `wanted_tracing` allows until the block ends.

    Example:
        with traced_as_wanted():
            chat.invoke(messages)
    """
    from langsmith import Client, tracing_context

    wanted = wanted_tracing()
    if wanted == "off":
        with tracing_context(enabled=False):
            yield
    elif wanted == "masked":
        with tracing_context(client=Client(hide_inputs=True, hide_outputs=True)):
            yield
    else:
        yield
