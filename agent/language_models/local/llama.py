"""llama.cpp through its low-level calls: an open model with one context, read and written a batch at a time."""

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.files.atomic import replaced

BATCH = 512
"""Tokens that are read at once."""
SEQUENCES = 64
"""Continuations behind one prompt in a batch; with the prompt's own they must not exceed BATCH."""
SHORTLIST = 64
"""Likeliest tokens that are tried on a grammar before the whole vocabulary is."""

_HOLE = "\ue000"
"""Stands around the number of a message in its template: a private character, which no cleaned text holds."""
_SAMPLED_BYTES, _SMALL_BYTES = 1 << 20, 256 << 20
_log_callback: Any = None


class Row(NamedTuple):
    """A token to read, its place, its sequence, and whether its logits are wanted."""

    token: int
    place: int
    sequence: int
    wanted: bool


class Llama:
    """Sequence 0 is the prompt; sequences 1 to SEQUENCES continue it. Not safe for several threads at once.

    `repacked` lets llama.cpp lay the weights out anew for this processor, `writing_threads` write; all cores read.
    """

    def __init__(self, path: Path, *, context_tokens: int, repacked: bool = True, writing_threads: int = 1) -> None:
        if not path.is_file():
            raise ModelError(f"no model file at {str(path)!r}: give the path of a GGUF file after `gguf:`")
        self.name = path.name
        self._llama = llama = load_library()
        self.model: Any = None
        self.context: Any = None
        self._batch: Any = None
        params = llama.llama_model_default_params()
        params.use_extra_bufts = repacked
        self.model = llama.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            raise ModelError(f"{str(path)!r} is not a whole GGUF model that llama.cpp can load")
        settings = llama.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context_tokens, BATCH, BATCH
        settings.n_seq_max, settings.kv_unified = SEQUENCES + 1, True
        settings.n_threads, settings.n_threads_batch = writing_threads, cores()
        self.context = llama.llama_init_from_model(self.model, settings)
        if not self.context:
            raise ModelError(f"model {str(path)!r}: llama.cpp could not make a context for it")
        self._memory = llama.llama_get_memory(self.context)
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        self.vocabulary_size = llama.llama_vocab_n_tokens(self.vocabulary)
        self._batch = llama.llama_batch_init(BATCH, 0, 1)
        self._chat_format: Any = None

    def close(self) -> None:
        """Free what it holds; nothing may be asked of it afterwards."""
        if self._batch is not None:
            self._llama.llama_batch_free(self._batch)
        if self.context:
            self._llama.llama_free(self.context)
        if self.model:
            self._llama.llama_model_free(self.model)
        self.model = self.context = self._batch = None

    # Reading.

    def decode(self, rows: Sequence[Row]) -> None:
        """Read up to BATCH rows at once.

        Raises:
            ModelError: llama.cpp refuses them.
        """
        self._run(_filled(self._batch, rows))

    def prepared(self, rows: Sequence[Row]) -> Callable[[], None]:
        """The same, laid out now and read when called, once."""
        batch = _filled(self._llama.llama_batch_init(len(rows), 0, 1), rows)

        def read() -> None:
            self._run(batch)
            self._llama.llama_batch_free(batch)

        return read

    def _run(self, batch: Any) -> None:
        code = self._llama.llama_decode(self.context, batch)
        if code:
            raise ModelError(f"model {self.name!r}: llama.cpp could not read {batch.n_tokens} tokens (code {code})")

    def wait(self) -> None:
        """Until all that was asked for is done."""
        self._llama.llama_synchronize(self.context)

    def logits(self, rows: int) -> NDArray[np.float32]:
        """Logits of the `rows` rows of the last batch that wanted them, shape (rows, vocabulary); a view until the
        next batch."""
        pointer = self._llama.llama_get_logits(self.context)
        return np.ctypeslib.as_array(pointer, shape=(rows, self.vocabulary_size))

    # Sequences.

    def follow(self, sequence: int) -> None:
        """Let a sequence begin with all that sequence 0 holds, without reading it again."""
        self._llama.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)

    def cut(self, sequence: int, place: int = 0) -> bool:
        """Drop a sequence from a place on; False where this model cannot."""
        return bool(self._llama.llama_memory_seq_rm(self._memory, sequence, place or -1, -1))

    def clear(self) -> None:
        """Drop everything."""
        self._llama.llama_memory_clear(self._memory, True)

    def state(self) -> bytes:
        """What sequence 0 holds."""
        size = self._llama.llama_state_seq_get_size(self.context, 0)
        buffer = (ctypes.c_uint8 * size)()
        return bytes(memoryview(buffer)[: self._llama.llama_state_seq_get_data(self.context, buffer, size, 0)])

    def restore(self, state: bytes) -> bool:
        """Let sequence 0 hold that again; False, and nothing held, where the state is of another make."""
        self.clear()
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        whole = int(self._llama.llama_state_seq_set_data(self.context, buffer, len(state), 0)) == len(state)
        if not whole:
            self.clear()
        return whole

    # Tokens and text.

    def tokens(self, text: str, *, special: bool = False, begin: bool = False) -> list[int]:
        """Tokens of a text. `special` reads control tokens as such, `begin` puts the model's first token before."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (self._llama.llama_token * room)()
        count = self._llama.llama_tokenize(self.vocabulary, data, len(data), buffer, room, begin, special)
        if count < 0:
            raise ModelError(f"model {self.name!r} could not read a text of {len(data)} bytes")
        if begin and not count:
            return [self._llama.llama_vocab_eos(self.vocabulary)]
        return list(buffer[:count])

    def text(self, tokens: Sequence[int]) -> bytes:
        """The text of tokens, as bytes since a token may hold part of a letter."""
        buffer = ctypes.create_string_buffer(256)
        pieces = []
        for token in tokens:
            size = self._llama.llama_token_to_piece(self.vocabulary, token, buffer, len(buffer), 0, False)
            pieces.append(buffer.raw[: max(size, 0)])
        return b"".join(pieces)

    def ends(self, token: int) -> bool:
        """Whether a token ends a reply."""
        return bool(self._llama.llama_vocab_is_eog(self.vocabulary, token))

    def conversation(self, messages: Sequence[Message]) -> tuple[list[int], int]:
        """Tokens of a conversation in the model's own chat template, ChatML where it has none, and how many of them
        stand before the first message that is not `fixed`.

        Only the template may hold control tokens: what messages say is read as plain text, whatever it looks like.
        """
        empty = [{"role": message["role"], "content": f"{_HOLE}{n}{_HOLE}"} for n, message in enumerate(messages)]
        try:
            template = str(self._chat()(messages=empty).prompt)
        except Exception as error:
            raise ModelError(f"the chat template of {self.name!r} failed: {error}") from error
        tokens: list[int] = []
        head: int | None = None
        for place, part in enumerate(template.split(_HOLE)):
            message = messages[int(part)] if place % 2 else None
            if message and head is None and not message.get("fixed"):
                head = len(tokens)
            text = message["content"] if message else part
            tokens += self.tokens(text, special=message is None) if text else []
        return tokens, len(tokens) if head is None else head

    def _chat(self) -> Any:
        if self._chat_format is None:
            from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, Jinja2ChatFormatter

            llama = self._llama
            own = llama.llama_model_chat_template(self.model, None)
            end, begin = (
                self._piece(token)
                for token in (llama.llama_vocab_eos(self.vocabulary), llama.llama_vocab_bos(self.vocabulary))
            )
            self._chat_format = Jinja2ChatFormatter(own.decode() if own else CHATML_CHAT_TEMPLATE, end, begin)
        return self._chat_format

    def _piece(self, token: int) -> str:
        return (
            (self._llama.llama_vocab_get_text(self.vocabulary, token) or b"").decode("utf-8", "replace")
            if token >= 0
            else ""
        )


def _filled(batch: Any, rows: Sequence[Row]) -> Any:
    batch.n_tokens = len(rows)
    for number, row in enumerate(rows):
        batch.token[number], batch.pos[number] = row.token, row.place
        batch.n_seq_id[number], batch.seq_id[number][0] = 1, row.sequence
        batch.logits[number] = row.wanted
    return batch


class Grammar:
    """Holds one reply to a grammar; without one (None) every token is allowed."""

    def __init__(self, llama: Llama, rules: bytes | None) -> None:
        self._llama, self._calls = llama, load_library()
        self._sampler = self._calls.llama_sampler_init_grammar(llama.vocabulary, rules, b"root") if rules else None
        if rules and not self._sampler:
            raise ModelError(f"model {llama.name!r}: llama.cpp refused the grammar of the reply")

    def close(self) -> None:
        """Free it."""
        if self._sampler:
            self._calls.llama_sampler_free(self._sampler)
        self._sampler = None

    def allows(self, tokens: Sequence[int]) -> bool:
        """Take tokens that were written for the model, as far as the grammar allows; whether all were taken."""
        for token in tokens:
            if self._best(np.array([token]), np.zeros(1, np.float32)) is None:
                return False
            self.take(token)
        return True

    def take(self, token: int) -> None:
        """Go on past a token, which must be allowed."""
        if self._sampler:
            self._calls.llama_sampler_accept(self._sampler, token)

    def likeliest(self, logits: NDArray[np.float32]) -> int:
        """The likeliest token that is allowed. Trying few at a time spares the whole vocabulary."""
        if not self._sampler:
            return int(np.argmax(logits))
        if not np.isfinite(logits).all():
            raise ModelError(f"model {self._llama.name!r} computes no numbers: its file may be damaged, fetch it again")
        some = np.argpartition(logits, -SHORTLIST)[-SHORTLIST:]
        some = some[np.argsort(-logits[some], kind="stable")]
        for tried in (some[:1], some, np.arange(len(logits))):
            best = self._best(tried, logits[tried])
            if best is not None:
                return best
        raise ModelError(f"model {self._llama.name!r}: the grammar of the reply allows no token")

    def _best(self, tokens: NDArray[np.int64], logits: NDArray[np.float32]) -> int | None:
        if not self._sampler:
            return int(tokens[np.argmax(logits)])
        entries = (self._calls.llama_token_data * len(tokens))()
        view = np.frombuffer(entries, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        view["id"], view["logit"] = tokens, logits
        array = self._calls.llama_token_data_array(data=entries, size=len(tokens), selected=-1, sorted=False)
        self._calls.llama_sampler_apply(self._sampler, ctypes.byref(array))
        best = int(np.argmax(view["logit"]))
        return int(view["id"][best]) if np.isfinite(view["logit"][best]) else None


def log_probabilities(logits: NDArray[np.float32], tokens: Sequence[int]) -> NDArray[np.float64]:
    """Natural log-probability of one token behind each row of logits, shape (rows,)."""
    # a row at a time stays within the processor's cache
    return np.array([float(row[token]) - log_normaliser(row) for row, token in zip(logits, tokens, strict=True)])


def log_normaliser(logits: NDArray[np.float32]) -> float:
    """What is to be taken off a row of logits to make them natural log-probabilities."""
    top = logits.max()
    return float(top) + float(np.log(np.exp(logits - top).sum()))


def shared(some: Sequence[int], others: Sequence[int]) -> int:
    """How many first tokens two prompts have in common."""
    length = min(len(some), len(others))
    differ = np.flatnonzero(np.asarray(some[:length]) != np.asarray(others[:length]))
    return int(differ[0]) if len(differ) else length


def digest_of(path: Path) -> str:
    """Names a model file: by all of it where it is small, else by its size and three megabytes of it."""
    size = path.stat().st_size
    found = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size <= _SMALL_BYTES:
            while part := file.read(_SAMPLED_BYTES):
                found.update(part)
        else:
            for start in (0, size // 2, size - _SAMPLED_BYTES):
                file.seek(start)
                found.update(file.read(_SAMPLED_BYTES))
    return found.hexdigest()


def requantised(source: Path, target: Path, kind: int) -> bool:
    """Write a model file in another format (llama.cpp's file type); whether that worked."""
    llama = load_library()
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = kind, True
    try:
        with replaced(target) as partial:
            code = llama.llama_model_quantize(os.fsencode(source), os.fsencode(partial), ctypes.byref(params))
            if code:
                raise OSError(f"llama.cpp could not write {str(target)!r} (code {code})")
    except OSError:
        return False
    return True


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_library() -> Any:
    """llama_cpp, told to wait without spinning and to keep its log to itself."""
    global _log_callback
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import llama_cpp
    except ImportError as error:
        raise ConfigError(f"llama-cpp-python is not installed ({error}): run `make install`") from error
    if _log_callback is None:
        _log_callback = _silence(llama_cpp.llama_log_callback)
        llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    return llama_cpp


def _silence(kind: Any) -> Any:
    """A log callback that does nothing: a function of C where there is one, since one of Python that is interrupted
    would swallow the interruption."""
    try:
        return ctypes.cast(ctypes.CDLL(None).abs, kind)
    except (OSError, TypeError, AttributeError):
        return kind(lambda *_: None)


def groups(sizes: Sequence[int], *, room: int) -> Iterator[list[int]]:
    """Numbers of things of these sizes, in order, such that a group fits the room and the sequences."""
    group: list[int] = []
    used = 0
    for number, size in enumerate(sizes):
        if group and (used + size > room or len(group) == SEQUENCES):
            yield group
            group, used = [], 0
        group.append(number)
        used += size
    if group:
        yield group
