"""Limits and figures of a server: its names, the size of a body, and how many requests took how long."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 4_000_000
"""The largest body of a request."""


class KnownHosts:
    """Refuse requests that address the server by a name that it does not have."""

    def __init__(self, app: "ASGIApp", hosts: Collection[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or answer that its host is not known."""
        from starlette.datastructures import Headers
        from starlette.responses import JSONResponse

        app, name = self._app, host_name(Headers(scope=scope).get("host", "")) if scope["type"] == "http" else ""
        if scope["type"] == "http" and name not in self._hosts:
            message = f"this server does not answer to the host {name[:100]!r}: use one of {', '.join(self._hosts)}"
            app = JSONResponse({"error": {"code": "bad_host", "message": message}}, 400)
        await app(scope, receive, send)


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without its port.

    Example:
        >>> host_name("LOCALHOST:8000"), host_name("[::1]:8000")
        ('localhost', '[::1]')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and not port.endswith("]") else host).casefold()


class LimitedBodies:
    """Stop reading a body that is too large."""

    def __init__(self, app: "ASGIApp", most_bytes: int = MOST_BYTES) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, counting the bytes of its body."""
        from starlette.exceptions import HTTPException

        size = 0

        async def counted() -> "Message":
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                # FastAPI passes on this kind of error alone while it reads a body.
                raise HTTPException(413, f"a body has at most {self._most:,} bytes")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


class Figures:
    """The figures of a server, in the form of Prometheus."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "whimbrel_requests_total", "Requests by path and status.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "whimbrel_request_seconds", "Seconds of requests by path.", ["path"], registry=self._registry
        )
        self._running = Gauge("whimbrel_requests_running", "Requests that run or wait.", registry=self._registry)

    async def measured(self, request: Any, call_next: Any) -> Any:
        """Answer a request and count it. Paths that do not exist count as one, so that nobody fills the memory."""
        started, status, path = time.perf_counter(), 500, "other"
        self._running.inc()
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            route = request.scope.get("route")
            path = getattr(route, "path", path)
            self._running.dec()
            self._requests.labels(path, str(status)).inc()
            self._seconds.labels(path).observe(time.perf_counter() - started)

    def text(self) -> bytes:
        """Return all figures."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
