"""The agent: its stages, language models, conversation and command line. Names are loaded when first used."""

import lazy_loader

# The stub beside this file says the same to type checkers. lazy_loader can read it, which costs every command 5 ms.
_NAMES = {
    "agent": ["Agent"],
    "async_agent": ["AsyncAgent"],
    "chat.session": ["Session"],
    "language_models.hosted.budget": ["Budget"],
    "language_models.langchain_model": ["LangChainModel"],
    "language_models.local_chat_model": ["LocalChatModel"],
    "language_models.protocol": ["LanguageModel"],
    "language_models.scripted": ["ScriptedModel"],
    "middleware": ["RunBudget", "WhimbrelMiddleware"],
    "schema.context": ["Context"],
    "schema.public": [
        "BusyError",
        "ConfigError",
        "DataError",
        "Interaction",
        "Item",
        "ModelError",
        "StoreError",
        "WhimbrelError",
    ],
    "schema.results": ["CitedEvent", "Recommendation", "Recommendations", "Shift"],
    "shift.timeline": ["Period", "Timeline"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)
