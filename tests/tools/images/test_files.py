"""Image files: found in a folder or an archive, never outside of it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from whimbrel.tools.images import files
from whimbrel.tools.images.files import FoundImage, ImageFolder


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    inside = tmp_path / "shop"
    write_image(inside / "pictures" / "a.png", "red")
    write_image(tmp_path / "secret.png", "blue")
    with zipfile.ZipFile(inside / "all.zip", "w") as archive:
        archive.write(inside / "pictures" / "a.png", "b/a.png")
    (inside / "broken.zip").write_bytes(b"PK no archive")
    return inside


def test_a_path_and_a_member_of_an_archive_are_read(folder: Path) -> None:
    with ImageFolder(folder) as images:
        content = (folder / "pictures" / "a.png").read_bytes()
        for name in ("pictures/a.png", str(folder / "pictures" / "a.png"), "all.zip!b/a.png"):
            found = images.find(name)
            assert isinstance(found, FoundImage)
            assert found.read() == content


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "outside of the folder"),
        ("/etc/hostname", "outside of the folder"),
        ("pictures", "no file"),
        ("gone.png", "no file"),
        ("all.zip!gone.png", "'all.zip' has no 'gone.png'"),
        ("broken.zip!a.png", "no whole archive"),
        ("https://example.org/a.png", "never fetched"),
        ("a\0b.png", "cannot be read"),
    ],
)
def test_what_cannot_be_read_has_a_reason(folder: Path, name: str, reason: str) -> None:
    with ImageFolder(folder) as images:
        found = images.find(name)
    assert isinstance(found, str)
    assert found.startswith("image: ")
    assert reason in found


def test_a_link_does_not_lead_outside(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    with ImageFolder(folder) as images:
        assert "outside" in str(images.find("link.png"))


def test_a_large_member_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    with ImageFolder(folder) as images:
        assert "MB" in str(images.find("all.zip!b/a.png"))
        assert "MB" in str(images.find("pictures/a.png"))
