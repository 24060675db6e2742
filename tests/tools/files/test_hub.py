"""Fetching a GGUF file from a hub: a small one on loopback that redirects to its storage and can fail on the way."""

import hashlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.files import hub
from whimbrel.tools.files.hub import PulledFile, pull

BODY = b"GGUF" + random.Random(7).randbytes(24_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
CHUNK = 10 * 1024 * 1024
"""What huggingface_hub writes at once: of a break, the last chunk that was not full is lost."""
CUT = 12_000_000
PART = f"{SHA256}.incomplete"
COMMIT = "c0ffee" * 6 + "c0ff"
REPOSITORY, FILE = "maker/tiny", "quants/tiny.gguf"
PULL = f"from whimbrel.tools.files.hub import pull; print(pull({REPOSITORY!r}, {FILE!r}).sha256)"


@dataclass
class FakeHub:
    """One repository with one file, `body`, of which it states `etag` and `size`. `cuts` are lengths after which its next
    replies break off: it waits for `before_break` and closes the connection, or resets it."""

    body: bytes = BODY
    etag: str = SHA256
    size: int | None = None
    status: int = 200
    storage_status: int = 200
    cuts: list[int] = field(default_factory=list)
    before_break: Callable[[], object] = lambda: None
    resets: bool = False
    requests: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    tokens: dict[str, list[str | None]] = field(default_factory=lambda: {"hub": [], "storage": []})
    bytes_sent: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Another origin, as far as a client can tell."""
        return f"http://localhost:{self.port}/storage/blob"


class Server(ThreadingHTTPServer):
    hub: FakeHub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        hub = self.server.hub
        if not self.path.startswith("/api/"):  # the library asks for its own sake
            hub.requests.append(f"{self.command} {self.path}")
        if self.path.startswith("/storage/"):
            self.send(hub)
            return
        hub.tokens["hub"].append(self.headers["Authorization"])
        status = hub.status
        if status == 200 and not re.fullmatch(rf"/{REPOSITORY}/resolve/(main|{COMMIT})/{FILE}", self.path):
            status = 404
        self.send_response(302 if status == 200 else status)
        if status == 200:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hub.etag}"')
            self.send_header("X-Linked-Size", str(hub.size or len(hub.body)))
            self.send_header("Location", hub.storage)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()

    def send(self, hub: FakeHub) -> None:
        hub.tokens["storage"].append(self.headers["Authorization"])
        hub.ranges.append(self.headers["Range"])
        if hub.storage_status != 200:
            self.send_error(hub.storage_status)
            return
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(hub.body) - 1}/{len(hub.body)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(hub.body) - start))
        self.end_headers()
        part = hub.body[start:]
        if hub.cuts:
            part = part[: hub.cuts.pop(0)]
        self.wfile.write(part)
        hub.bytes_sent += len(part)
        if start + len(part) < len(hub.body):
            hub.before_break()
            if hub.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    from huggingface_hub import close_session, constants

    hub = FakeHub()
    server = Server(("127.0.0.1", 0), Handler)
    server.hub, hub.port = hub, server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    for name, value in {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": "hf_secret",
        "NO_PROXY": "127.0.0.1,localhost",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    close_session()
    yield hub
    server.shutdown()
    server.server_close()
    close_session()


def blobs(tmp_path: Path) -> dict[str, int]:
    """Names and sizes of what the hub's cache holds."""
    return {path.name: path.stat().st_size for path in (tmp_path / "hf").glob("hub/models--*/blobs/*")}


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))


