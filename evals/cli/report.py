"""`whimbrel eval report`: write a run as a page, as Markdown and as CSV."""

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import RunArgument


@example("whimbrel eval report run && open run/report.html")
def report(folder: RunArgument, json: JsonOption = False) -> None:
    """Report a run as a page, as Markdown and as CSV.

    The files are written into the run's folder. The page, report.html, needs no network.
    """
    from whimbrel.evals.reports.report import write_report

    written = write_report(folder)
    if json:
        print_json({name: str(path) for name, path in vars(written).items()})
    else:
        for path in vars(written).values():
            print(path)
