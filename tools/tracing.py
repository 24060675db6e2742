"""Whether LangChain may post traces. They hold prompts, ids and titles, so its own variables do not turn them on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

VARIABLE = "WHIMBREL_TRACING"
"""Unset: no traces, whatever else asks for them. `masked`: traces without inputs and outputs. `whole`: with them."""
Tracing = Literal["off", "masked", "whole"]


def wanted_tracing() -> Tracing:
    """Return what the environment allows. An unknown value allows nothing."""
    value = os.environ.get(VARIABLE, "").strip().casefold()
    return cast(Tracing, value) if value in ("masked", "whole") else "off"


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
