"""Read the tensors of a PyTorch file of before 2020, without PyTorch.

Such a file is a row of pickles: a magic number, the version, what machine wrote it, the tensors, and the keys of their
numbers. The numbers follow. A pickle could run any code, so this reader knows tensors and refuses everything else.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

BEFORE_TENSORS = 3  # pickles
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    """Where a tensor is in the numbers of a key: its first number, its shape, and the step along each dimension."""

    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def of(self, numbers: bytes) -> NDArray[Any]:
        size = self.dtype.itemsize
        # Numbers may stand in another order than that of the shape. NumPy refuses steps that leave the buffer.
        steps = [step * size for step in self.steps]
        return np.ndarray(self.shape, self.dtype, numbers, self.offset * size, steps)


class _Reader(pickle.Unpickler):
    """Unpickles tensors, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any]]:
        _, dtype, key, *_ = pid
        return key, dtype


def _rebuilt(
    storage: tuple[str, np.dtype[Any]], offset: int, shape: tuple[int, ...], steps: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(*storage, offset, tuple(shape), tuple(steps))


def read_tensors(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file, keyed by name.

    Raises:
        UnpicklingError: the file holds anything but tensors.
        ValueError, EOFError, KeyError: the file is cut or damaged.
    """
    for _ in range(BEFORE_TENSORS):
        _Reader(file).load()
    tensors: Mapping[str, _Tensor] = _Reader(file).load()
    types = {tensor.key: tensor.dtype for tensor in tensors.values()}
    numbers = {key: _numbers(file, types[key]) for key in _Reader(file).load()}
    return {name: tensor.of(numbers[tensor.key]) for name, tensor in tensors.items()}


def _numbers(file: BinaryIO, dtype: np.dtype[Any]) -> bytes:
    (count,) = np.frombuffer(file.read(8), "<i8")
    return file.read(int(count) * dtype.itemsize)
