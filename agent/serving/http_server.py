"""The agent as an HTTP server.

Every request runs in a thread, at most some at once, so that a slow model never blocks `/healthz`. A few more may wait;
whoever comes then is told to come later. Feedback is on disk when its answer is sent.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from whimbrel import __version__
from whimbrel.agent.agent import Agent
from whimbrel.agent.async_agent import AsyncAgent
from whimbrel.agent.chat.turn import turn_document
from whimbrel.agent.forgetting import Receipt
from whimbrel.agent.person_export import export_person
from whimbrel.agent.schema.policy import Policy
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.serving.callers import EVERYBODY, Callers
from whimbrel.agent.serving.conversations import Conversations, TooManyError
from whimbrel.agent.serving.description import describe
from whimbrel.agent.serving.limits import Figures, KnownHosts, LimitedBodies
from whimbrel.agent.serving.requests import ChatBody, FeedbackBody, PersonBody, RankBody, RecommendBody, ShiftBody
from whimbrel.agent.serving.visible import visible_item, without_paths
from whimbrel.agent.shift.timeline import Timeline
from whimbrel.tools.errors import (
    BusyError,
    ConfigError,
    DataError,
    InvalidValueError,
    ModelError,
    StoreError,
    WhimbrelError,
)
from whimbrel.tools.records import item_id_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

T = TypeVar("T")
GRACE_SECONDS = 30
"""How long answers that are being made may take when the server is stopped."""
LAST_SECONDS = 5.0
"""How long after that calls may take whose requests were given up."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
STATUSES: Mapping[type[Exception], tuple[int, str]] = {
    BusyError: (503, "busy"),
    ModelError: (502, "model_failed"),
    TooManyError: (429, "too_many"),
    StoreError: (503, "store_failed"),
    ConfigError: (400, "bad_request"),
    InvalidValueError: (422, "invalid"),
    DataError: (404, "not_found"),
    WhimbrelError: (400, "bad_request"),
    TimeoutError: (504, "timeout"),
    ValueError: (422, "invalid"),
    TypeError: (422, "invalid"),
}
"""The status and the code of each kind of error. The first kind that fits is taken."""


