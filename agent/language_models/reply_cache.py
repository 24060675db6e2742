"""Cache of replies on disk. The same question is put to the same model only once."""

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Likelihoods, T, Usage
from whimbrel.agent.language_models.wrapped_model import WrappedModel
from whimbrel.prompts import Message
from whimbrel.tools.files.disk_cache import DiskCache
from whimbrel.tools.files.paths import cache_folder

MAX_BYTES = 256 << 20
"""The largest size of the cache."""
MAX_AGE_SECONDS = 30 * 24 * 3600.0
"""Replies are dropped after 30 days."""


class CachingModel(WrappedModel):
    """A model that answers repeated questions from a cache on disk.

    A question is repeated if the model's digest, every word, image and setting are the same. A reply that does not fit
    its schema is not cached. Several processes may share the cache. It holds replies and digests of questions, but not
    the questions. If the cache cannot be used, the model is asked.

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> model = CachingModel(ScriptedModel())
        >>> model.spec
        'scripted'
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model)
        self._cache = DiskCache(cache_folder() / "replies", most_bytes=MAX_BYTES)

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation. The model is asked only for replies that are not cached."""
        json_schema = schema.model_json_schema()
        keys = [
            self._key([_told(message) for message in messages], json_schema, max_tokens) for messages in conversations
        ]
        replies = [self._cached_reply(key, schema) for key in keys]
        missing = [number for number, reply in enumerate(replies) if reply is None]
        asked = self.model.generate([conversations[n] for n in missing], schema=schema, max_tokens=max_tokens)
        new_replies = dict(zip(missing, asked, strict=True))
        for number, reply in new_replies.items():
            if reply.value is not None:  # a misfit is not cached, since another reply may fit
                self._cache.put({keys[number]: reply.value.model_dump_json()}, seconds=MAX_AGE_SECONDS)
        return [reply or new_replies[number] for number, reply in enumerate(replies)]

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihoods of continuations. The whole list is one entry of the cache."""
        key = self._key(prompt, list(continuations))
        values: Any = self._cache.get([key]).get(key)
        if _are_likelihoods(values, len(continuations)):
            return Likelihoods([float(value) for value in values], Usage(remembered=1))
        likelihoods = self.model.log_likelihood(prompt, continuations)
        self._cache.put({key: likelihoods.values}, seconds=MAX_AGE_SECONDS)
        return likelihoods

    def close(self) -> None:
        """Release the cache and the model."""
        self._cache.close()
        super().close()

    def _cached_reply(self, key: str, schema: type[T]) -> Generation[T] | None:
        document = self._cache.get([key]).get(key)
        with suppress(ValueError, TypeError):  # not cached, or damaged
            return Generation(schema.model_validate_json(str(document)), Usage(generations=1, remembered=1))
        return None

    def _key(self, *parts: Any) -> str:
        return hashlib.sha256(json.dumps([self.digest, *parts]).encode()).hexdigest()


def _told(message: Message) -> list[str]:
    return [message["role"], message["content"], *([message["image"]] if "image" in message else [])]


def _are_likelihoods(values: Any, count: int) -> bool:
    """Return whether a value from the cache is a list of `count` likelihoods."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, float) and math.isfinite(value) for value in values)
    )
