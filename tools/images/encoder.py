"""Image encoders: an ONNX model that turns the pixels of an image into a vector of what it shows and how it looks."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.files.hub import PulledFile, find, pull
from whimbrel.tools.images import efficientnet
from whimbrel.tools.images.files import decoded
from whimbrel.tools.text.encoder import Vectors

BUNDLED, HUB = "bundled", "hf:"
PREPROCESSING_FILE = "preprocessor_config.json"
"""The file beside an exported model that says how images are prepared for it."""
USUAL_SIZE, USUAL_MEAN, USUAL_DEVIATION = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What counts if neither the model nor the file beside it says so: the figures of ImageNet."""
BATCH_SIZE = 32


@dataclass(frozen=True)
class Preparation:
    """How an image becomes numbers: its side in pixels, and the mean and deviation of the brightness of each colour."""

    size: int
    mean: Sequence[float]
    deviation: Sequence[float]


class Encoded(NamedTuple):
    """The vectors of images, shape (read, dimension), the positions of those, and why each other one cannot be read."""

    vectors: Vectors
    rows: list[int]
    problems: dict[int, str]


class ImageEncoder:
    """An open image encoder.

    Attributes:
        name: The name under which a store notes it. Two encoders with equal vectors have equal names.
        dimension: The length of its vectors.
    """

    def __init__(self, model: str | bytes, name: str, preparation: Preparation | None = None) -> None:
        """Open a model.

        Args:
            model: The model, or its file.
            name: What it is called.
            preparation: How images are prepared; None for what the model's shape and the usual figures say.

        Raises:
            ConfigError: it is no model that takes images alone and returns a vector for each.
        """
        self.name = name
        self._session = _session(model, name)
        (inlet,) = self._session.get_inputs()
        batch, *_, height = inlet.shape[:3]
        side = height if isinstance(height, int) else (preparation.size if preparation else USUAL_SIZE)
        self._inlet, self._outlet = inlet.name, _outlet(self._session, name)
        self._batch = batch if isinstance(batch, int) else BATCH_SIZE
        given = preparation or Preparation(side, USUAL_MEAN, USUAL_DEVIATION)
        self._preparation = Preparation(side, given.mean, given.deviation)
        self.dimension = int(self._vectors(np.zeros((1, 3, side, side), dtype=np.float32)).shape[1])

    def encode(self, images: Sequence[bytes | str]) -> Encoded:
        """Return the unit vectors of images.

        Args:
            images: The bytes of each image file, or why they could not be read.
        """
        problems, read = dict[int, str](), dict[int, NDArray[np.float32]]()
        size = self._preparation.size
        # Pillow warns of half as many pixels as it refuses. Such an image is read.
        with catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            simplefilter("ignore", _bomb_warning())
            for row, pixels in enumerate(pool.map(lambda image: decoded(image, size), images)):
                if isinstance(pixels, str):
                    problems[row] = pixels
                else:
                    read[row] = pixels
        parts = [self._vectors(batch) for batch in self._batches(list(read.values()))]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)
        return Encoded(vectors, list(read), problems)

    def _batches(self, images: Sequence[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        mean, deviation = (
            np.array(of, dtype=np.float32)[:, None, None]
            for of in (self._preparation.mean, self._preparation.deviation)
        )
        for start in range(0, len(images), self._batch):
            yield (np.stack(images[start : start + self._batch]) - mean) / deviation

    def _vectors(self, pixels: NDArray[np.float32]) -> Vectors:
        # A model of a fixed batch size takes as many images, also if there are fewer.
        fixed = np.zeros((max(self._batch - len(pixels), 0), *pixels.shape[1:]), dtype=np.float32)
        whole = np.concatenate([pixels, fixed]) if self._is_fixed else pixels
        (vectors,) = self._session.run([self._outlet], {self._inlet: whole})
        vectors = vectors[: len(pixels)].astype(np.float32)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))

    @property
    def _is_fixed(self) -> bool:
        return isinstance(self._session.get_inputs()[0].shape[0], int)


