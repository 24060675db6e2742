"""Replies kept on disk: the same question to the same model is asked once, whoever asks."""

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Likelihoods, T, Usage
from whimbrel.prompts import Message
from whimbrel.tools.files.disk_cache import DiskCache
from whimbrel.tools.files.paths import cache_folder

MOST_BYTES = 256 << 20
KEPT_SECONDS = 30 * 24 * 3600.0


class CachingModel:
    """A model that answers from the cache what it was asked before, word for word: same digest, text and settings.

    Safe for several processes. The cache holds digests of questions, and replies; a cache that fails is left out.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.spec, self.digest, self.context_tokens = model.spec, model.digest, model.context_tokens
        self.count_tokens = model.count_tokens
        self._cache = DiskCache(cache_folder() / "replies", most_bytes=MOST_BYTES)

    @property
    def scores(self) -> bool:
        return self.model.scores

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        shape = schema.model_json_schema()
        keys = [
            self._key([[m["role"], m["content"]] for m in messages], shape, max_tokens) for messages in conversations
        ]
        known = [self._reply(key, schema) for key in keys]
        open_ = [number for number, reply in enumerate(known) if reply is None]
        asked = self.model.generate([conversations[n] for n in open_], schema=schema, max_tokens=max_tokens)
        found = dict(zip(open_, asked, strict=True))
        for number, reply in found.items():
            if reply.value is not None:
                self._cache.put({keys[number]: reply.value.model_dump_json()}, seconds=KEPT_SECONDS)
        return [reply or found[number] for number, reply in enumerate(known)]

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        key = self._key(prompt, list(continuations))
        known = self._cache.get([key]).get(key)
        if isinstance(known, list) and _numbers(known, len(continuations)):
            return Likelihoods([float(value) for value in known], Usage(remembered=1))
        found = self.model.log_likelihood(prompt, continuations)
        self._cache.put({key: found.values}, seconds=KEPT_SECONDS)
        return found

    def forget(self) -> None:
        self.model.forget()

    def close(self) -> None:
        """Release the cache and the model."""
        self._cache.close()
        close = getattr(self.model, "close", None)
        if close:
            close()

    def _reply(self, key: str, schema: type[T]) -> Generation[T] | None:
        known = self._cache.get([key]).get(key)
        with suppress(ValueError, TypeError):
            return Generation(schema.model_validate_json(str(known)), Usage(generations=1, remembered=1))
        return None

    def _key(self, *parts: Any) -> str:
        return hashlib.sha256(json.dumps([self.digest, *parts]).encode()).hexdigest()


def _numbers(known: list[Any], count: int) -> bool:
    """Whether what the cache holds is so many likelihoods."""
    return (
        isinstance(known, list)
        and len(known) == count
        and all(isinstance(value, float) and math.isfinite(value) for value in known)
    )
