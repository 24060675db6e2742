"""The low-level calls of llama.cpp, for one open model with one context."""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.library import available_cores, load_library
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

BATCH = 512
"""The most tokens that are read at once."""
SEQUENCES = 64
"""The most continuations of one prompt in a batch."""

# Stands before and after a message's number in the chat template. It is a private character, which cleaned texts lack.
_MARK = "\ue000"


class Row(NamedTuple):
    """One token to read.

    Attributes:
        token: The token's number in the vocabulary.
        position: The token's position in the sequence, from 0.
        sequence: 0 for the prompt, 1 to SEQUENCES for a continuation.
        wants_logits: Whether the logits after the token are computed.
    """

    token: int
    position: int
    sequence: int
    wants_logits: bool


class Llama:
    """A GGUF model and one context that holds the tokens it has read. Only one thread may use it at a time.

    Sequence 0 is the prompt. Sequences 1 to SEQUENCES continue it.

    Attributes:
        name: The file's name, for messages.
        vocabulary: llama.cpp's vocabulary.
        vocabulary_size: Number of tokens in the vocabulary.
    """

    def __init__(self, path: Path, *, context_tokens: int, repacked: bool = True, writing_threads: int = 1) -> None:
        """Load a model.

        Args:
            path: A GGUF file.
            context_tokens: The most tokens that all sequences may hold together.
            repacked: Whether llama.cpp changes the layout of the weights for this processor.
            writing_threads: Threads that compute a batch of one token, as in writing. Larger batches use all cores.

        Raises:
            ModelError: There is no such file, or llama.cpp cannot load it.
        """
        if not path.is_file():
            raise ModelError(f"no model file at {str(path)!r}: give the path of a GGUF file after `gguf:`")
        self.name = path.name
        self._library = library = load_library()
        # set before anything can fail, since `close` reads them
        self._model: Any = None
        self._context: Any = None
        self._batch: Any = None
        params = library.llama_model_default_params()
        params.use_extra_bufts = repacked
        self._model = library.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelError(f"{str(path)!r} is not a whole GGUF model that llama.cpp can load")
        settings = library.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context_tokens, BATCH, BATCH
        settings.n_seq_max, settings.kv_unified = SEQUENCES + 1, True  # unified: sequences share the prompt's cells
        settings.n_threads, settings.n_threads_batch = writing_threads, available_cores()
        self._context = library.llama_init_from_model(self._model, settings)
        if not self._context:
            raise ModelError(f"model {str(path)!r}: llama.cpp could not make a context for it")
        self._memory = library.llama_get_memory(self._context)
        self.vocabulary = library.llama_model_get_vocab(self._model)
        self.vocabulary_size = library.llama_vocab_n_tokens(self.vocabulary)
        self._batch = library.llama_batch_init(BATCH, 0, 1)
        self._chat_formatter: Any = None

    def adapt(self, adapter: Path) -> None:
        """Add a LoRA adapter to the model, for everything that it computes from now on.

        Raises:
            ModelError: The file is damaged, or the adapter belongs to another model.
        """
        library = self._library
        # llama.cpp frees the adapter together with the model
        loaded = library.llama_adapter_lora_init(self._model, os.fsencode(adapter))
        code = -1
        if loaded:
            adapters = (library.llama_adapter_lora_p_ctypes * 1)(loaded)
            code = library.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(1.0))
        if code:
            raise ModelError(
                f"{str(adapter)!r} is not an adapter of {self.name!r}: run `whimbrel fit --tune-model` again"
            )

    def close(self) -> None:
        """Free the model's memory. No other method may be called afterwards."""
        if self._batch is not None:
            self._library.llama_batch_free(self._batch)
        if self._context:
            self._library.llama_free(self._context)
        if self._model:
            self._library.llama_model_free(self._model)
        self._model = self._context = self._batch = None

    # Reading tokens.

    def decode(self, rows: Sequence[Row]) -> None:
        """Read up to BATCH rows at once.

        Raises:
            ModelError: llama.cpp refuses the rows.
        """
        self._run(_fill(self._batch, rows))

    def prepare_decode(self, rows: Sequence[Row]) -> Callable[[], None]:
        """Lay out a batch of rows now. Return a function that reads the batch, which may be called only once."""
        batch = _fill(self._library.llama_batch_init(len(rows), 0, 1), rows)

        def read() -> None:
            self._run(batch)
            self._library.llama_batch_free(batch)

        return read

    def _run(self, batch: Any) -> None:
        code = self._library.llama_decode(self._context, batch)
        if code:
            raise ModelError(f"model {self.name!r}: llama.cpp could not read {batch.n_tokens} tokens (code {code})")

    def synchronise(self) -> None:
        """Wait until llama.cpp has finished its computations."""
        self._library.llama_synchronize(self._context)

    def logits(self, rows: int) -> NDArray[np.float32]:
        """Return the logits of the last batch.

        Args:
            rows: The number of rows in the batch that wanted logits.

        Returns:
            Logits of shape (rows, vocabulary). They are a view of llama.cpp's memory, which the next batch overwrites.
        """
        pointer = self._library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(rows, self.vocabulary_size))

    # Sequences.

    def branch(self, sequence: int) -> None:
        """Copy the tokens of sequence 0 to another sequence, without reading them again."""
        self._library.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)

    def truncate(self, sequence: int, length: int = 0) -> bool:
        """Keep the first `length` tokens of a sequence; return False if this kind of model cannot do so."""
        return bool(self._library.llama_memory_seq_rm(self._memory, sequence, length or -1, -1))

    def clear(self) -> None:
        """Drop all sequences."""
        self._library.llama_memory_clear(self._memory, True)

    def state(self) -> bytes:
        """Return the state of sequence 0, which `restore` takes."""
        size = self._library.llama_state_seq_get_size(self._context, 0)
        buffer = (ctypes.c_uint8 * size)()
        return bytes(memoryview(buffer)[: self._library.llama_state_seq_get_data(self._context, buffer, size, 0)])

    def restore(self, state: bytes) -> bool:
        """Restore a saved state of sequence 0. The other sequences become empty.

        Returns:
            False if the state is of another model or another build of llama.cpp. Sequence 0 is then empty too.
        """
        self.clear()
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        size = int(self._library.llama_state_seq_set_data(self._context, buffer, len(state), 0))
        if size != len(state):
            self.clear()
        return size == len(state)

    # Tokens and text.

    def tokenise(self, text: str, *, special: bool = False, begin: bool = False) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: The text.
            special: Whether control tokens in the text are read as such, instead of as plain text.
            begin: Whether to begin with the token that starts every text of the model. The result is then never empty.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (self._library.llama_token * room)()
        count = self._library.llama_tokenize(self.vocabulary, data, len(data), buffer, room, begin, special)
        if count < 0:
            raise ModelError(f"model {self.name!r} could not read a text of {len(data)} bytes")
        if begin and not count:  # the model has no token that starts a text
            return [self._library.llama_vocab_eos(self.vocabulary)]
        return list(buffer[:count])

    def detokenise(self, tokens: Sequence[int]) -> bytes:
        """Return the text of tokens. It is in bytes, since a token may hold a part of a character."""
        buffer = ctypes.create_string_buffer(256)
        pieces = []
        for token in tokens:
            size = self._library.llama_token_to_piece(self.vocabulary, token, buffer, len(buffer), 0, False)
            pieces.append(buffer.raw[: max(size, 0)])
        return b"".join(pieces)

    def is_end(self, token: int) -> bool:
        """Return whether a token ends a reply."""
        return bool(self._library.llama_vocab_is_eog(self.vocabulary, token))

    def tokenise_chat(self, messages: Sequence[Message]) -> tuple[list[int], int]:
        """Return the tokens of a conversation in the model's chat template. ChatML is used if it has none.

        Only the template may contain control tokens. The messages are read as plain text, even if they look like
        control tokens. A title therefore cannot end the user's turn.

        Returns:
            All tokens, and the number of tokens before the first message that is not `fixed`.
        """
        empty = [{"role": message["role"], "content": f"{_MARK}{n}{_MARK}"} for n, message in enumerate(messages)]
        try:
            template = str(self._formatter()(messages=empty).prompt)
        except Exception as error:
            raise ModelError(f"the chat template of {self.name!r} failed: {error}") from error
        tokens: list[int] = []
        fixed_tokens: int | None = None
        for number, part in enumerate(template.split(_MARK)):
            message = messages[int(part)] if number % 2 else None  # every second part is a message's number
            if message and fixed_tokens is None and not message.get("fixed"):
                fixed_tokens = len(tokens)
            text = message["content"] if message else part
            tokens += self.tokenise(text, special=message is None) if text else []
        return tokens, len(tokens) if fixed_tokens is None else fixed_tokens

    def _formatter(self) -> Any:
        if self._chat_formatter is None:
            from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, Jinja2ChatFormatter

            library = self._library
            template = library.llama_model_chat_template(self._model, None)
            self._chat_formatter = Jinja2ChatFormatter(
                template.decode() if template else CHATML_CHAT_TEMPLATE,
                self._control_text(library.llama_vocab_eos(self.vocabulary)),
                self._control_text(library.llama_vocab_bos(self.vocabulary)),
            )
        return self._chat_formatter

    def _control_text(self, token: int) -> str:
        if token < 0:
            return ""
        return (self._library.llama_vocab_get_text(self.vocabulary, token) or b"").decode("utf-8", "replace")


