"""Files that are replaced together: after any interruption there are all of the old ones or all of the new ones."""

import os
from pathlib import Path

import pytest

from whimbrel.tools.errors import DataError
from whimbrel.tools.files import whole_files as module
from whimbrel.tools.files.whole_files import check_files, complete, whole_files

NAMES = ("a", "b", "c")


def write(folder: Path, text: str, names: str) -> None:
    with whole_files(folder, NAMES) as new:
        for name in names:
            (new / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in NAMES if (folder / name).is_file()}


def test_files_that_are_not_written_again_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    write(tmp_path, "old", "abc")
    write(tmp_path, "new", "ab")
    assert contents(tmp_path) == {"a": "new", "b": "new"}
    assert (tmp_path / "mine").read_text() == "mine"
    check_files(tmp_path, "")


def test_an_error_while_writing_leaves_the_old_files(tmp_path: Path) -> None:
    write(tmp_path, "old", "abc")
    with pytest.raises(ZeroDivisionError), whole_files(tmp_path, NAMES) as new:
        (new / "a").write_text("new")
        1 / 0  # noqa: B018
    assert contents(tmp_path) == dict.fromkeys("abc", "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", module.MANIFEST]


@pytest.mark.parametrize("stop", range(6))
def test_an_interruption_at_any_step_leaves_the_old_or_the_new_files(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "old", "abc")
    real, calls = os.replace, list[str]()

    def replace(source: Path, target: Path) -> None:
        if len(calls) == stop:
            raise KeyboardInterrupt
        calls.append(str(target))
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        try:
            write(tmp_path, "new", "ab")
        except KeyboardInterrupt:
            assert stop < 5
    complete(tmp_path)
    # The first replacement is that of the manifest in the folder of the new files.
    assert contents(tmp_path) == (dict.fromkeys("abc", "old") if stop == 0 else dict.fromkeys("ab", "new"))
    check_files(tmp_path, "")


def test_a_changed_or_absent_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "text", "ab")
    (tmp_path / "a").write_text("texu")
    with pytest.raises(DataError, match=r"a' is damaged: run it again"):
        check_files(tmp_path, "run it again")
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match="damaged"):
        check_files(tmp_path, "run it again")
    for manifest in ("[", "[]", "[" * 5000):
        (tmp_path / module.MANIFEST).write_text(manifest)
        with pytest.raises(DataError, match="remove this file"):
            check_files(tmp_path, "run it again")
    (tmp_path / module.MANIFEST).write_text('{"replaces": [], "files": {"a\\u0000": ""}}')
    with pytest.raises(DataError, match="run it again"):
        check_files(tmp_path, "run it again")
