"""Download of models from a Hugging Face hub into the cache of huggingface_hub.

The library's own download starts from the beginning in every process. The download here uses the library's `http_get`
and continues a partial file. It takes the library's lock and writes to the library's path.
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

MAX_RESETS = 5
"""The most tries of a download whose connection is reset."""
GGUF = b"GGUF"
"""The first bytes of a GGUF file."""

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class PulledFile:
    """A whole file.

    Attributes:
        path: The file's path.
        sha256: The file's SHA-256, computed here.
        verified_by: Who stated the same checksum: `caller` or `hub`. Empty if nobody did. The content is then not
            verified.
    """

    path: Path
    sha256: str
    verified_by: str


def pull(repository: str, file: str, *, sha256: str = "", begins: bytes = GGUF) -> PulledFile:
    """Return a file of a repository's main branch, downloaded if it is not in the cache.

    A file in the cache is returned without using the network, unless its checksum differs from `sha256`. An
    interrupted call keeps what it fetched, except for up to 10 MB. The next call continues from there. Progress is
    shown on stderr if stderr is a terminal. HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_TOKEN have the same meaning as
    for huggingface_hub.

    Args:
        repository: The repository as OWNER/NAME.
        file: Path of the file within the repository.
        sha256: The required SHA-256 of the file; empty if any is right.
        begins: The first bytes of the file: GGUF, or nothing if any are right.

    Raises:
        ConfigError: A name or the checksum is not valid.
        ModelError: The file cannot be fetched, is damaged, or is not a GGUF file. A damaged file is removed.
    """
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    sha256 = sha256.lower()
    if not file.strip() or (sha256 and not _SHA256.fullmatch(sha256)):
        raise ConfigError(f"file {file!r}, SHA-256 {sha256!r}: give the file's path, and 64 hexadecimal digits or none")
    endpoint, cache = _endpoint(), _hub_cache()
    try:
        cached = try_to_load_from_cache(repository, file, cache_dir=cache)
        if isinstance(cached, str) and sha256 in ("", _sha256(Path(cached))):
            path = Path(cached)
        else:
            _fetch_blob(repository, file, sha256, begins, endpoint, cache)
            path = Path(hf_hub_download(repository, file, endpoint=endpoint, cache_dir=cache))
        # The library stores the content under the hub's checksum. The file in the cache is a link to it.
        blob = path.parent / path.readlink() if path.is_symlink() else path
        stated = blob.name if _SHA256.fullmatch(blob.name) else ""
        digest = _verify(blob, file, sha256 or stated, begins)
        return PulledFile(path, digest, "caller" if sha256 else "hub" if stated else "")
    except (HTTPError, InvalidURL, OSError, ValueError) as error:
        raise _explain(error, repository, file, endpoint, cache) from error


def find(repository: str, file: str) -> Path | None:
    """Return a small file of a repository's main branch, downloaded if it is not in the cache; None if there is none.

    Raises:
        ConfigError: A name is not valid.
        ModelError: The file cannot be fetched.
    """
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RemoteEntryNotFoundError

    endpoint, cache = _endpoint(), _hub_cache()
    try:
        cached = try_to_load_from_cache(repository, file, cache_dir=cache)
        if cached is not None:  # a path, or the library's note that the hub has no such file
            return Path(cached) if isinstance(cached, str) else None
        return Path(hf_hub_download(repository, file, endpoint=endpoint, cache_dir=cache))
    except RemoteEntryNotFoundError:
        return None
    except (HTTPError, InvalidURL, OSError, ValueError) as error:
        raise _explain(error, repository, file, endpoint, cache) from error


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _hub_cache() -> Path:
    """Return the cache folder of huggingface_hub, from the environment variables.

    The library's own constant is not used, since it ignores variables that are set after the import.
    """
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(cache)).expanduser()


def _fetch_blob(repository: str, file: str, sha256: str, begins: bytes, endpoint: str, cache: Path) -> None:
    """Put the content of a file into the cache, unless the cache holds it already."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, though not marked so

    metadata = get_hf_file_metadata(hf_hub_url(repository, file, endpoint=endpoint), endpoint=endpoint)
    etag = metadata.etag or ""
    if not metadata.commit_hash or not re.fullmatch(r"[\w-]+", etag):  # the etag becomes a file's name
        raise ModelError(f"{endpoint} does not answer as a Hugging Face hub: check HF_ENDPOINT and proxies")
    stated = etag if _SHA256.fullmatch(etag) else ""
    if sha256 and stated not in ("", sha256):
        raise ModelError(f"the hub's {file!r} has SHA-256 {stated}, not {sha256}: check which of them you want")
    folder = repo_folder_name(repo_id=repository, repo_type="model")
    blob, lock = cache / folder / "blobs" / etag, cache / ".locks" / folder / f"{etag}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.exists():  # another process may have fetched it in the meantime
            part = blob.with_name(f"{etag}.incomplete")
            url = hf_hub_url(repository, file, revision=metadata.commit_hash, endpoint=endpoint)
            _complete(part, url, file, metadata.size)
            _verify(part, file, sha256 or stated, begins, is_new=True)
            part.replace(blob)