def _fill(batch: Any, rows: Sequence[Row]) -> Any:
    batch.n_tokens = len(rows)
    for number, row in enumerate(rows):
        batch.token[number], batch.pos[number] = row.token, row.position
        batch.n_seq_id[number], batch.seq_id[number][0] = 1, row.sequence
        batch.logits[number] = row.wants_logits
    return batch


def log_probabilities(logits: NDArray[np.float32], tokens: Sequence[int]) -> NDArray[np.float64]:
    """Return the natural log-probability of one token after each row of logits, shape (rows,)."""
    # one row at a time, since one row fits the processor's cache
    return np.array([float(row[token]) - log_normaliser(row) for row, token in zip(logits, tokens, strict=True)])


def log_normaliser(logits: NDArray[np.float32]) -> float:
    """Return the number to subtract from a row of logits to get natural log-probabilities."""
    top = logits.max()  # subtracted first, so that no exponential overflows
    return float(top) + float(np.log(np.exp(logits - top).sum()))


def shared_prefix_length(some: Sequence[int], others: Sequence[int]) -> int:
    """Return the number of tokens in the longest common beginning of two prompts.

    Example:
        >>> shared_prefix_length([1, 2, 3], [1, 2, 4, 5])
        2
    """
    length = min(len(some), len(others))
    differences = np.flatnonzero(np.asarray(some[:length]) != np.asarray(others[:length]))
    return int(differences[0]) if len(differences) else length


def group_by_size(sizes: Sequence[int], *, room: int) -> Iterator[list[int]]:
    """Divide the entries of `sizes` into groups; yield the positions in each group, in order.

    A group has at most SEQUENCES entries, whose sum is at most `room`. An entry larger than `room` is a group of its
    own.

    Example:
        >>> list(group_by_size([3, 2, 4], room=5))
        [[0, 1], [2]]
    """
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
