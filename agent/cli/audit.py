"""`whimbrel audit`: log what is shown to whom and why, and read the log."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example("whimbrel audit --store shop --on", "whimbrel audit 42 --store shop")
def audit(
    store: StoreOption,
    user: UserArgument = "",
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Log every list from now on, or no longer.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Log what is shown to whom and why, and read the log.

    With --on, every list of `recommend`, of a conversation and of the Python
    interface is logged before it is shown: its time, its items with scores,
    signals, reasons and cited events, the shift, the model and the version. A
    list that cannot be logged is not shown. `whimbrel forget` erases the log of
    a person. Lists of --all-users stand in their file and are not logged.
    """
    from whimbrel.tools.store.audit_log import read_audit
    from whimbrel.tools.store.store import open_store

    with open_store(store) as opened:
        if on is not None:
            opened.require_writable()
            opened.settings.set_audited(on)
        is_on, lists = opened.settings.is_audited, read_audit(opened.folder, user) if user else []
    if json:
        print_json({"on": is_on, "user_id": user, "lists": lists})
        return
    for entry in lists:
        shift = entry.get("shift", {})
        towards = f", to {', '.join(shift['to_topics'])}" if shift.get("to_topics") else ""
        print(f"{str(entry.get('logged', ''))[:16].replace('T', ' ')}  shift: {shift.get('kind', 'none')}{towards}")
        for item in entry["list"]:
            print(f"  {item.get('rank', ''):>3}. {item.get('title', '')}: {item.get('explanation', '')}")
    if not user or not lists:
        print(f"Lists are {'' if is_on else 'not '}logged." + (f" There are none of {user!r}." if user else ""))
