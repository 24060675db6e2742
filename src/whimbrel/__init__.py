"""Whimbrel: a recommender agent that follows a person's interest as it moves."""

import lazy_loader

from whimbrel.agent import __all__ as _names

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"agent": _names})
