"""The study of forgetting finds a name and a time of a forgotten person in any file."""

import struct
from pathlib import Path

import pytest

from whimbrel.evals.studies.forgetting import _Marks


@pytest.mark.parametrize(
    "content",
    [b'{"x": "Qlomirate harp"}'.lower(), b"\0qlomirate\0", b"[1600000123.25,", b"a" + struct.pack("<d", 1600000123.25)],
)
def test_what_is_left_of_a_person_is_found(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    marks = _Marks({"qlomirate"}, [1600000123.25])
    (tmp_path / "other").write_bytes(b"qlomibate 1600000124.25")
    assert marks.search(tmp_path) == []
    (tmp_path / "file").write_bytes(content)
    (left,) = marks.search(tmp_path)
    assert left.startswith("file: ")
