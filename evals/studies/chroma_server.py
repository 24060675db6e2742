"""A Chroma server on loopback, for studies and tests."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whimbrel.tools.errors import StoreError

START_SECONDS = 60.0


class ChromaServer:
    """A server that can fail: be killed, hang, and start again."""

    def __init__(self, folder: Path) -> None:
        """Start a server.

        Args:
            folder: Where it keeps its data.

        Raises:
            StoreError: it does not answer in time.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self.start()

    @property
    def address(self) -> str:
        """The address, which stays the same after a new start."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server, and wait until it answers.

        Raises:
            StoreError: it does not answer in time.
        """
        chroma = str(Path(sys.executable).parent / "chroma")
        command = [chroma, "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # own command
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                self.kill()
                raise StoreError("the Chroma server of the study does not start")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the server."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        self._process.terminate()
        self._process.wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let the server take connections without an answer until the block ends."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextmanager
def chroma_server(folder: Path) -> Iterator[ChromaServer]:
    """Run a Chroma server, which keeps its data in a folder, until the block ends."""
    server = ChromaServer(folder)
    try:
        yield server
    finally:
        server.stop()
