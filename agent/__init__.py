"""The agent: stages, language models, the session and the command line. Names are loaded when first used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whimbrel.agent.context import Context
    from whimbrel.agent.language_models.budget import Budget
    from whimbrel.agent.language_models.langchain_models import LangChainModel, LocalChatModel
    from whimbrel.agent.language_models.protocol import LanguageModel
    from whimbrel.agent.language_models.scripted import ScriptedModel
    from whimbrel.agent.recommender import Agent
    from whimbrel.agent.results import CitedEvent, Recommendation, Recommendations, Shift
    from whimbrel.agent.session import Session
    from whimbrel.agent.timeline import Period, Timeline
    from whimbrel.tools.errors import ConfigError, DataError, ModelError, StoreError, WhimbrelError
    from whimbrel.tools.records import Interaction, Item

__all__ = [
    "Agent",
    "Budget",
    "CitedEvent",
    "ConfigError",
    "Context",
    "DataError",
    "Interaction",
    "Item",
    "LangChainModel",
    "LanguageModel",
    "LocalChatModel",
    "ModelError",
    "Period",
    "Recommendation",
    "Recommendations",
    "ScriptedModel",
    "Session",
    "Shift",
    "StoreError",
    "Timeline",
    "WhimbrelError",
]

_HOMES = {
    "Agent": "whimbrel.agent.recommender",
    "Budget": "whimbrel.agent.language_models.budget",
    "CitedEvent": "whimbrel.agent.results",
    "ConfigError": "whimbrel.tools.errors",
    "Context": "whimbrel.agent.context",
    "DataError": "whimbrel.tools.errors",
    "Interaction": "whimbrel.tools.records",
    "Item": "whimbrel.tools.records",
    "LangChainModel": "whimbrel.agent.language_models.langchain_models",
    "LanguageModel": "whimbrel.agent.language_models.protocol",
    "LocalChatModel": "whimbrel.agent.language_models.langchain_models",
    "ModelError": "whimbrel.tools.errors",
    "Period": "whimbrel.agent.timeline",
    "Recommendation": "whimbrel.agent.results",
    "Recommendations": "whimbrel.agent.results",
    "ScriptedModel": "whimbrel.agent.language_models.scripted",
    "Session": "whimbrel.agent.session",
    "Shift": "whimbrel.agent.results",
    "StoreError": "whimbrel.tools.errors",
    "Timeline": "whimbrel.agent.timeline",
    "WhimbrelError": "whimbrel.tools.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
