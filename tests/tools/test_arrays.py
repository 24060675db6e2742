"""Arithmetic on arrays, and files of arrays."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.arrays import opened_arrays, standardise


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 3.0], [-1, 1]),
        ([1.0, np.nan, 3.0], [-1, 0, 1]),
        ([2.0, 2.0], [0, 0]),
        ([np.nan, np.inf], [0, 0]),
        ([], []),
    ],
)
def test_known_values_get_mean_0_and_deviation_1_unknown_ones_0(values: list[float], expected: list[float]) -> None:
    assert standardise(np.array(values)).tolist() == expected


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, x=np.arange(3))
    with opened_arrays(tmp_path / "a.npz") as arrays:
        assert arrays["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("x.npy", b"\x93NUMPY\x01\x00\x0c\x00{'descr': (\n"),  # numpy raises TokenError
        ("x", b"text"),  # bytes in place of an array: AttributeError
        ("y.npy", b""),
        ("x.npy", b"\x93NUMPY\x01\x00"),
    ],
)
def test_whatever_numpy_raises_for_a_damaged_file_is_a_value_error(member: str, content: bytes, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, content)
    for data in (packed.getvalue(), packed.getvalue()[:30], b"", b"\x93NUMPY"):
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(ValueError, match="damaged"), opened_arrays(tmp_path / "a.npz") as arrays:
            arrays["x"].max()


def test_an_absent_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), opened_arrays(tmp_path / "a.npz"):
        pass
