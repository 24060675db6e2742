"""The cache on disk: shared, bounded in time, and never an error."""

import time
from pathlib import Path

from whimbrel.tools.files.disk_cache import DiskCache


def test_values_outlive_the_process_that_put_them_unless_they_expire(tmp_path: Path) -> None:
    first = DiskCache(tmp_path / "cache", most_bytes=1 << 20)
    first.put({"a": {"n": 1}})
    first.put({"b": 2}, seconds=0.01)
    first.close()
    time.sleep(0.05)
    second = DiskCache(tmp_path / "cache", most_bytes=1 << 20)
    assert second.get(["a", "b", "c"]) == {"a": {"n": 1}}
    second.close()


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", most_bytes=1 << 20)
    cache.put({"a": 1})
    cache.close()
    (tmp_path / "cache" / "cache.db").write_bytes(b"no database" * 100)
    anew = DiskCache(tmp_path / "cache", most_bytes=1 << 20)
    assert anew.get(["a"]) == {}
    anew.put({"a": 2})
    assert anew.get(["a"]) == {"a": 2}
    anew.close()


def test_a_folder_that_cannot_be_used_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    cache = DiskCache(tmp_path / "cache", most_bytes=1 << 20)
    cache.put({"a": 1})
    assert cache.get(["a"]) == {}
    cache.close()
