"""`whimbrel mcp`: a server of the Model Context Protocol for one person."""

import sys
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    BudgetTokensOption,
    BudgetUsdOption,
    LanguageOption,
    LlmOption,
    RememberOption,
    StoreOption,
    example,
    open_agent,
)

LOOPBACK = "127.0.0.1"


@example("whimbrel mcp --store shop --user 42", "whimbrel mcp --store shop --user 42 --http --port 8001")
def mcp(
    store: StoreOption,
    user: Annotated[str, typer.Option("--user", metavar="USER", help="The person that all tools are about.")],
    llm: LlmOption = "none",
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP at /mcp on loopback, instead of standard input.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="With --http: the port.")] = 8001,
) -> None:
    """Let an assistant use Whimbrel through the Model Context Protocol.

    Its tools are recommend, rank, search, item, predict_shift, explain and feedback. All are about the one person named
    here. A client starts this command itself and talks to it over standard input and output.
    """
    from contextlib import nullcontext

    from whimbrel.agent.serving.listening import listening_socket
    from whimbrel.agent.serving.mcp_server import mcp_server
    from whimbrel.tools.records import identifier

    options, person = AgentOptions(store, llm, language, budget_usd, budget_tokens, remember), identifier(user)
    with listening_socket(LOOPBACK, port) if http else nullcontext() as listening, open_agent(options) as agent:
        server = mcp_server(agent, person)
        if person not in agent.store.log.user_rows:
            print(f"The store has no event of {person!r}: the tools begin as for somebody new.", file=sys.stderr)
        if listening is None:
            server.run("stdio")
            return
        import uvicorn

        print(f"Serving http://{LOOPBACK}:{port}/mcp for {person!r}. Ctrl-C stops it.", file=sys.stderr)
        app = server.streamable_http_app(host=LOOPBACK)
        listening.listen()
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
