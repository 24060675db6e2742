"""Clients of Chroma: embedded in a folder, or of a server. Each of their errors becomes a `StoreError` of one line."""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from whimbrel.tools.errors import StoreError

DATABASE_FILE = "chroma.sqlite3"
ROOM = 256 << 10  # bytes that must be free for a folder to be opened where it is
OPENING_SECONDS = 5.0  # the longest wait for a server's first answer
READING_SECONDS = 8.0  # the longest wait for an answer, while somebody waits for a list
WRITING_SECONDS = 120.0  # the same for an ingestion, since a server that writes its index pauses


def open_folder(folder: Path) -> Any:
    """Open a client of the database in a folder. Make the database if there is none."""
    import chromadb

    with store_errors(str(folder), "cannot be opened; if it is damaged, ingest into a new folder"):
        return chromadb.PersistentClient(path=str(folder), settings=_settings())


def open_server(location: str, host: str, port: int, seconds: float) -> Any:
    """Open a client of a server.

    Args:
        location: The address of the store, for errors.
        host: The host of the server.
        port: Its port.
        seconds: The longest wait for one of its answers.

    Raises:
        StoreError: it gives no answer.
    """
    import chromadb
    import httpx2

    with store_errors(location, "does not answer as a Chroma server: start one with `chroma run`, or mend the address"):
        # Chroma's own first request has no limit of time, so a server that hangs is noticed here.
        scheme = urlsplit(location).scheme
        httpx2.get(f"{scheme}://{host}:{port}/api/v2/heartbeat", timeout=OPENING_SECONDS).raise_for_status()
        client = chromadb.HttpClient(host=host, port=port, ssl=scheme == "https", settings=_settings())
        client._server._session.timeout = seconds  # type: ignore[attr-defined]  # Chroma sets none
        return client


def close(client: Any) -> None:
    """Close a client and its sockets. Chroma itself does not close the sockets of an HTTP client."""
    # A client contains a second client for administration, which has sockets too.
    servers = [part._server for part in (client, getattr(client, "_admin_client", None)) if part]
    client.close()
    for session in (getattr(server, "_session", None) for server in servers):
        if session is not None:
            session.close()


def _settings() -> Any:
    from chromadb.config import Settings

    logging.getLogger("chromadb").setLevel(logging.ERROR)
    # Variables of the environment may turn tracing on. The traces hold ids, so only this program decides.
    return Settings(
        anonymized_telemetry=False,
        chroma_otel_granularity="none",
        chroma_otel_collection_endpoint="",
        chroma_otel_collection_headers={},
    )


@contextmanager
def store_errors(location: str, failure: str = "failed") -> Iterator[None]:
    """Turn every error of Chroma into a `StoreError` with a message of one line."""
    try:
        yield
    except (StoreError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Chroma's Rust core is not an Exception
        summary = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if type(error).__name__.endswith("Timeout"):  # of httpx, which only a server needs
            raise StoreError(
                f"store {location!r}: its server gives no answer. It hangs or is overloaded: look at its output, or "
                "start it again"
            ) from error
        if _is_full(location, summary):
            raise StoreError(f"store {location!r}: its disk is full. Make some room, then run it again") from error
        raise StoreError(f"store {location!r} {failure} ({summary})") from error


def _is_full(location: str, summary: str) -> bool:
    """Return whether a failure comes from a full disk. Chroma reports most of them in words of its own."""
    if re.search(r"disk is full|No space left|os error 28", summary):
        return True
    with suppress(OSError):
        return not location.startswith("http") and shutil.disk_usage(Path(location).expanduser()).free < ROOM
    return False
