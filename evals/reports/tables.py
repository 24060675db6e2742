"""Results as tables for a terminal, and the format of their numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

RANKING = ("auc", "mrr", "ndcg@5", "ndcg@10", "hr@1", "hr@5")
SHIFT = ("accuracy", "f1", "average_precision", "brier")
BOUNDARIES = ("precision", "recall", "f1", "average_precision", "brier")

Row = Mapping[str, Any]


def ranking_tables(document: Row) -> RenderableType:
    """Show the results of a run.

    They are the metrics of the systems, what the language model adds, paired differences, the predicted shifts, and the
    slices. Notes at the end name failures and skipped systems.

    Args:
        document: See `evals.runs.document.document_of`.
    """
    systems, cases = document["system"], document["cases"]
    # The best system comes first, and a system without a value comes last.
    order = sorted(systems, key=lambda name: -(systems[name].get("ndcg@10") or -1))
    parts: list[RenderableType] = [_metrics_table(systems, order, RANKING)]
    if "llm lift" in document:
        parts.append(Text("\nWhat the language model adds (whimbrel minus whimbrel-none, paired)"))
        for metric, difference in document["llm lift"].items():
            parts.append(Text(f"  {metric:<8} {_difference(difference)}"))
    if minus := document.get("minus"):
        parts.append(Text(f"\n{minus['metric']} of {minus['of']} minus {minus['metric']} of each other system, paired"))
        parts.append(_differences_table(minus, order))
    for name, row in document.get("shift", {}).items():
        parts.append(
            Text(
                f"\nInterest shifts predicted by {name} (n={row['n']}, {row['shifts']} of them shifts): "
                f"average precision {figure(row['average_precision'])}, Brier score {figure(row['brier'])}, "
                f"calibration error {figure(row['ece'])}"
            )
        )
    if document.get("slices"):
        parts += [Text("\nndcg@10 by slice"), _slices_table(document["slices"], order)]
    note = f"\n{cases['n']} cases of {cases['users']} users"
    if cases["without relevant items"]:
        note += f". {cases['without relevant items']} cases without relevant items are left out"
    note += ". Intervals: 95%, paired bootstrap over users. Tied items share their mean rank."
    parts.append(Text(note, style="dim"))
    parts += [
        Text(f"{name} failed on {systems[name]['failed']} cases: see rankings.jsonl", style="red")
        for name in order
        if systems[name].get("failed")
    ]
    parts += [Text(f"Skipped: {name}: {reason}", style="dim") for name, reason in document["skipped"].items()]
    return Group(*parts)


def boundary_table(document: Row) -> RenderableType:
    """Show the results of `eval boundaries`.

    Args:
        document: See `evals.studies.boundaries.measure_boundaries`.
    """
    systems, cases = document["system"], document["cases"]
    order = sorted(systems, key=lambda name: -(systems[name]["f1"] or 0))
    note = (
        f"\n{cases['labelled pairs']} labelled pairs, {cases['switches']} of them switches, in {cases['n']} sessions. "
        "Intervals: 95%, bootstrap over sessions."
    )
    return Group(_metrics_table(systems, order, BOUNDARIES), Text(note, style="dim"))


def _new_table(*heads: str) -> Table:
    """Return a table without lines. The first column is aligned to the left, and all other columns to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    return table


def _metrics_table(systems: Mapping[str, Row], order: Sequence[str], metrics: Sequence[str]) -> Table:
    table = _new_table("system", "n", *(metric.replace("_", " ") for metric in metrics))
    for name in order:
        row = systems[name]
        cells = []
        for metric in metrics:
            ends = row.get(f"{metric}_ci")
            cells.append(figure(row[metric]) + (f"\n[dim]{figure(ends[0])}-{figure(ends[1])}[/]" if ends else ""))
        table.add_row(name, str(row["n"]), *cells)
    return table


def _differences_table(minus: Row, order: Sequence[str]) -> Table:
    labels = [label for label in minus if label not in ("of", "metric")]
    table = _new_table("system", *(head for label in labels for head in (label, "p (Holm)")))
    for name in order:
        # The reference is not compared with itself.
        if name not in minus["all cases"]:
            continue
        differences = [minus[label].get(name) for label in labels]
        pairs = [(_signed_interval(row), p_value(row["p_holm"])) if row else ("-", "-") for row in differences]
        table.add_row(name, *(cell for pair in pairs for cell in pair))
    return table


def _slices_table(slices: Mapping[str, Row], order: Sequence[str]) -> Table:
    table = _new_table("system")
    for label, row in slices.items():
        # Names of slices are long, so they wrap. Otherwise they would push columns out of the terminal.
        table.add_column(f"{label} (n={row['n']})", justify="right", max_width=20)
    for name in order:
        table.add_row(name, *(figure(row[name]["value"]) for row in slices.values()))
    return table


def _signed_interval(row: Row) -> str:
    low, high = row["ci"]
    return f"{_signed(row['difference'])} [{_signed(low)}, {_signed(high)}]"


def _difference(row: Row) -> str:
    return f"{_signed_interval(row)}, p = {p_value(row['p'])}, n = {row['n']}"


def figure(value: float | None) -> str:
    """Return a number with three decimals and without a 0 before the point. None becomes a dash.

    Example:
        >>> figure(0.25), figure(-0.5), figure(1.0), figure(None)
        ('.250', '-.500', '1.000', '-')
    """
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def p_value(p: float | None) -> str:
    """Return a p-value as text. A p-value below .001 is shown as "<.001"."""
    return "<.001" if p is not None and p < 0.001 else figure(p)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{'+' if value >= 0 else ''}{figure(value)}"


def results_table(figures: Mapping[str, Row]) -> RenderableType:
    """Show kept results: each figure with its interval, its n, its commit and its command."""
    table = Table(box=None, pad_edge=False)
    for words, justify in (("figure", "left"), ("value", "right"), ("95% interval", "left"), ("n", "right")):
        table.add_column(words, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("commit", no_wrap=True)
    table.add_column("command", overflow="fold")
    for name, row in figures.items():
        ci = f"[{figure(row['ci'][0])}, {figure(row['ci'][1])}]" if row["ci"] else ""
        table.add_row(name, figure(row["value"]), ci, f"{row['n']:,}", row["commit"], row["command"])
    return table
