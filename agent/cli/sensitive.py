"""`whimbrel sensitive`: mark topics that are never inferred, shifted to, named or sent."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example(
    "whimbrel sensitive --store shop --add Health --add 'Adult products'",
    "whimbrel sensitive 42 --store shop --add Wedding",
)
def sensitive(
    store: StoreOption,
    user: UserArgument = "",
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="TOPIC", help="Mark this topic; repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TOPIC", help="Mark this topic no longer; repeatable.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Mark topics that are never inferred, shifted to, named or sent.

    A mark holds for everybody, or for USER alone. It covers every item that has
    the name of the topic as words in its title, its topics or a field. Without
    --add and --remove, the marks are listed.
    """
    from whimbrel.agent.agent import Agent
    from whimbrel.tools.clean import clean_text

    with Agent.open(store, "none") as agent:
        marked = agent.store.settings.sensitive(user)
        if add or remove:
            without = {str(clean_text(name)).casefold() for name in remove or []}
            kept = [name for name in marked if name.casefold() not in without]
            marked = agent.mark_sensitive([*kept, *(add or [])], user)
    if json:
        print_json({"user_id": user, "sensitive": marked})
        return
    whose = f"for {user!r}" if user else "for everybody"
    print(f"Sensitive {whose}: {', '.join(marked)}" if marked else f"No topic is marked as sensitive {whose}.")