def test_a_file_is_fetched_verified_and_kept_where_the_library_keeps_it(fake: FakeHub, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    pulled = pull(REPOSITORY, FILE)
    assert pulled == PulledFile(pulled.path, SHA256, "hub")
    assert pulled.path.read_bytes() == BODY
    assert fake.bytes_sent == len(BODY)
    assert blobs(tmp_path) == {SHA256: len(BODY)}
    cache = tmp_path / "hf" / "hub"
    assert hf_hub_download(REPOSITORY, FILE, cache_dir=cache, local_files_only=True) == str(pulled.path)


def test_the_token_goes_to_the_hub_and_not_to_its_storage(fake: FakeHub) -> None:
    pull(REPOSITORY, FILE)
    assert set(fake.tokens["hub"]) == {"Bearer hf_secret"}
    assert fake.tokens["storage"] == [None]


def test_a_second_call_asks_nobody_and_reads_nothing_again(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(REPOSITORY, FILE)
    asked = len(fake.requests)
    assert asked
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "hashlib", None)
    assert pull(REPOSITORY, FILE) == first
    assert pull(REPOSITORY, FILE, sha256=SHA256.upper()) == PulledFile(first.path, SHA256, "caller")
    assert len(fake.requests) == asked


def wait_for(happens: Callable[[], bool]) -> None:
    for _ in range(400):
        if happens():
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize("resets", [False, True])
def test_a_download_cut_half_way_goes_on_from_where_it_stopped(fake: FakeHub, tmp_path: Path, resets: bool) -> None:
    fake.cuts, fake.resets = [CUT], resets
    fake.before_break = lambda: wait_for(lambda: blobs(tmp_path) == {PART: CHUNK})  # a reset takes back what is unread
    assert pull(REPOSITORY, FILE).path.read_bytes() == BODY
    assert fake.ranges == [None, f"bytes={CHUNK}-"]
    assert fake.bytes_sent == CUT + len(BODY) - CHUNK


def test_after_a_connection_lost_for_good_the_next_call_goes_on(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_pauses(monkeypatch)
    fake.cuts = [CUT, *[0] * 10]
    with pytest.raises(ModelError, match=r"check the network.*goes on") as caught:
        pull(REPOSITORY, FILE)
    assert caught.value.retryable
    assert blobs(tmp_path) == {PART: CHUNK}
    fake.cuts, fake.ranges, fake.bytes_sent = [], [], 0
    assert pull(REPOSITORY, FILE).path.read_bytes() == BODY
    assert fake.ranges == [f"bytes={CHUNK}-"]
    assert fake.bytes_sent == len(BODY) - CHUNK


def test_after_a_process_killed_half_way_the_next_one_goes_on(fake: FakeHub, tmp_path: Path) -> None:
    fake.cuts, fake.before_break = [CUT], lambda: killed.wait()
    killed = subprocess.Popen([sys.executable, "-c", PULL])
    try:
        wait_for(lambda: blobs(tmp_path) == {PART: CHUNK})
    finally:
        killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert blobs(tmp_path) == {PART: CHUNK}
    again = subprocess.run([sys.executable, "-c", PULL], capture_output=True, text=True)
    assert (again.returncode, again.stdout.strip(), again.stderr) == (0, SHA256, "")
    assert fake.ranges == [None, f"bytes={CHUNK}-"]
    assert fake.bytes_sent == CUT + len(BODY) - CHUNK


@pytest.mark.parametrize("left", [len(BODY), len(BODY) + 1])
def test_a_partial_file_with_other_content_is_an_error_or_removed(fake: FakeHub, tmp_path: Path, left: int) -> None:
    part = tmp_path / "hf" / "hub" / "models--maker--tiny" / "blobs" / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(left))
    if left == len(BODY):
        with pytest.raises(ModelError, match="damaged and is removed"):
            pull(REPOSITORY, FILE)
    assert pull(REPOSITORY, FILE).path.read_bytes() == BODY


def test_two_calls_at_once_fetch_a_file_once(fake: FakeHub) -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: pull(REPOSITORY, FILE), range(2))
    assert first == second
    assert fake.bytes_sent == len(BODY)


def test_bytes_that_are_not_what_the_hub_states_are_an_error_and_removed(fake: FakeHub, tmp_path: Path) -> None:
    fake.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    wrong = hashlib.sha256(fake.body).hexdigest()
    with pytest.raises(ModelError, match=rf"damaged and is removed, its SHA-256 {wrong} is not {SHA256}: run again"):
        pull(REPOSITORY, FILE)
    assert blobs(tmp_path) == {}
    fake.body = BODY
    assert pull(REPOSITORY, FILE).path.read_bytes() == BODY


def test_a_file_damaged_in_the_cache_is_an_error_and_removed(fake: FakeHub, tmp_path: Path) -> None:
    pulled = pull(REPOSITORY, FILE)
    with pulled.path.open("r+b") as opened:
        opened.seek(CUT)
        opened.write(b"bad")
    with pytest.raises(ModelError, match="damaged and is removed"):
        pull(REPOSITORY, FILE)
    assert blobs(tmp_path) == {}
    assert pull(REPOSITORY, FILE).path.read_bytes() == BODY


