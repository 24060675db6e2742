"""`whimbrel serve`: the agent as an HTTP server with a page."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    BudgetTokensOption,
    BudgetUsdOption,
    FactOption,
    LanguageOption,
    LlmOption,
    PolicyOption,
    RememberOption,
    StoreOption,
    example,
    open_agent,
)


@example("whimbrel serve --store shop", "whimbrel serve --store shop --port 9000 --token-file tokens.json --llm none")
def serve(
    store: StoreOption,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 for any that is free.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address; other than loopback only with tokens.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help='JSON of the form {"TOKEN": ["USER", ...]}: whom a caller may ask about; ["*"] is everybody.',
        ),
    ] = None,
    llm: LlmOption = "bundled",
    language: LanguageOption = "en",
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="The most requests that run at once.")] = 4,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="The longest time of a request.")] = 120.0,
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    policy: PolicyOption = None,
    fact: FactOption = None,
) -> None:
    """Serve lists, shifts, conversations and feedback over HTTP, and a page to talk at.

    The page is at /, the description of the interface (OpenAPI) at /openapi.json, figures for Prometheus at /metrics.
    Ctrl-C or SIGTERM stops the server once the requests that run are answered, after 35 seconds at the latest.
    """
    from whimbrel.agent.schema.policy import load_policies, parse_facts
    from whimbrel.agent.serving.callers import Callers
    from whimbrel.agent.serving.http_server import GRACE_SECONDS, LOOPBACK, ServerConfig, http_app
    from whimbrel.agent.serving.listening import address, listening_socket
    from whimbrel.tools.errors import ConfigError

    if host not in LOOPBACK and token_file is None:
        raise ConfigError(f"whoever reaches {host} could ask about everybody: name a --token-file")
    config = ServerConfig(
        callers=Callers.read(token_file) if token_file else Callers(),
        at_once=at_once,
        seconds=seconds,
        hosts=LOOPBACK if host in LOOPBACK else (),
        policy=load_policies(policy) if policy else None,
        facts=parse_facts(fact or []),
    )
    with listening_socket(host, port) as listening:
        options = AgentOptions(store, llm, language, budget_usd, budget_tokens, remember)
        with open_agent(options) as agent:
            app = http_app(agent, config)
            import uvicorn

            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS))
            listening.listen()
            url = f"http://{address(host, listening.getsockname()[1])}"
            print(f"Serving {url} (Ctrl-C stops it).", file=sys.stderr, flush=True)
            try:
                server.run(sockets=[listening])
            finally:
                if left := getattr(app.state, "calls_left", 0):
                    print(f"whimbrel: stopped while {left} given-up requests still ran", file=sys.stderr, flush=True)
                    os._exit(1)  # closing the store or the model under them can crash; acknowledged feedback is on disk
