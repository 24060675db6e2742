"""The values and errors of `whimbrel.tools` that are part of the Python interface of `whimbrel.agent`."""

from whimbrel.tools.errors import BusyError, ConfigError, DataError, ModelError, StoreError, WhimbrelError
from whimbrel.tools.records import Interaction, Item

__all__ = ["BusyError", "ConfigError", "DataError", "Interaction", "Item", "ModelError", "StoreError", "WhimbrelError"]
