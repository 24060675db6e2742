"""A GGUF model in this process, through llama-cpp-python."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.grammar import Grammar
from whimbrel.agent.language_models.local.library import load_library
from whimbrel.agent.language_models.local.llama import (
    BATCH,
    Llama,
    Row,
    group_by_size,
    log_normaliser,
    log_probabilities,
    shared_prefix_length,
)
from whimbrel.agent.language_models.local.model_builds import ModelBuild
from whimbrel.agent.language_models.local.model_files import digest_of
from whimbrel.agent.language_models.local.prefixes import PrefixCache
from whimbrel.agent.language_models.local.prompt_reader import PromptReader
from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, Likelihoods, T, Usage
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError
from whimbrel.tools.files.paths import cache_folder

CONTEXT_TOKENS = 4096
"""The most tokens of a prompt and of the text after it together."""
MAX_PREFIX_TOKENS = 2048
"""Likelihoods depend on this many tokens at the end of a prompt. Earlier tokens are ignored."""
MAX_CONTINUATION_TOKENS = 96
"""A likelihood counts this many first tokens of a continuation. Rare scripts take several tokens per letter."""
PREFIX_BYTES = 256 << 20
"""The most memory for the states of prompts."""


class LocalModel:
    """A local model. A grammar makes replies fit their schema.

    A prompt is read once for the likelihoods of all its continuations. `PromptReader` avoids reading the same tokens
    again. Replies are always the likeliest ones. Threads are served one at a time.

    Attributes:
        spec: The name by which the user calls the model.
        build: The model's file, and how llama.cpp runs it.
        llama: The open model.
        digest: Digest of the build's file, and of the adapter if there is one.
    """

    scores = True
    context_tokens = CONTEXT_TOKENS

    def __init__(
        self,
        build: ModelBuild,
        *,
        spec: str,
        source: Path | None = None,
        adapter: Path | None = None,
        prefix_bytes: int = PREFIX_BYTES,
    ) -> None:
        """Open a model.

        Args:
            build: The model's file, and how llama.cpp runs it.
            spec: The name by which the user calls the model.
            source: The file that the build was made from, which is the same on all machines. By default it is the
                build's own.
            adapter: A LoRA adapter of the model (see `Llama.adapt`).
            prefix_bytes: The most memory for the states of prompts.

        Raises:
            ModelError: llama.cpp cannot load the model or the adapter.
        """
        self.spec, self.build, self.source = spec, build, source or build.file
        self.llama = Llama(
            build.file,
            context_tokens=CONTEXT_TOKENS,
            repacked=build.repacked,
            writing_threads=build.writing_threads,
        )
        self.digest = digest_of(build.file)
        if adapter is not None:
            self.llama.adapt(adapter)
            self.digest += f"+{digest_of(adapter)}"
        # a saved state is valid only for the same weights, layout and version of llama.cpp
        folder = f"{self.digest}-{load_library().__version__}-{CONTEXT_TOKENS}-{int(build.repacked)}"
        self._reader = PromptReader(self.llama, PrefixCache(prefix_bytes, cache_folder() / "prefixes" / folder))
        self._lock, self._streaming, self._closed = threading.Lock(), False, False
        self._grammars: dict[str, bytes] = {}

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        self._check_open()
        return len(self.llama.tokenise(text))

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation. Several replies are written at once.

        The reply to a conversation that does not fit the context has no value.
        """
        with self._in_use():
            return self._generate(conversations, schema, max_tokens)

    def _generate(
        self, conversations: Sequence[Sequence[Message]], schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        chats = [self.llama.tokenise_chat(messages) for messages in conversations]
        fitting = [number for number, (prompt, _) in enumerate(chats) if len(prompt) + max_tokens <= CONTEXT_TOKENS]
        misfit = f"the prompt and reply would take more than {CONTEXT_TOKENS} tokens"
        replies = [Generation[T](None, NO_USAGE, misfit=misfit)] * len(chats)
        if not fitting:
            return replies
        prompts = [chats[number][0] for number in fitting]
        fixed_tokens = min(chats[number][1] for number in fitting)
        common = min(
            *(shared_prefix_length(prompts[0], prompt) for prompt in prompts),
            *(len(prompt) - 1 for prompt in prompts),  # the last token of each prompt is read with its reply
        )
        opening, rules = self._opening(schema), self._schema_grammar(schema)
        sizes = [len(prompt) - common + len(opening) + max_tokens for prompt in prompts]
        for group in group_by_size(sizes, room=CONTEXT_TOKENS - common):
            cached = self._reader.read(prompts[0][:common], fixed_tokens=fixed_tokens)
            rests = [[*prompts[number][common:], *opening] for number in group]
            written: list[list[int]] = [[] for _ in group]
            for position, token in self._write(rests, rules, max_tokens, opening):
                written[position].append(token)
            for position, (number, tokens) in enumerate(zip(group, written, strict=True)):
                usage = Usage(
                    llm_calls=1,
                    prompt_tokens=len(prompts[number]) + len(opening),
                    cached_tokens=common if position else cached,  # only the first one counts the common part as read
                    completion_tokens=len(tokens),
                )
                text = self.llama.detokenise([*opening, *tokens]).decode("utf-8", "replace")
                replies[fitting[number]] = parse_reply(text, schema, usage)
        return replies

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, schema: dict[str, object] | None = None
    ) -> Iterator[str]:
        """Yield a reply in pieces, while the model writes it.

        Until the caller reads the reply to its end or closes it, every other call of the model is refused.

        Args:
            messages: The conversation.
            max_tokens: The most tokens of the reply.
            schema: A JSON schema that the reply must fit; None for a free reply.

        Raises:
            ModelError: The prompt does not fit the context.
        """
        with self._in_use():
            self._streaming = True
            try:
                yield from self._pieces(messages, max_tokens, schema)
            finally:
                self._streaming = False

    def write(self, messages: Sequence[Message], *, max_tokens: int, schema: dict[str, object] | None = None) -> str:
        """Return a reply as one text. See `stream` for the arguments and errors."""
        with self._in_use():
            return "".join(self._pieces(messages, max_tokens, schema))

    def _pieces(self, messages: Sequence[Message], max_tokens: int, schema: dict[str, object] | None) -> Iterator[str]:
        prompt, fixed_tokens = self.llama.tokenise_chat(messages)
        if len(prompt) >= CONTEXT_TOKENS:
            raise ModelError(
                f"a prompt of {len(prompt)} tokens does not fit the context of {self.spec!r}, which has "
                f"{CONTEXT_TOKENS}: shorten the prompt"
            )
        rules = self._compile(json.dumps(schema)) if schema else None
        held = b""
        self._reader.read(prompt[:-1], fixed_tokens=fixed_tokens)
        for _, token in self._write([prompt[-1:]], rules, min(max_tokens, CONTEXT_TOKENS - len(prompt)), ()):
            held += self.llama.detokenise([token])
            text, held = _whole_letters(held)
            if text:
                yield text
        if held:
            yield held.decode("utf-8", "replace")

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihood of each continuation of the prompt.

        In a long prompt only the last MAX_PREFIX_TOKENS tokens count. In a long continuation only the first
        MAX_CONTINUATION_TOKENS tokens count.

        Raises:
            ModelError: The prompt or a continuation is empty.
        """
        self._check_open()
        prefix = self.llama.tokenise(prompt, begin=True)
        prefix = [*prefix[:1], *prefix[1:][-MAX_PREFIX_TOKENS:]]
        texts = [self.llama.tokenise(text)[:MAX_CONTINUATION_TOKENS] for text in continuations]
        if not texts:
            return Likelihoods([], NO_USAGE)
        if not prefix or not all(texts):
            raise ModelError(f"model {self.spec!r} cannot score an empty text")
        with self._in_use():
            cached = self._reader.read(prefix, save=True)
            values = self._score(texts)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=len(prefix) * len(texts) + sum(len(text) for text in texts),
            cached_tokens=cached + len(prefix) * (len(texts) - 1),
        )
        return Likelihoods([float(value) for value in values], usage)

    def forget(self) -> None:
        """Drop all prompts except the fixed instructions."""
        with self._in_use():
            self._reader.forget()

    def close(self) -> None:
        """Free the model's memory. Every later call is refused."""
        if not self._closed:
            with self._in_use():
                self._closed = True
                self.llama.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError(f"{self.spec!r} is closed: open it again")

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Serve one caller at a time.

        Callers do not wait for a stream, which may never be read to its end. A stream holds no lock either, since the
        thread that closes it may not be the one that began it.
        """
        if self._streaming:
            raise ModelError(f"{self.spec!r} is still streaming a reply: first read that reply to its end, or close it")
        with self._lock:
            self._check_open()
            yield

    # Writing replies.

    def _write(
        self, prompts: Sequence[list[int]], rules: bytes | None, max_tokens: int, opening: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """Write a reply to each prompt. Each batch adds one token to every reply: the likeliest allowed one.

        Args:
            prompts: The tokens of each prompt after those in sequence 0. They end with `opening`.
            rules: The grammar; None allows every token.
            max_tokens: The most tokens of a reply.
            opening: The tokens at the beginning of every reply, see `_opening`.

        Yields:
            The number of a prompt, and a token written in reply to it.
        """
        begin = len(self._reader.tokens)
        grammars = [Grammar(self.llama, rules) for _ in prompts]
        counts = [0] * len(prompts)
        try:
            rows = []
            for number, prompt in enumerate(prompts):
                self.llama.branch(number + 1)
                grammars[number].accept_all(opening)
                rows += [Row(token, begin + n, number + 1, n == len(prompt) - 1) for n, token in enumerate(prompt)]
            while rows:
                next_rows = []
                for row, token in self._next_tokens(rows, grammars):
                    number = row.sequence - 1
                    if self.llama.is_end(token) or counts[number] == max_tokens:
                        continue
                    grammars[number].accept(token)
                    counts[number] += 1
                    yield number, token
                    next_rows.append(Row(token, row.position + 1, row.sequence, True))
                rows = next_rows
        finally:
            for number, grammar in enumerate(grammars, start=1):
                self.llama.truncate(number)
                grammar.close()

    def _next_tokens(self, rows: Sequence[Row], grammars: Sequence[Grammar]) -> Iterator[tuple[Row, int]]:
        """Read rows. Yield each row that wants logits, with the token to write after it."""
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            self.llama.decode(part)
            last_rows = [row for row in part if row.wants_logits]
            logits = self.llama.logits(len(last_rows)) if last_rows else ()
            # a list is computed at once, before the next batch overwrites the logits
            yield from [
                (row, grammars[row.sequence - 1].likeliest(row_logits))
                for row, row_logits in zip(last_rows, logits, strict=True)
            ]

    def _opening(self, schema: type[T]) -> list[int]:
        """Return the tokens at the beginning of every reply, if they are known. The model then only reads them.

        They are known if the first field of the schema is required. They end with the colon and not with a quotation
        mark, since one token may hold a quotation mark and the characters after it.
        """
        name, field = next(iter(schema.model_fields.items()), (None, None))
        if not field or not field.is_required():
            return []
        tokens = self.llama.tokenise(f'{{"{field.alias or name}":')
        grammar = Grammar(self.llama, self._schema_grammar(schema))
        try:
            return tokens if grammar.accept_all(tokens) else []
        finally:
            grammar.close()

    def _schema_grammar(self, schema: type[T]) -> bytes:
        return self._compile(json.dumps(schema.model_json_schema()))

    def _compile(self, json_schema: str) -> bytes:
        """Return the grammar of a JSON schema in llama.cpp's notation."""
        if json_schema not in self._grammars:
            from llama_cpp.llama_grammar import json_schema_to_gbnf

            self._grammars[json_schema] = json_schema_to_gbnf(json_schema).encode()
        return self._grammars[json_schema]

    # Likelihoods.

    def _score(self, texts: list[list[int]]) -> NDArray[np.float64]:
        """Return the log-likelihoods of texts after the prompt in sequence 0, shape (texts,)."""
        begin, first = len(self._reader.tokens), self._reader.last_logits
        assert first is not None  # noqa: S101  # the prompt was read with `save`
        values: NDArray[np.float64] = first[[text[0] for text in texts]].astype(np.float64) - log_normaliser(first)
        room = min(BATCH, CONTEXT_TOKENS - begin)
        for group in group_by_size([len(text) - 1 for text in texts], room=room):
            rows, owners, next_tokens = [], [], []
            for sequence, number in enumerate(group, start=1):
                self.llama.branch(sequence)
                rows += [Row(token, begin + n, sequence, True) for n, token in enumerate(texts[number][:-1])]
                owners += [number] * (len(texts[number]) - 1)
                next_tokens += texts[number][1:]
            if rows:  # there are none if every text of the group has a single token
                self.llama.decode(rows)
                np.add.at(values, owners, log_probabilities(self.llama.logits(len(rows)), next_tokens))
            for sequence in range(1, len(group) + 1):
                self.llama.truncate(sequence)
        return values


def _whole_letters(data: bytes) -> tuple[str, bytes]:
    """Return the text of `data` up to its last whole character, and the bytes after that character."""
    for cut in range(4):  # a character in UTF-8 has at most four bytes
        try:
            return data[: len(data) - cut].decode("utf-8"), data[len(data) - cut :]
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace"), b""
