"""Read image files: from a folder or an archive, never from outside of it, and never from the web."""

import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 50 << 20
"""A larger file is not read as an image."""
ADDRESSES = ("http://", "https://", "data:")


class FoundImage(NamedTuple):
    """An image file: what changes if its content does, and how it is read."""

    stamp: str
    read: Callable[[], bytes | str]


class ImageFolder:
    """The images of a folder. A name is a path in it, or `ARCHIVE.zip!MEMBER`. Use it in a `with` block.

    Names come from the rows of a source. They are not trusted, so no file outside of the folder is read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._archives: dict[Path, zipfile.ZipFile | str] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def find(self, name: str) -> FoundImage | str:
        """Return an image file, or why there is none."""
        if name.startswith(ADDRESSES):
            return "image: a web address, which is never fetched"
        archive, mark, member = name.partition(".zip!")
        try:
            path = (self._folder / (f"{archive}.zip" if mark else name)).resolve()
            if not path.is_relative_to(self._folder):
                return f"image: {name!r} is outside of the folder of the source"
            if not path.is_file():
                return f"image: no file {name!r}"
            return self._member(path, member) if mark else _file(path)
        except (OSError, ValueError) as error:
            return f"image: {name!r} cannot be read ({error})"

    def _member(self, path: Path, name: str) -> FoundImage | str:
        if path not in self._archives:
            try:
                self._archives[path] = self._open.enter_context(zipfile.ZipFile(path))
            except zipfile.BadZipFile as error:
                self._archives[path] = f"image: {path.name!r} is no whole archive ({error})"
        archive = self._archives[path]
        if isinstance(archive, str):
            return archive
        try:
            info = archive.getinfo(name)
        except KeyError:
            return f"image: {path.name!r} has no {name!r}"
        if info.file_size > MOST_BYTES:
            return f"image: {name!r} has more than {MOST_BYTES >> 20} MB"
        return FoundImage(f"{info.file_size} {info.CRC}", lambda: _unpacked(archive, info))


def _file(path: Path) -> FoundImage | str:
    status = path.stat()
    if status.st_size > MOST_BYTES:
        return f"image: {path.name!r} has more than {MOST_BYTES >> 20} MB"
    return FoundImage(f"{status.st_size} {status.st_mtime_ns}", lambda: _bytes(path))


def _bytes(path: Path) -> bytes | str:
    try:
        return path.read_bytes()
    except OSError as error:
        return f"image: {path.name!r} cannot be read ({error.strerror or error})"


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | str:
    try:
        return archive.read(info)
    # A damaged member raises errors of the compression too, and an encrypted one a RuntimeError.
    except Exception as error:
        return f"image: {info.filename!r} cannot be unpacked ({error})"


def decoded(image: bytes | str, size: int) -> NDArray[np.float32] | str:
    """Return the colours of an image from 0 to 1, shape (3, size, size), or why it cannot be read.

    The whole image is squeezed into the square, since the edges of a poster or a product tell as much as the middle.

    Args:
        image: The bytes of a file, or why they could not be read.
        size: The side in pixels.
    """
    from PIL import Image

    upright = _upright(image, size)
    if isinstance(upright, str):
        return upright
    pixels = np.asarray(upright.resize((size, size), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def shrunk(image: bytes | str, side: int) -> bytes | str:
    """Return an image as a JPEG whose sides have at most `side` pixels, or why it cannot be read.

    What else its file tells, such as where a photo was taken, is left out.

    Args:
        image: The bytes of a file, or why they could not be read.
        side: The longest side in pixels.
    """
    from PIL import Image

    with catch_warnings():
        # Pillow warns of half as many pixels as it refuses. Such an image is read.
        simplefilter("ignore", Image.DecompressionBombWarning)
        upright = _upright(image, side)
    if isinstance(upright, str):
        return upright
    upright.thumbnail((side, side))
    file = BytesIO()
    upright.info.clear()
    upright.save(file, "JPEG", quality=85)
    return file.getvalue()


def _upright(image: bytes | str, size: int) -> "Image.Image | str":
    """Return the colours of an image as it is meant to be seen, at `size` pixels or more if it has so many."""
    from PIL import Image, ImageOps

    if isinstance(image, str):
        return image
    try:
        with Image.open(BytesIO(image)) as opened:
            opened.draft("RGB", (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            turned = ImageOps.exif_transpose(opened)
            if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
                turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned.convert("RGBA"))
            return turned.convert("RGB")
    # Pillow raises errors of almost any kind for damaged files, and for one of 180 million pixels or more.
    except Exception as error:
        return f"image: it cannot be decoded ({type(error).__name__})"
