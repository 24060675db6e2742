"""Language models to test with: the bundled one, a larger one, and servers on loopback."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.local.model_files import requantise
from whimbrel.agent.language_models.local.openers import build_of, open_bundled, open_gguf

DATA = Path(os.environ.get("WHIMBREL_DATA", "../shared/data"))
MODELS = Path(os.environ.get("WHIMBREL_MODELS", Path.home() / ".cache" / "whimbrel-models"))


def servable(folder: Path) -> Path:
    """The bundled model in a form that llama.cpp's server, which always repacks weights, survives here."""
    build = build_of("bundled")
    assert build is not None
    if build.repacked:
        return build.file
    assert requantise(build.file, folder / "model.F32.gguf", 0)
    return folder / "model.F32.gguf"


@pytest.fixture(scope="session")
def bundled() -> LocalModel:
    return open_bundled()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's own OpenAI-compatible server with the bundled model; it ends by itself in any case."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    server = [sys.executable, "-m", "llama_cpp.server", "--model", str(servable(folder)), "--n_ctx", "2048"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            # It outlives the slowest session: after 300 s, tests of a busy machine still asked it.
            ["timeout", "3600", *server, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def qwen() -> Iterator[LocalModel]:
    """Qwen2.5-Coder 1.5B, from the models' folder or made there by the script beside the logs."""
    path, make = MODELS / "qwen-1.5b.gguf", DATA.parent / "models" / "get-model"
    if not path.is_file() and make.is_file():
        subprocess.run(["bash", str(make), "qwen-1.5b", str(MODELS)], check=True, capture_output=True)
    if not path.is_file():
        pytest.skip(f"no model at {path}: set WHIMBREL_MODELS")
    model = open_gguf(path, spec=f"gguf:{path}")
    yield model
    model.close()


@pytest.fixture
def scripted_server() -> Iterator[tuple[str, list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]]:
    """An address, the requests it got, and the replies (status, body) that it is to give, the last one for good."""
    got: list[dict[str, Any]] = []
    replies: list[tuple[int, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = replies.pop(0) if len(replies) > 1 else replies[0]
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", got, replies
        server.shutdown()