def test_another_checksum_than_the_hub_states_is_an_error_before_anything_is_fetched(
    fake: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"has SHA-256 {SHA256}, not {'0' * 64}"):
        pull(REPOSITORY, FILE, sha256="0" * 64)
    assert (fake.bytes_sent, blobs(tmp_path)) == (0, {})


def test_where_the_hub_states_no_checksum_the_callers_counts(fake: FakeHub, tmp_path: Path) -> None:
    fake.etag = "d41d8cd98f00b204-3"
    with pytest.raises(ModelError, match=f"its SHA-256 {SHA256} is not {'0' * 64}"):
        pull(REPOSITORY, FILE, sha256="0" * 64)
    assert blobs(tmp_path) == {}
    assert pull(REPOSITORY, FILE).verified_by == ""
    assert pull(REPOSITORY, FILE, sha256=SHA256).verified_by == "caller"


def test_a_file_that_is_no_gguf_is_refused_and_removed(fake: FakeHub, tmp_path: Path) -> None:
    fake.body = b"PK\x03\x04 not a model"
    fake.etag = hashlib.sha256(fake.body).hexdigest()
    with pytest.raises(ModelError, match=r"is not a GGUF file: choose a file .* ends in .gguf"):
        pull(REPOSITORY, FILE)
    assert blobs(tmp_path) == {}


def test_what_another_program_keeps_in_the_cache_is_refused_and_left_there(fake: FakeHub, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    fake.body = b"weights in another format"
    fake.etag = hashlib.sha256(fake.body).hexdigest()
    hf_hub_download(REPOSITORY, FILE, endpoint=fake.url, cache_dir=tmp_path / "hf" / "hub")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        pull(REPOSITORY, FILE)
    assert blobs(tmp_path) == {fake.etag: len(fake.body)}


def test_an_absent_file_is_an_error(fake: FakeHub) -> None:
    with pytest.raises(ModelError, match=rf"no 'tny.gguf' of 'maker/tiny': check both names at {fake.url}/maker/tiny/"):
        pull(REPOSITORY, "tny.gguf")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_asks_for_a_token(fake: FakeHub, status: int) -> None:
    fake.status = status
    with pytest.raises(ModelError, match=rf"\({status}\): .*private or gated.*set HF_TOKEN"):
        pull(REPOSITORY, FILE)


@pytest.mark.parametrize("where", ["status", "storage_status"])
def test_a_hub_that_fails_may_be_asked_again(fake: FakeHub, where: str) -> None:
    setattr(fake, where, 500)
    with pytest.raises(ModelError, match=r"answered 500 .* run again later") as caught:
        pull(REPOSITORY, FILE)
    assert caught.value.retryable


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://127.0.0.1:port", "not a url"])
def test_without_a_network_it_says_what_to_check(fake: FakeHub, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ModelError, match=r"could not be fetched .* check the network and HF_ENDPOINT"):
        pull(REPOSITORY, FILE)


def test_a_file_that_does_not_fit_the_disk_is_an_error_before_it_is_fetched(fake: FakeHub) -> None:
    fake.size = 1 << 60
    with pytest.raises(ModelError, match=r"do not fit .* free space or set HF_HOME"):
        pull(REPOSITORY, FILE)
    assert fake.bytes_sent == 0


def test_a_cache_that_cannot_be_written_is_an_error(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be kept in .*file \(Not a directory\)"):
        pull(REPOSITORY, FILE)


@pytest.mark.parametrize("repository", ["", "../x", "a b/c", "a/b/c", "/etc", "a--b", "a/b\n"])
def test_an_impossible_name_of_a_repository_is_an_error(fake: FakeHub, repository: str) -> None:
    with pytest.raises(ConfigError, match="give OWNER/NAME"):
        pull(repository, FILE)
    assert fake.requests == []


@pytest.mark.parametrize("file", ["", " ", "../../x.gguf", "/etc/passwd", "\ud800.gguf"])
def test_an_impossible_name_of_a_file_is_an_error(fake: FakeHub, file: str) -> None:
    with pytest.raises(ConfigError, match="give "):
        pull(REPOSITORY, file)
    assert fake.requests == []


def test_an_impossible_checksum_is_an_error(fake: FakeHub) -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        pull(REPOSITORY, FILE, sha256="abc")
