"""A model on another machine. It gets placeholders for personal data that is found, and its errors repeat no prompt."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import SequenceMatcher

from pydantic import ValidationError

from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Likelihoods, T
from whimbrel.agent.language_models.wrapped_model import WrappedModel
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError
from whimbrel.tools.privacy.masked import Placeholders

NOTE = "Words such as PERSON_1 or EMAIL_2 stand for what you may not see. Copy them as they are."
LONGEST_ECHO = 16
"""An error may share at most so many characters in a row with a prompt."""


class PrivateModel(WrappedModel):
    """A model whose prompts have placeholders for personal data. In its replies, the data is put back.

    Attributes:
        is_public: Returns whether a name or an address is public (see `personal_data`), such as one in a title of the
            catalogue. Nothing is by default.

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> PrivateModel(ScriptedModel()).spec
        'scripted'
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model)
        self.is_public: Callable[[str], bool] = lambda words: False

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation, with the personal data of the conversation put back."""
        places = [Placeholders(self.is_public) for _ in conversations]
        masked = [_masked(messages, of_one) for messages, of_one in zip(conversations, places, strict=True)]
        # Our own instructions are no secret.
        asked = [message["content"] for messages in conversations for message in messages if message["role"] == "user"]
        with _without_echo(asked):
            replies = self.model.generate(masked, schema=schema, max_tokens=max_tokens)
        return [_restored(reply, of_one, schema) for reply, of_one in zip(replies, places, strict=True)]

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihoods of continuations. Prompt and continuations have placeholders."""
        places = Placeholders(self.is_public)
        masked = [places.mask(prompt), *(places.mask(text) for text in continuations)]
        with _without_echo([prompt, *continuations]):
            return self.model.log_likelihood(masked[0], masked[1:])


def know_public(llm: LanguageModel | None, is_public: Callable[[str], bool]) -> None:
    """Tell a private model, or one that a cache wraps, which names are public (see `PrivateModel.is_public`)."""
    while llm is not None and not isinstance(llm, PrivateModel):
        llm = getattr(llm, "model", None)
    if llm is not None:
        llm.is_public = is_public


def _masked(messages: Sequence[Message], places: Placeholders) -> list[Message]:
    masked: list[Message] = [{**message, "content": places.mask(message["content"])} for message in messages]
    if places and masked[0]["role"] == "system":
        masked[0] = {**masked[0], "content": f"{masked[0]['content']}\n\n{NOTE}"}
    return masked


def _restored(reply: Generation[T], places: Placeholders, schema: type[T]) -> Generation[T]:
    if reply.value is None or not places:
        return reply
    try:
        value = schema.model_validate(places.restore(reply.value.model_dump(mode="json", by_alias=True)))
    except ValidationError:  # the words are longer than their placeholder, and the schema has a limit
        return reply
    return replace(reply, value=value)


@contextmanager
def _without_echo(texts: Sequence[str]) -> Iterator[None]:
    """Let no error repeat a part of these texts. A server may quote what it was asked."""
    try:
        yield
    except ModelError as error:
        raise type(error)(without_echo(str(error), texts), retryable=error.retryable) from None


def without_echo(words: str, texts: Sequence[str]) -> str:
    """Return words in which every part that one of the texts has too is replaced by `…`, if it is long.

    Example:
        >>> without_echo("bad input: 'User: green tea, rye bread'", ["User: green tea, rye bread"])
        "bad input: '…'"
    """
    for text in dict.fromkeys(texts):
        while True:
            match = SequenceMatcher(None, words, text, autojunk=False).find_longest_match()
            if match.size < LONGEST_ECHO:
                break
            words = f"{words[: match.a]}…{words[match.a + match.size :]}"
    return words
