"""Run a `whimbrel` command in a process that writes down every address which it looks up or connects to.

    python -m whimbrel.evals.studies.connections addresses.txt recommend 42 --store shop

An audit hook sees the sockets of Python. Libraries in C may open others, so the variables that turn traces on also name
a port here, which counts who comes.
"""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.tools.errors import StoreError
from whimbrel.tools.tracing import LOCAL_ONLY, VARIABLE

TIMEOUT_SECONDS = 300
TRACES = "where traces go"
"""The name of the port that the variables name."""


def connections_of(words: Sequence[str], lines: str = "") -> Counter[str]:
    """Run a command with traces and telemetry turned on. Return how often its process turned to each address.

    Args:
        words: The command line after `whimbrel`.
        lines: What the command reads from standard input.

    Raises:
        StoreError: the command fails.
    """
    with TemporaryDirectory(prefix="whimbrel-") as folder, socket.create_server(("127.0.0.1", 0)) as traces:
        traces.setblocking(False)
        port = traces.getsockname()[1]
        file = Path(folder) / "addresses.txt"
        environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, LOCAL_ONLY)}
        done = subprocess.run(  # noqa: S603  # own command
            [sys.executable, "-m", "whimbrel.evals.studies.connections", str(file), *words],
            env=environment | _traced(f"http://127.0.0.1:{port}") | {"XDG_CACHE_HOME": folder, "NO_PROXY": "127.0.0.1"},
            input=lines,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise StoreError(f"`whimbrel {words[0]}` of the study failed: {done.stderr.strip()[-400:]}")
        connections = Counter(file.read_text("utf-8").splitlines())
        traced = 0
        try:
            while True:
                traces.accept()[0].close()
                traced += 1
        except BlockingIOError:
            pass
    by_python = connections.pop(f"127.0.0.1:{port}", 0)
    return connections + Counter({TRACES: max(traced, by_python)})


def _traced(address: str) -> dict[str, str]:
    """Return the variables that turn on the traces of LangChain and Chroma, and Chroma's telemetry."""
    return {
        "LANGSMITH_ENDPOINT": address,
        "LANGCHAIN_ENDPOINT": address,
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "x",
        "LANGCHAIN_API_KEY": "x",
        "CHROMA_OTEL_COLLECTION_ENDPOINT": address,
        "CHROMA_OTEL_SERVICE_NAME": "whimbrel",
        "CHROMA_OTEL_GRANULARITY": "all",
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "ANONYMIZED_TELEMETRY": "True",
    }


def _run(file: str, words: Sequence[str]) -> None:
    """Run a command, and write down what the sockets of this process are told."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hear(event: str, values: tuple[object, ...]) -> None:
        address: object = None
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = values[1]
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            address = values[:2]
        if isinstance(address, tuple):  # else a path on this machine, or no address
            os.write(descriptor, f"{':'.join(map(str, address[:2]))}\n".encode())

    sys.addaudithook(hear)
    from whimbrel.agent.cli.main import main

    sys.argv = ["whimbrel", *words]
    main()


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