def open_image_encoder(spec: str) -> ImageEncoder:
    """Open an image encoder.

    Args:
        spec: `bundled`, an ONNX file, or `hf:REPO:FILE` for one of a Hugging Face hub, which is fetched once. If a
            `preprocessor_config.json` lies beside the file or at the top of its repository, as exported models have
            it, it says how images are prepared. Otherwise the size is the model's, and the colours are ImageNet's.

    Raises:
        ConfigError: there is no such encoder, it takes something else than images, or a package is missing.
        ModelError: it cannot be fetched.

    Example:
        ```python
        encoder = open_image_encoder("clip/vision_model.onnx")
        vectors = encoder.encode([Path("poster.jpg").read_bytes()]).vectors
        ```
    """
    _require_pillow()
    if spec == BUNDLED:
        colours = [efficientnet.MEAN] * 3, [efficientnet.DEVIATION] * 3
        return ImageEncoder(efficientnet.bundled_model(), efficientnet.NAME, Preparation(efficientnet.SIZE, *colours))
    if spec.startswith(HUB):
        pulled, told = fetch_image_encoder(spec)
        return ImageEncoder(str(pulled.path), _name(pulled.path, pulled.sha256), _preparation(told) if told else None)
    path = Path(spec).expanduser()
    if not path.is_file():
        raise ConfigError(f"no image encoder {spec!r}: give {BUNDLED!r}, the path of an ONNX file, or hf:REPO:FILE")
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    beside = path.with_name(PREPROCESSING_FILE)
    return ImageEncoder(str(path), _name(path, digest), _preparation(beside) if beside.is_file() else None)


class Fetched(NamedTuple):
    """A model of a hub, and the file that says how images are prepared for it, if its repository has one."""

    model: PulledFile
    preprocessing: Path | None


def fetch_image_encoder(spec: str) -> Fetched:
    """Fetch the model of a spec `hf:REPO:FILE`, unless it is in the cache of huggingface_hub.

    Raises:
        ConfigError: the spec is not valid.
        ModelError: the model cannot be fetched.
    """
    repository, _, file = spec.removeprefix(HUB).partition(":")
    if not repository or not file.endswith(".onnx"):
        raise ConfigError(
            f"{spec!r} names no image encoder of a hub: give hf:REPO:FILE, with a FILE that ends in .onnx"
        )
    # The small file comes first: where the model lies in the cache, it was looked for.
    beside = PurePosixPath(file).with_name(PREPROCESSING_FILE)
    told = find(repository, str(beside)) or (find(repository, PREPROCESSING_FILE) if beside.parent.name else None)
    return Fetched(pull(repository, file, begins=b""), told)


def _name(model: Path, digest: str) -> str:
    return f"{model.name} {digest[:16]}"


def _require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"images cannot be read ({error}): run `pip install 'whimbrel[image]'`") from error


def _bomb_warning() -> type[Warning]:
    from PIL import Image

    return Image.DecompressionBombWarning


def _session(model: str | bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what cannot be read is said once, by the error
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # onnxruntime raises exceptions of its own for every kind of damage.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(f"{name!r} cannot be opened as an ONNX model: {reason}") from error
    inlets = session.get_inputs()
    if len(inlets) != 1 or len(inlets[0].shape) != 4 or inlets[0].type != "tensor(float)":
        shown = ", ".join(f"{inlet.name} {inlet.type} {inlet.shape}" for inlet in inlets)
        raise ConfigError(
            f"{name!r} is no image encoder: it takes {shown}, and not images alone as float numbers of shape (n, 3, "
            "height, width). Of a model of images and texts, export the part for images"
        )
    return session


def _outlet(session: Any, name: str) -> str:
    flat = [outlet for outlet in session.get_outputs() if len(outlet.shape) == 2]
    if not flat:
        shapes = ", ".join(f"{outlet.name} {outlet.shape}" for outlet in session.get_outputs())
        raise ConfigError(f"{name!r} returns no vector of an image (it returns {shapes}): export its pooled output")
    return str(flat[0].name)


def _preparation(path: Path) -> Preparation:
    try:
        told = json.loads(path.read_text("utf-8"))
        size: Any = told.get("crop_size") or told.get("size") or USUAL_SIZE
        if isinstance(size, dict):
            size = size.get("height") or size.get("shortest_edge")
        mean, deviation = (told.get("image_mean") or USUAL_MEAN), (told.get("image_std") or USUAL_DEVIATION)
        prepared = Preparation(int(size), tuple(map(float, mean)), tuple(map(float, deviation)))
        if not 0 < prepared.size <= 2048 or len(prepared.mean) != 3 or len(prepared.deviation) != 3:
            raise ValueError("expected a size and three colours")
        if min(prepared.deviation) <= 0:
            raise ValueError("a deviation is not positive")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{str(path)!r} does not say how images are prepared: {error}") from error
    return prepared