@dataclass(frozen=True)
class ServerConfig:
    """How a server answers.

    Attributes:
        callers: Who may ask about whom.
        at_once: The most requests that run at the same time.
        most_waiting: The most further requests that wait.
        seconds: After how many seconds a request is given up.
        hosts: The names by which the server may be addressed; none for any. A page of another site cannot then reach a
            server on loopback under a name of its own.
        policy: The operator's rules for lists and conversations.
        facts: What the policy needs to know, keyed by name.
    """

    callers: Callers = field(default_factory=Callers)
    at_once: int = 4
    most_waiting: int = 200
    seconds: float = 120.0
    hosts: tuple[str, ...] = LOOPBACK
    policy: Policy | None = None
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class NotAllowedError(Exception):
    """The caller gave no valid token, or one that is not for this person."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def http_app(agent: Agent, config: ServerConfig | None = None) -> "FastAPI":
    """Return the application of an agent with a store. When it stops, it closes the agent.

    If a call does not end, the agent stays open, and `app.state.calls_left` is the number of such calls.

    Example:
        ```python
        uvicorn.run(http_app(Agent.open("shop", llm="none")), port=8000)
        ```

    Raises:
        ConfigError: the extra `serve` is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise ConfigError(f"the server is not installed ({error}): run `pip install 'whimbrel[serve]'`") from None
    config = config or ServerConfig()
    asked, figures = AsyncAgent(agent, at_once=config.at_once, most_waiting=config.most_waiting), Figures()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.calls_left = await asked.close(LAST_SECONDS)

    # The pages that would show the description load scripts from elsewhere, so there is only the document itself.
    app = FastAPI(
        title="Whimbrel",
        version=__version__,
        description=__doc__ or "",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(LimitedBodies)
    if config.hosts:
        app.add_middleware(KnownHosts, hosts=config.hosts)
    app.middleware("http")(figures.measured)
    _answer_errors(app, agent)
    _add_general_routes(app, figures)
    door = _Door(asked, config, Conversations(agent, config.policy, config.facts))
    _add_routes_of_lists(app, door)
    _add_routes_of_people(app, door)
    _add_chat(app, door)
    describe(app, needs_token=config.callers.users is not None)
    return app


@dataclass(frozen=True)
class _Door:
    """What routes need to answer."""

    asked: AsyncAgent
    config: ServerConfig
    conversations: Conversations

    @property
    def agent(self) -> Agent:
        return self.asked.agent

    def allowed(self, request: "Request", user_id: str) -> None:
        """Raise an error unless the caller may ask about a person. "" is nobody in particular."""
        users = self.config.callers.users_of(request.headers.get("authorization", ""))
        if users is None:
            raise NotAllowedError(401, "unauthorized", "give a valid token: Authorization: Bearer TOKEN")
        if user_id and user_id not in users and EVERYBODY not in users:
            raise NotAllowedError(403, "forbidden", "this token may not ask about this person")

    async def run(self, method: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a method in a thread, for at most the seconds of the configuration."""
        try:
            return await asyncio.wait_for(self.asked.run(method, *arguments, **named), self.config.seconds)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self.config.seconds:g} s: try again later") from None


def _add_general_routes(app: "FastAPI", figures: Figures) -> None:
    from fastapi.responses import HTMLResponse, PlainTextResponse, Response

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        text = files(__package__).joinpath("page.html").read_text("utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY, "X-Frame-Options": "DENY"})

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Say that the server lives."""
        return "ok"

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return figures in the form of Prometheus."""
        return Response(figures.text(), media_type="text/plain; version=0.0.4")


PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
)
"""The page loads nothing from elsewhere, and talks to its own server alone."""


def _add_routes_of_lists(app: "FastAPI", door: _Door) -> None:
    from fastapi import Request

    config = door.config

    @app.post("/v1/recommend")
    async def recommend(body: RecommendBody, request: Request) -> Recommendations:
        """Recommend new items to a person, each with a reason."""
        door.allowed(request, body.user_id)
        policy = {"policy": config.policy, "facts": config.facts} if config.policy else {}
        return await door.run(door.agent.recommend, body.user_id, body.at, body.context, body.k, **policy)

    @app.post("/v1/rank")
    async def rank(body: RankBody, request: Request) -> dict[str, Any]:
        """Rank candidates for a history, the best first."""
        door.allowed(request, "")
        ranking = await door.run(door.agent.ranking, body.history, body.candidates, body.context)
        entries = [
            {"rank": number, "item_id": entry.candidate.item.item_id, "score": round(entry.score, 4)}
            for number, entry in enumerate(ranking.ranked, start=1)
        ]
        return {"ranking": [entry["item_id"] for entry in entries], "ranked": entries}

    @app.post("/v1/shift")
    async def shift(body: ShiftBody, request: Request) -> Timeline:
        """Show how a person's interest moved, and where it goes."""
        door.allowed(request, body.user_id)
        return await door.run(door.agent.timeline, body.user_id, body.at, body.context, policy=config.policy)


def _add_routes_of_people(app: "FastAPI", door: _Door) -> None:
    from fastapi import Request

    @app.post("/v1/feedback")
    async def feedback(body: FeedbackBody, request: Request) -> dict[str, str]:
        """Record what a person did. It is on disk when this answers."""
        door.allowed(request, body.user_id)
        if not body.item_id and not body.title:
            raise ValueError("name the item by item_id or title")
        item_id = body.item_id or item_id_of(body.title)

        def record() -> str:
            visible_item(door.agent, body.user_id, item_id)
            return door.agent.feedback(
                body.user_id, item_id, body.event, body.time, rating=body.rating, context=body.context
            )

        return {"event_id": await door.run(record)}

    @app.post("/v1/forget")
    async def forget(body: PersonBody, request: Request) -> Receipt:
        """Remove a person for good."""
        door.allowed(request, body.user_id)
        # Once begun, it is completed, however long it takes.
        return await door.asked.run(door.conversations.forget, body.user_id)

    @app.post("/v1/export")
    async def export(body: PersonBody, request: Request) -> dict[str, Any]:
        """Return everything that the store keeps of a person."""
        door.allowed(request, body.user_id)
        return await door.run(export_person, door.agent.store, body.user_id)


def _add_chat(app: "FastAPI", door: _Door) -> None:
    from fastapi import Request
    from fastapi.responses import JSONResponse, Response
    from sse_starlette import EventSourceResponse

    @app.post("/v1/chat", response_model=None)
    async def chat(body: ChatBody, request: Request) -> Response:
        """Answer a line of a conversation; as server-sent events if the caller accepts them."""
        door.allowed(request, body.user_id)
        caller = request.headers.get("authorization", "")
        work = door.run(door.conversations.answer, caller, body.user_id, body.session, body.line)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return JSONResponse(turn_document(await work))

        async def events() -> AsyncIterator[dict[str, str]]:
            yield {"event": "thinking", "data": "{}"}
            try:
                turn = turn_document(await work)
                yield {"event": "turn", "data": json.dumps(turn, ensure_ascii=False)}
            except Exception as error:  # the status is sent already
                yield {"event": "error", "data": json.dumps(_error_document(error, door.agent)[1])}

        return EventSourceResponse(events(), shutdown_grace_period=GRACE_SECONDS)


def _answer_errors(app: "FastAPI", agent: Agent) -> None:
    """Answer every error as `{"error": {"code", "message"}}`. Unexpected ones name no details, and none the store."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    async def answer(request: "Request", error: Exception) -> "Response":
        status, document = _error_document(error, agent)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 503 else None
        return JSONResponse(document, status, headers=headers)

    for kind in (Exception, NotAllowedError, RequestValidationError, HTTPException, *STATUSES):
        app.add_exception_handler(kind, answer)


def _error_document(error: Exception, agent: Agent) -> tuple[int, dict[str, Any]]:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    if isinstance(error, NotAllowedError):
        status, code, message = error.status, error.code, str(error)
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        field_path = ".".join(str(part) for part in first["loc"] if part != "body")
        status, code, message = 422, "invalid", f"{field_path or 'body'}: {first['msg']}"
    elif isinstance(error, HTTPException):
        status, message = error.status_code, str(error.detail)
        code = {404: "not_found", 413: "too_large"}.get(status, "http")
    else:
        named = next(((value, kind) for kind, value in STATUSES.items() if isinstance(error, kind)), None)
        (status, code), message = (named[0], str(error)) if named else ((500, "internal"), "the server failed")
    return status, {"error": {"code": code, "message": without_paths(message, agent)}}
