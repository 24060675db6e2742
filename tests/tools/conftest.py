"""A small encoder of images, and images to encode."""

from collections.abc import Callable
from pathlib import Path

import pytest


def _write_encoder(path: Path, *, batch: int | str = "n", flat: bool = True) -> Path:
    """Write an ONNX model whose vector of an image is its mean colour."""
    from onnx import TensorProto, helper

    images = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 8, 8])
    shape = [batch, 3] if flat else [batch, 3, 1, 1]
    nodes = [helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"])]
    nodes.append(helper.make_node("Flatten" if flat else "Identity", ["pooled"], ["colour"]))
    colour = helper.make_tensor_value_info("colour", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "mean colour", [images], [colour])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    # The colours are taken as they are, so a vector is easy to work out.
    told = '{"size": 8, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}'
    path.with_name("preprocessor_config.json").write_text(told)
    return path


def _write_image(path: Path, colour: str, *, size: tuple[int, int] = (12, 20)) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def write_encoder() -> Callable[..., Path]:
    return _write_encoder


@pytest.fixture
def write_image() -> Callable[..., Path]:
    return _write_image