def _complete(part: Path, url: str, file: str, size: int | None) -> None:
    """Fetch the bytes that a partial file lacks. The whole file has `size` bytes."""
    from httpx2 import ReadError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, though not marked so
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

    if size is None or (part.exists() and part.stat().st_size > size):
        part.unlink(missing_ok=True)  # without a size it is unknown whether the file is whole
    lacking = (size or 0) - (part.stat().st_size if part.exists() else 0)
    if lacking > (free := shutil.disk_usage(part.parent).free):
        raise ModelError(
            f"{lacking:,} bytes do not fit into the {free:,} free bytes at {part.parent}: free space or set HF_HOME"
        )
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})  # compressed content has no byte ranges
    is_reset, last_try = retry_if_exception_type(ReadError), stop_after_attempt(MAX_RESETS)
    # only a reset is retried here: http_get itself continues after any other interruption
    for attempt in Retrying(retry=is_reset, stop=last_try, wait=wait_fixed(1), reraise=True):
        with attempt, part.open("ab") as out:
            http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=size, displayed_filename=file)


def _verify(blob: Path, file: str, expected: str, begins: bytes, *, is_new: bool = False) -> str:
    """Return the SHA-256 of a file.

    Args:
        blob: The file.
        file: The file's name on the hub, for messages.
        expected: The required SHA-256; empty if any is right. A file with another SHA-256 is damaged and is removed.
        begins: The first bytes of a GGUF file; empty if it need not be one.
        is_new: Whether this process fetched the file. A new file is also removed if it does not begin so. An older one
            stays, since another program may have put it into the cache.

    Raises:
        ModelError: The file is damaged, or it is not a GGUF file.
    """
    digest = _sha256(blob)
    if expected not in ("", digest):
        blob.unlink()
        raise ModelError(
            f"{file!r} was damaged and is removed, its SHA-256 {digest} is not {expected}: run again to fetch it "
            "anew; if the SHA-256 is the same then, the expected one is of another file",
            retryable=True,
        )
    with blob.open("rb") as opened:
        if opened.read(len(begins)) == begins:
            return digest
    if is_new:
        blob.unlink()
    raise ModelError(f"{file!r} is not a GGUF file: choose a file of the repository whose name ends in .gguf")


def _sha256(file: Path) -> str:
    """Return the SHA-256 of a file. It is cached on disk until the file changes."""
    status = file.stat()
    # The name has no path. The partial file is renamed to the blob, which must not be read again.
    name = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    cache = DiskCache(cache_folder() / "checksums", most_bytes=1 << 20)
    try:
        digest = cache.get([name]).get(name)
        if digest is None:
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            cache.put({name: digest})
        return str(digest)
    finally:
        cache.close()


def _explain(error: Exception, repository: str, file: str, endpoint: str, cache: Path) -> WhimbrelError:
    """Return the error to raise for a failure of the network, the hub or the disk. Its message gives advice."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    cause = " ".join(str(error).split())
    name, page = f"{file!r} of {repository!r}", f"{endpoint}/{repository}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        # the hub also answers 401 if the repository does not exist
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return ModelError(
                f"the hub does not give out {name} ({status}): check the name; if it is private or gated, ask for "
                f"access at {page} and set HF_TOKEN"
            )
        if status == 404:
            return ModelError(f"the hub has no {name}: check both names at {page}/tree/main")
        return ModelError(
            f"{endpoint} answered {status} for {name}: run again later", retryable=status == 429 or status >= 500
        )
    if isinstance(error, ValueError):
        return ConfigError(f"{name} is not a valid name ({cause}): give OWNER/NAME and the path that the hub shows")
    if isinstance(error, OSError) and error.errno:
        return ModelError(f"{name} cannot be kept in {cache} ({error.strerror}): free space there, or set HF_HOME")
    return ModelError(
        f"{name} could not be fetched ({cause}): check the network and HF_ENDPOINT, then run again; the download goes "
        "on from where it stopped",
        retryable=True,
    )
