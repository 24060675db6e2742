"""Choice of the next token of a reply that must follow a grammar."""

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.library import load_library
from whimbrel.agent.language_models.local.llama import Llama
from whimbrel.tools.errors import ModelError

SHORTLIST = 64
"""The grammar is first applied to this many of the likeliest tokens, and then to the whole vocabulary."""


class Grammar:
    """Makes one reply follow a grammar. If `rules` is None, every token is allowed."""

    def __init__(self, llama: Llama, rules: bytes | None) -> None:
        self._name, self._library = llama.name, load_library()
        self._sampler = self._library.llama_sampler_init_grammar(llama.vocabulary, rules, b"root") if rules else None
        if rules and not self._sampler:
            raise ModelError(f"model {llama.name!r}: llama.cpp refused the grammar of the reply")

    def close(self) -> None:
        """Free the grammar's memory."""
        if self._sampler:
            self._library.llama_sampler_free(self._sampler)
        self._sampler = None

    def accept_all(self, tokens: Sequence[int]) -> bool:
        """Accept tokens until one is not allowed; return whether all were allowed."""
        for token in tokens:
            if self._best_allowed(np.array([token]), np.zeros(1, np.float32)) is None:
                return False
            self.accept(token)
        return True

    def accept(self, token: int) -> None:
        """Accept a token as the next one of the reply. It must be allowed."""
        if self._sampler:
            self._library.llama_sampler_accept(self._sampler, token)

    def likeliest(self, logits: NDArray[np.float32]) -> int:
        """Return the likeliest token that is allowed.

        Args:
            logits: One logit per token of the vocabulary.

        Raises:
            ModelError: The logits are not finite, or no token is allowed.
        """
        if not self._sampler:
            return int(np.argmax(logits))
        if not np.isfinite(logits).all():
            raise ModelError(
                f"model {self._name!r} computes values that are not finite: its file may be damaged, fetch it again"
            )
        shortlist = np.argpartition(logits, -SHORTLIST)[-SHORTLIST:]
        shortlist = shortlist[np.argsort(-logits[shortlist], kind="stable")]
        # The likeliest token is usually allowed. Applying the grammar to the whole vocabulary takes long.
        for tokens in (shortlist[:1], shortlist, np.arange(len(logits))):
            best = self._best_allowed(tokens, logits[tokens])
            if best is not None:
                return best
        raise ModelError(f"model {self._name!r}: the grammar of the reply allows no token")

    def _best_allowed(self, tokens: NDArray[np.int64], logits: NDArray[np.float32]) -> int | None:
        if not self._sampler:
            return int(tokens[np.argmax(logits)])
        entries = (self._library.llama_token_data * len(tokens))()
        view = np.frombuffer(entries, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        view["id"], view["logit"] = tokens, logits
        array = self._library.llama_token_data_array(data=entries, size=len(tokens), selected=-1, sorted=False)
        self._library.llama_sampler_apply(
            self._sampler, ctypes.byref(array)
        )  # gives -infinity to tokens that are not allowed
        best = int(np.argmax(view["logit"]))
        return int(view["id"][best]) if np.isfinite(view["logit"][best]) else None
