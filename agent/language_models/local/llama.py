"""llama.cpp through its low-level calls: an open model with one context, read and written a batch at a time."""

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
"""Tokens that are read at once."""
SEQUENCES = 64
"""Most continuations of one prompt in a batch."""

# Stands on both sides of a message's number in the chat template: a private character, which no cleaned text holds.
_MARK = "\ue000"


class Row(NamedTuple):
    """One token to read.

    Attributes:
        token: Its number in the vocabulary.
        position: Its position in the sequence, from 0.
        sequence: 0 for the prompt, 1 to SEQUENCES for a continuation.
        wants_logits: Whether the logits after it are computed.
    """

    token: int
    position: int
    sequence: int
    wants_logits: bool


class Llama:
    """A GGUF model and one context of tokens read. Not safe for several threads at once.

    Sequence 0 is the prompt; sequences 1 to SEQUENCES continue it.

    Attributes:
        name: The file's name, for messages.
        vocabulary: llama.cpp's vocabulary.
        vocabulary_size: Number of its tokens.
    """

    def __init__(self, path: Path, *, context_tokens: int, repacked: bool = True, writing_threads: int = 1) -> None:
        """Load a model.

        Args:
            path: A GGUF file.
            context_tokens: Tokens that all sequences may hold together.
            repacked: Let llama.cpp change the layout of the weights for this processor.
            writing_threads: Threads that read a single token; more than one token is read by all cores.

        Raises:
            ModelError: There is no such file, or llama.cpp cannot load it.
        """
        if not path.is_file():
            raise ModelError(f"no model file at {str(path)!r}: give the path of a GGUF file after `gguf:`")
        self.name = path.name
        self._library = library = load_library()
        # set before anything can fail, for `close`
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

    def close(self) -> None:
        """Free its memory; nothing else may be called afterwards."""
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
            ModelError: llama.cpp refuses them.
        """
        self._run(_fill(self._batch, rows))

    def prepare_decode(self, rows: Sequence[Row]) -> Callable[[], None]:
        """Lay out a batch of rows now and return a function that reads it, once."""
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
        """Wait until all that was asked for is computed."""
        self._library.llama_synchronize(self._context)

    def logits(self, rows: int) -> NDArray[np.float32]:
        """Return the logits of the last batch.

        Args:
            rows: How many of its rows wanted logits.

        Returns:
            Shape (rows, vocabulary). A view of llama.cpp's memory, which the next batch overwrites.
        """
        pointer = self._library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(rows, self.vocabulary_size))

    # Sequences.

    def branch(self, sequence: int) -> None:
        """Let a sequence start with everything that sequence 0 holds, without reading it again."""
        self._library.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)

    def truncate(self, sequence: int, length: int = 0) -> bool:
        """Keep the first `length` tokens of a sequence; return False if this kind of model cannot."""
        return bool(self._library.llama_memory_seq_rm(self._memory, sequence, length or -1, -1))

    def clear(self) -> None:
        """Drop all sequences."""
        self._library.llama_memory_clear(self._memory, True)

    def state(self) -> bytes:
        """Return what sequence 0 holds."""
        size = self._library.llama_state_seq_get_size(self._context, 0)
        buffer = (ctypes.c_uint8 * size)()
        return bytes(memoryview(buffer)[: self._library.llama_state_seq_get_data(self._context, buffer, size, 0)])

    def restore(self, state: bytes) -> bool:
        """Let sequence 0 hold a saved state.

        Returns:
            False, with all sequences empty, if the state is of another model or build of llama.cpp.
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
            special: Read control tokens in the text as such, not as plain text.
            begin: Put the model's first token before, so that the result is never empty.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (self._library.llama_token * room)()
        count = self._library.llama_tokenize(self.vocabulary, data, len(data), buffer, room, begin, special)
        if count < 0:
            raise ModelError(f"model {self.name!r} could not read a text of {len(data)} bytes")
        if begin and not count:  # a model without a first token
            return [self._library.llama_vocab_eos(self.vocabulary)]
        return list(buffer[:count])

    def detokenise(self, tokens: Sequence[int]) -> bytes:
        """Return the text of tokens, as bytes, since a token may hold part of a letter."""
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
        """Return the tokens of a conversation in the model's chat template, ChatML if it has none.

        Only the template may hold control tokens. What messages say is read as plain text, even if it looks like
        one, so that no title can end the user's turn.

        Returns:
            The tokens, and how many of them stand before the first message that is not `fixed`.
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
    # row by row: one row stays within the processor's cache
    return np.array([float(row[token]) - log_normaliser(row) for row, token in zip(logits, tokens, strict=True)])


def log_normaliser(logits: NDArray[np.float32]) -> float:
    """Return the number that makes a row of logits natural log-probabilities when subtracted from them."""
    top = logits.max()  # subtracted first, so that no exponential overflows
    return float(top) + float(np.log(np.exp(logits - top).sum()))


def shared_prefix_length(some: Sequence[int], others: Sequence[int]) -> int:
    """Return how many first tokens two prompts have in common.

    Example:
        >>> shared_prefix_length([1, 2, 3], [1, 2, 4, 5])
        2
    """
    length = min(len(some), len(others))
    differences = np.flatnonzero(np.asarray(some[:length]) != np.asarray(others[:length]))
    return int(differences[0]) if len(differences) else length


def group_by_size(sizes: Sequence[int], *, room: int) -> Iterator[list[int]]:
    """Yield groups of positions in `sizes`, in order, each of at most SEQUENCES entries that fit `room` together.

    An entry larger than `room` is a group of its own.

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
