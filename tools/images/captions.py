"""Captions: what an image shows, in a sentence of a vision model.

A caption is a text of somebody else's machine about a picture of somebody else. It is cleaned, kept short, and compared
with other captions only. Nobody reads it as an instruction.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from whimbrel.tools.clean import clean_text

LONGEST_CAPTION = 300
"""Characters of a caption."""
SIDE = 512
"""The longest side in pixels of an image that a model is shown."""


class Caption(NamedTuple):
    """What an image shows, or else why that is not known."""

    text: str
    problem: str = ""

    def cleaned(self) -> "Caption":
        r"""Return the caption as one short line of visible characters.

        Example:
            >>> Caption(" A red\nkettle. ").cleaned(), Caption("\u200b").cleaned()
            (Caption(text='A red kettle.', problem=''), Caption(text='', problem='the model wrote nothing'))
        """
        text = str(clean_text(self.text))[:LONGEST_CAPTION].strip()
        return Caption(text, self.problem or ("" if text else "the model wrote nothing"))


class Captioner(Protocol):
    """Says what images show. An implementation asks a vision model."""

    @property
    def digest(self) -> str:
        """Name of the model and of the question. Captioners with the same digest write the same captions."""
        ...

    def caption(self, images: Sequence[bytes]) -> list[Caption]:
        """Return a caption for each image, which is a JPEG of at most SIDE pixels.

        Raises:
            ModelError: no image can be captioned now, since the model cannot be reached or may cost no more.
        """
        ...
