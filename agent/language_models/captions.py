"""Captions of images by a vision model behind an OpenAI-compatible server."""

from base64 import b64encode
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, LanguageModel
from whimbrel.agent.language_models.specs import hosted_by, open_some_model
from whimbrel.prompts import Message, load
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.images.captions import Caption

MAX_TOKENS = 150
"""The most tokens of a caption with the JSON around it."""


class CaptionReply(BaseModel):
    """Reply of a model that is asked what a picture shows."""

    caption: str


class ModelCaptioner:
    """Asks a vision model what images show.

    Attributes:
        usage: What all captions cost so far.
    """

    def __init__(self, model: LanguageModel, *, language: str = "en") -> None:
        prompt = load("caption", language=language)
        self._model, self._messages = model, prompt.messages({})
        self.digest = f"{model.digest} {prompt.name}"
        self.usage = NO_USAGE

    def caption(self, images: Sequence[bytes]) -> list[Caption]:
        """Return a caption for each JPEG (see `Captioner`). A refusal is no caption."""
        asked = [self._conversation(image) for image in images]
        replies = self._model.generate(asked, schema=CaptionReply, max_tokens=MAX_TOKENS)
        self.usage = sum((reply.usage for reply in replies), self.usage)
        return [_caption(reply) for reply in replies]

    def _conversation(self, image: bytes) -> list[Message]:
        *before, question = self._messages
        return [*before, {**question, "image": f"data:image/jpeg;base64,{b64encode(image).decode()}"}]


def _caption(reply: Generation[CaptionReply]) -> Caption:
    return Caption(reply.value.caption) if reply.value else Caption("", reply.misfit or "no caption came")


def open_captioner(
    spec: str, *, budget: Budget | None = None, tell: Callable[[str], None] | None = None
) -> ModelCaptioner:
    """Open the vision model of a spec `openai:MODEL[@BASE_URL]`. Its replies are kept on disk (see `CachingModel`).

    Raises:
        ConfigError: the spec names no hosted model, a key is missing, or only local models are allowed.
    """
    if hosted_by(spec) is None:
        raise ConfigError(
            f"{spec!r} cannot look at images: give --captions a vision model behind an OpenAI-compatible server, as "
            "openai:MODEL or openai:MODEL@BASE_URL"
        )
    return ModelCaptioner(open_some_model(spec, budget=budget, remember=True, tell=tell))
