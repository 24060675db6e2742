"""Replies that are answered from the cache on disk."""

from typing import Any

from pydantic import BaseModel

from whimbrel.agent import ScriptedModel
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.agent.language_models.reply_cache import CachingModel


class Tea(BaseModel):
    tea: str


def test_what_was_asked_before_is_answered_from_disk_for_the_same_words_only() -> None:
    script = ScriptedModel({"Tea": {"tea": "green"}})
    asked: Any = [{"role": "user", "content": "Which?"}]
    with_cache = CachingModel(script)
    first, second = (with_cache.generate([asked], schema=Tea, max_tokens=9)[0] for _ in range(2))
    assert first.value == second.value == Tea(tea="green")
    assert second.usage == Usage(generations=1, remembered=1)
    assert len(script.conversations) == 1
    with_cache.generate([[{"role": "user", "content": "Which? "}]], schema=Tea, max_tokens=9)
    with_cache.generate([asked], schema=Tea, max_tokens=8)
    assert len(script.conversations) == 3
    values = with_cache.log_likelihood("a", ["b", "c"])
    assert with_cache.log_likelihood("a", ["b", "c"]).values == values.values
    assert with_cache.log_likelihood("a", ["c", "b"]).usage.remembered == 0
    with_cache.close()


def test_a_reply_that_fits_no_schema_is_asked_for_again() -> None:
    script = ScriptedModel({"Tea": "no"})
    model = CachingModel(script)
    for _ in range(2):
        model.generate([[{"role": "user", "content": "Which?"}]], schema=Tea, max_tokens=9)
    assert len(script.conversations) == 2
    model.close()
