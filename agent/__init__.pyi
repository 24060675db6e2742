from .agent import Agent
from .async_agent import AsyncAgent
from .chat.session import Session
from .language_models.hosted.budget import Budget
from .language_models.langchain_model import LangChainModel
from .language_models.local_chat_model import LocalChatModel
from .language_models.protocol import LanguageModel
from .language_models.scripted import ScriptedModel
from .middleware import RunBudget, WhimbrelMiddleware
from .schema.context import Context
from .schema.public import BusyError, ConfigError, DataError, Interaction, Item, ModelError, StoreError, WhimbrelError
from .schema.results import CitedEvent, Recommendation, Recommendations, Shift
from .shift.timeline import Period, Timeline

__all__ = [
    "Agent",
    "AsyncAgent",
    "Budget",
    "BusyError",
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
    "RunBudget",
    "ScriptedModel",
    "Session",
    "Shift",
    "StoreError",
    "Timeline",
    "WhimbrelError",
    "WhimbrelMiddleware",
]
