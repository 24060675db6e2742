"""Reading of prompts into a model, without reading the same tokens again."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.llama import BATCH, Llama, Row, shared_prefix_length
from whimbrel.agent.language_models.local.prefixes import PrefixCache, PromptState

MIN_TOKENS_SAVED = 48
"""A state is saved if at least this many tokens were read. It is restored if it saves reading this many tokens."""


class PromptReader:
    """Reads prompts into sequence 0 of a model.

    A prompt may begin like the last one or like one whose state is saved. Then only the tokens after the common
    beginning are read.

    Attributes:
        tokens: The tokens in sequence 0.
        last_logits: Logits after the last of these tokens; None unless the prompt was read with `save`.
    """

    def __init__(self, llama: Llama, prefixes: PrefixCache) -> None:
        self._llama, self._prefixes = llama, prefixes
        self.tokens: list[int] = []
        self.last_logits: NDArray[np.float32] | None = None

    def forget(self) -> None:
        """Drop all prompts except the fixed instructions."""
        self._llama.clear()
        self._prefixes.drop()
        self.tokens, self.last_logits = [], None

    def read(self, tokens: list[int], *, fixed_tokens: int = 0, save: bool = False) -> int:
        """Make sequence 0 hold these tokens.

        Args:
            tokens: The prompt.
            fixed_tokens: The number of first tokens that are the same for everybody. They are read in a batch of
                their own, and their state is saved as a fixed one. The reply is then the same whether they were read
                or restored.
            save: Whether to save the state of the whole prompt, with the logits after it.

        Returns:
            The number of tokens that did not have to be read.
        """
        cached = self._reuse(tokens, fixed_tokens=fixed_tokens, with_logits=save)
        if cached < fixed_tokens:
            self._extend(tokens[:fixed_tokens])  # in a batch of their own, see `fixed_tokens` above
            if fixed_tokens >= MIN_TOKENS_SAVED:
                self._prefixes.put(tokens[:fixed_tokens], PromptState(self._llama.state()), fixed=True)
        if len(self.tokens) < len(tokens):
            self._extend(tokens)
            # a copy, since the next batch overwrites llama.cpp's array
            self.last_logits = self._llama.logits(1)[0].copy() if save else None
        if save and len(tokens) - cached >= MIN_TOKENS_SAVED:
            self._prefixes.put(tokens, PromptState(self._llama.state(), self.last_logits))
        return cached

    def _reuse(self, tokens: list[int], *, fixed_tokens: int, with_logits: bool) -> int:
        """Make sequence 0 hold as many first tokens of the prompt as possible without reading; return how many.

        With `with_logits`, the last token of the prompt is left out unless the logits after it are known.
        """
        held = shared_prefix_length(tokens, self.tokens)
        if fixed_tokens >= MIN_TOKENS_SAVED and held < fixed_tokens:
            self._prefixes.load(tokens[:fixed_tokens])  # an earlier process may have saved them
        longest = self._prefixes.longest(tokens)
        if longest:
            saved_tokens, saved = longest
            gain = shared_prefix_length(saved_tokens, tokens) - held
            if gain >= MIN_TOKENS_SAVED:
                is_restored = self._llama.restore(saved.state)  # if it fails, sequence 0 is empty
                self.tokens, self.last_logits = (list(saved_tokens), saved.logits) if is_restored else ([], None)
                held = shared_prefix_length(tokens, self.tokens)
        if held == len(tokens) == len(self.tokens) and (self.last_logits is not None or not with_logits):
            return held
        # logits are only computed when a token is read, so the last token is read again
        held = min(held, len(tokens) - 1) if with_logits else held
        if not self._llama.truncate(0, held):
            self._llama.clear()
            held = 0
        self.tokens, self.last_logits = tokens[:held], None
        return held

    def _extend(self, tokens: list[int]) -> None:
        """Read the tokens after those in sequence 0. llama.cpp then holds the logits after the last token."""
        for start in range(len(self.tokens), len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            rows = [Row(token, start + n, 0, start + n == len(tokens) - 1) for n, token in enumerate(part)]
            self._llama.decode(rows)
            self.tokens = tokens[: start + len(part)]
