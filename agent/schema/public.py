"""The values and errors of `whimbrel.tools` that are part of the agent's Python interface."""

from whimbrel.tools.errors import ConfigError, DataError, ModelError, StoreError, WhimbrelError
from whimbrel.tools.records import Interaction, Item

__all__ = ["ConfigError", "DataError", "Interaction", "Item", "ModelError", "StoreError", "WhimbrelError"]
