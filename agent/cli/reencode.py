"""`whimbrel reencode`: compute the text vectors of a store again, with another encoder."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json


@example("whimbrel reencode --store shop --encoder multilingual", "whimbrel reencode --store shop")
def reencode(
    store: StoreOption,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="english or multilingual. By default the script of the titles chooses.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compute the text vectors of a store again, with another encoder.

    The English encoder is fast and reads English. The multilingual one reads every language, such as Chinese, and is
    five times slower. What was learned of signals is learned again. If the command is stopped, the same command goes on
    with it.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.learning.fit import calibrate_store, has_fit
    from whimbrel.tools.store.store import open_store
    from whimbrel.tools.store.vectors import reencode as reencode_store
    from whimbrel.tools.text.encoders import encoder_named

    given = encoder_named(encoder) if encoder else None
    with progress_bars() as progress:
        chosen, items = reencode_store(store, given, progress=progress)
        with open_store(store) as opened:
            is_fitted = has_fit(opened)
            calibrate_store(opened, progress=progress)
    if json:
        print_json({"items": items, "encoder": chosen.title})
        return
    print(f"The texts of {items:,} items are now read by the {chosen.title} encoder.")
    if is_fitted:
        print("What `whimbrel fit` learned was learned with the encoder of before: run it again.")
