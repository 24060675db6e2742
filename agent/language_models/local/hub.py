"""GGUF files of a Hugging Face hub, whole and verified, in huggingface_hub's own cache.

The library's own download begins anew in every process. Here its `http_get` goes on with what an earlier call fetched,
under the lock and in the place that the library knows.
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from whimbrel.tools.errors import ConfigError, ModelError, WhimbrelError
from whimbrel.tools.files.disk_cache import DiskCache
from whimbrel.tools.files.paths import cache_folder

RESETS = 5
"""How often a connection may be reset before a call gives up."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Pulled:
    """A whole GGUF file. `verified_by` tells who stated its checksum, `caller` or `hub`; "" if nobody did, so that
    nothing vouches for its content."""

    path: Path
    sha256: str
    verified_by: str


def pull(repository: str, file: str, *, sha256: str = "") -> Pulled:
    """A GGUF file of a repository's main branch. One pulled before is given at once, without any network, unless it is
    not the one of the given `sha256`.

    What an interrupted call fetched, less up to 10 MB, is kept, and the next call goes on from there. Progress shows on
    stderr where that is a terminal. `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE` and `HF_TOKEN` mean what they mean to
    huggingface_hub.

    Raises:
        ConfigError: a name or checksum that cannot be one.
        ModelError: the file cannot be had, or is not what it should be; a damaged one is removed.
    """
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    sha256 = sha256.lower()
    if not file.strip() or (sha256 and not _SHA256.fullmatch(sha256)):
        raise ConfigError(f"file {file!r}, SHA-256 {sha256!r}: give the file's path, and 64 hexadecimal digits or none")
    endpoint, cache = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"), _hub_cache()
    try:
        found = try_to_load_from_cache(repository, file, cache_dir=cache)
        if not isinstance(found, str) or sha256 not in ("", _sha256(Path(found))):
            _fetch_blob(repository, file, sha256, endpoint, cache)
            found = hf_hub_download(repository, file, endpoint=endpoint, cache_dir=cache)
        path = Path(found)
        blob = path.parent / path.readlink() if path.is_symlink() else path
        stated = blob.name if _SHA256.fullmatch(blob.name) else ""
        digest = _verified(blob, file, sha256 or stated)
        return Pulled(path, digest, "caller" if sha256 else "hub" if stated else "")
    except (HTTPError, InvalidURL, OSError, ValueError) as error:
        raise _explained(error, repository, file, endpoint, cache) from error


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(cache)).expanduser()


def _fetch_blob(repository: str, file: str, sha256: str, endpoint: str, cache: Path) -> None:
    """Put the file's content into the cache, unless it is there."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, though not marked so

    found = get_hf_file_metadata(hf_hub_url(repository, file, endpoint=endpoint), endpoint=endpoint)
    etag = found.etag or ""
    if not found.commit_hash or not re.fullmatch(r"[\w-]+", etag):
        raise ModelError(f"{endpoint} does not answer as a Hugging Face hub: check HF_ENDPOINT and proxies")
    stated = etag if _SHA256.fullmatch(etag) else ""
    if sha256 and stated not in ("", sha256):
        raise ModelError(f"the hub's {file!r} has SHA-256 {stated}, not {sha256}: check which of them you want")
    folder = repo_folder_name(repo_id=repository, repo_type="model")
    blob, lock = cache / folder / "blobs" / etag, cache / ".locks" / folder / f"{etag}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.exists():
            part = blob.with_name(f"{etag}.incomplete")
            url = hf_hub_url(repository, file, revision=found.commit_hash, endpoint=endpoint)
            _complete(part, url, file, found.size)
            _verified(part, file, sha256 or stated, fresh=True)
            part.replace(blob)


def _complete(part: Path, url: str, file: str, size: int | None) -> None:
    """Fetch what a file lacks of `size` bytes."""
    from httpx2 import ReadError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, though not marked so
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

    if size is None or (part.exists() and part.stat().st_size > size):
        part.unlink(missing_ok=True)  # nobody could tell whether it is whole
    lacking = (size or 0) - (part.stat().st_size if part.exists() else 0)
    if lacking > (free := shutil.disk_usage(part.parent).free):
        raise ModelError(f"{lacking:,} bytes do not fit the {free:,} free at {part.parent}: free space or set HF_HOME")
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})  # what is compressed has no ranges
    again, most = retry_if_exception_type(ReadError), stop_after_attempt(RESETS)  # http_get stands all other breaks
    for attempt in Retrying(retry=again, stop=most, wait=wait_fixed(1), reraise=True):
        with attempt, part.open("ab") as out:
            http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=size, displayed_filename=file)


def _verified(blob: Path, file: str, due: str, *, fresh: bool = False) -> str:
    """The SHA-256 of a GGUF file. A damaged file is removed; one that is no GGUF file only if it is `fresh`: another
    program may have put it into the cache."""
    found = _sha256(blob)
    if due not in ("", found):
        blob.unlink()
        raise ModelError(
            f"{file!r} was damaged and is removed, its SHA-256 {found} is not {due}: run again to fetch it anew; if it "
            "comes out the same, the checksum is of another file",
            retryable=True,
        )
    with blob.open("rb") as opened:
        if opened.read(4) == b"GGUF":
            return found
    if fresh:
        blob.unlink()
    raise ModelError(f"{file!r} is no GGUF file: choose one of the repository that ends in .gguf")


def _sha256(file: Path) -> str:
    """Read once, and remembered for as long as the file is unchanged, under whatever name."""
    status = file.stat()
    name = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    known = DiskCache(cache_folder() / "checksums", most_bytes=1 << 20)
    try:
        digest = known.get([name]).get(name)
        if digest is None:
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            known.put({name: digest})
        return str(digest)
    finally:
        known.close()


def _explained(error: Exception, repository: str, file: str, endpoint: str, cache: Path) -> WhimbrelError:
    """A failure of the network, the hub or the disk, with what to do about it."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    why = " ".join(str(error).split())
    what, home = f"{file!r} of {repository!r}", f"{endpoint}/{repository}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return ModelError(
                f"the hub does not give out {what} ({status}): check the name; if it is private or gated, ask for "
                f"access at {home} and set HF_TOKEN"
            )
        if status == 404:
            return ModelError(f"the hub has no {what}: check both names at {home}/tree/main")
        return ModelError(
            f"{endpoint} answered {status} for {what}: run again later", retryable=status == 429 or status >= 500
        )
    if isinstance(error, ValueError):
        return ConfigError(f"{what} cannot be asked for ({why}): give OWNER/NAME and the path that the hub shows")
    if isinstance(error, OSError) and error.errno:
        return ModelError(f"{what} cannot be kept in {cache} ({error.strerror}): free space there, or set HF_HOME")
    return ModelError(
        f"{what} could not be fetched ({why}): check the network and HF_ENDPOINT, then run again; it goes on from "
        "what came",
        retryable=True,
    )
