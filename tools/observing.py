"""What observers are told of a request: spans of OpenTelemetry, and runs for LangChain's callbacks.

Nobody is told anything unless the program has set a tracer provider, or has called a Runnable with callbacks. Ids,
titles and texts are told only if `content_is_wanted`.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from whimbrel.tools.tracing import is_local_only, traced_as_wanted

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

CONTENT = "WHIMBREL_TRACE_CONTENT"
"""If it is `1`, spans and runs hold ids, titles and texts too."""
Fact = str | int | float | bool


def content_is_wanted() -> bool:
    """Return whether observers are told ids, titles and texts."""
    return os.environ.get(CONTENT, "").strip().casefold() in ("1", "true", "yes", "on") and not is_local_only()


class Observation:
    """What is told of one step.

    Attributes:
        is_heard: Whether anybody listens. If not, nothing needs to be computed for it.
        facts: Counts, names of models and such, keyed by the names of attributes.
    """

    def __init__(self, facts: Mapping[str, Fact], *, is_heard: bool) -> None:
        self.is_heard = is_heard
        self.facts = dict(facts)

    def tell(self, facts: Mapping[str, Fact], content: Callable[[], Mapping[str, Fact]] = dict) -> None:
        """Add facts, and what `content` returns if content is wanted."""
        if self.is_heard:
            self.facts |= facts
            self.facts |= content() if content_is_wanted() else {}


@contextmanager
def _run(config: Any, name: str, told: Observation) -> Iterator[None]:
    """Tell LangChain's callbacks of a run, of which later runs within it are children."""
    from langchain_core.runnables.config import get_callback_manager_for_config, patch_config

    manager = get_callback_manager_for_config(config)
    name, run_id = config.get("run_name") or f"whimbrel.{name}", config.get("run_id")
    run = manager.on_chain_start(None, dict(told.facts), name=name, run_id=run_id)
    try:
        with _configured(patch_config(config, callbacks=run.get_child())):
            yield
    except BaseException as error:
        run.on_chain_error(error)
        raise
    run.on_chain_end(dict(told.facts))


Run = Callable[[Any, str, Observation], AbstractContextManager[None]]


@contextmanager
def observed(name: str, facts: Mapping[str, Fact] | None = None, *, run: Run | None = _run) -> Iterator[Observation]:
    """Tell observers of a step. Steps within it are its children.

    Args:
        name: The name of the step, without "whimbrel.".
        facts: What is known before.
        run: Tells LangChain's callbacks. If None, only spans are made.

    A span names an error by its class, since its message may name a person.

    Example:
        with observed("rank") as told:
            ranking = rank(candidates)
            told.tell({"whimbrel.candidates": len(candidates)})
    """
    trace, config = _tracing(), _listening()
    told = Observation(facts or {}, is_heard=bool(trace or config))
    with ExitStack() as stack:
        if trace:
            stack.enter_context(_span(trace, name, told))
        if config and run:
            stack.enter_context(traced_as_wanted())
            stack.enter_context(run(config, name, told))
        yield told


def _tracing() -> Any:
    """Return the module of OpenTelemetry; None if the program has set no tracer provider."""
    trace: Any = sys.modules.get("opentelemetry.trace")  # who sets a provider has imported it
    return trace if trace and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) else None


@contextmanager
def _span(trace: Any, name: str, told: Observation) -> Iterator[None]:
    tracer = trace.get_tracer("whimbrel")
    with tracer.start_as_current_span(
        f"whimbrel.{name}", record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_status(trace.StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            span.set_attributes(told.facts)


# LangChain.


def _listening() -> Any:
    """Return the configuration of the Runnable that runs; None if it has no callbacks."""
    module: Any = sys.modules.get("langchain_core.runnables.config")
    config = module.var_child_runnable_config.get() if module else None
    return config if config and config.get("callbacks") else None


@contextmanager
def heard_by(config: Any) -> Iterator[None]:
    """Let the callbacks of a LangChain configuration hear of what runs within the block.

    Args:
        config: A `RunnableConfig`, or None. One of a Runnable around it is merged into it.
    """
    from langchain_core.runnables.config import ensure_config

    with _configured(ensure_config(config)), traced_as_wanted():
        yield


@contextmanager
def _configured(config: Any) -> Iterator[None]:
    from langchain_core.runnables.config import var_child_runnable_config

    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def observed_runnable(function: Callable[[Any], Any], name: str) -> "Runnable[Any, Any]":
    """Return a function as a Runnable of LangChain, whose callbacks hear of the steps that it makes."""
    from langchain_core.runnables import Runnable

    class Observed(Runnable[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **settings: Any) -> Any:
            with heard_by(config):
                return function(input)

    runnable = Observed()
    runnable.name = name
    return runnable
