"""The library of llama.cpp, loaded once and kept silent."""

import ctypes
import os
from typing import Any

from whimbrel.tools.errors import ConfigError

# llama.cpp holds a bare pointer to the callback, so the callback must live as long as the process
_log_callback: Any = None


def load_library() -> Any:
    """Return the module `llama_cpp`. Its threads wait without using the processor, and its log is not printed.

    Raises:
        ConfigError: The package is not installed.
    """
    global _log_callback
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import llama_cpp
    except ImportError as error:
        raise ConfigError(f"llama-cpp-python is not installed ({error}): run `make install`") from error
    if _log_callback is None:
        _log_callback = _silent_callback(llama_cpp.llama_log_callback)
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    return llama_cpp


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _silent_callback(kind: Any) -> Any:
    """Return a log callback that does nothing.

    The callback is the C function `abs` if it can be found. In a Python callback, an interruption (Ctrl-C) would be
    lost.
    """
    try:
        return ctypes.cast(ctypes.CDLL(None).abs, kind)
    except (OSError, TypeError, AttributeError):
        return kind(lambda *_: None)
