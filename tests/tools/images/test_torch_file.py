"""The reader of old PyTorch files knows tensors, and runs nothing."""

import pickle
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.images.torch_file import read_tensors


def test_tensors_are_those_that_pytorch_wrote(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch writes the file; it is an optional package")
    shared = torch.arange(24, dtype=torch.float32)
    tensors = OrderedDict(whole=shared.reshape(4, 6), turned=shared.reshape(4, 6).T[1:, :2], count=torch.tensor(7))
    torch.save(tensors, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    with (tmp_path / "a.pth").open("rb") as file:
        read = read_tensors(file)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor.numpy())


class Planted:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


@pytest.mark.parametrize("place", range(5))
def test_anything_but_tensors_is_refused(place: int) -> None:
    parts: list[object] = [0, 1001, {}, OrderedDict(), []]
    parts[place] = Planted()
    with pytest.raises(pickle.UnpicklingError, match="no tensor"):
        read_tensors(BytesIO(b"".join(map(pickle.dumps, parts))))


def test_a_cut_file_is_an_error() -> None:
    with pytest.raises(EOFError):
        read_tensors(BytesIO(b"".join(map(pickle.dumps, (0, 1001)))))
