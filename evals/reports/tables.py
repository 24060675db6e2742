"""Results as tables in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

RANKING = ("auc", "mrr", "ndcg@5", "ndcg@10", "hr@1", "hr@5")
SHIFT = ("accuracy", "f1", "average_precision", "brier")
BOUNDARIES = ("precision", "recall", "f1", "average_precision", "brier")


def ranking_tables(document: Mapping[str, Any]) -> RenderableType:
    """Systems by metric with intervals, how much the model lifts, slices, and what was left out and why."""
    systems = document["system"]
    best = sorted(systems, key=lambda name: -(systems[name].get("ndcg@10") or -1))
    parts: list[RenderableType] = [_table(systems, best, RANKING)]
    if "llm lift" in document:
        parts.append(Text("\nLLM lift (whimbrel minus whimbrel-none, paired)"))
        for metric, found in document["llm lift"].items():
            parts.append(Text(f"  {metric:<8} {_difference(found)}"))
    if minus := document.get("minus"):
        parts += [Text(f"\n{minus['metric']} of {minus['of']} minus that of the others, paired"), _minus(minus, best)]
    for name, found in document.get("shift", {}).items():
        parts.append(
            Text(
                f"\nShift said by {name} (n={found['n']}, {found['shifts']} shift): average precision "
                f"{figure(found['average_precision'])}, Brier {figure(found['brier'])}, calibration error "
                f"{figure(found['ece'])}"
            )
        )
    if document.get("slices"):
        parts.append(Text("\nndcg@10 by slice"))
        slices = Table(box=None, pad_edge=False, padding=(0, 1))
        slices.add_column("system")
        for label, found in document["slices"].items():
            slices.add_column(f"{label} (n={found['n']})", justify="right", max_width=20)
        for name in best:
            slices.add_row(name, *(figure(found[name]["value"]) for found in document["slices"].values()))
        parts.append(slices)
    cases = document["cases"]
    told = f"\n{cases['n']} cases of {cases['users']} users"
    if cases["without relevant items"]:
        told += f"; {cases['without relevant items']} without relevant items are in no figure"
    parts.append(Text(told + ". Intervals: 95%, paired bootstrap over users. Ties take their mean rank.", style="dim"))
    parts += [
        Text(f"{name} failed on {systems[name]['failed']} cases: see rankings.jsonl", style="red")
        for name in best
        if systems[name].get("failed")
    ]
    parts += [Text(f"Left out: {name}: {reason}", style="dim") for name, reason in document["skipped"].items()]
    return Group(*parts)


def boundary_table(document: Mapping[str, Any]) -> RenderableType:
    """Systems by metric."""
    systems = document["system"]
    best = sorted(systems, key=lambda name: -(systems[name]["f1"] or 0))
    cases = document["cases"]
    told = (
        f"\n{cases['labelled pairs']} labelled pairs, {cases['switches']} of them switches, in {cases['n']} sessions."
    )
    return Group(
        _table(systems, best, BOUNDARIES), Text(f"{told} Intervals: 95%, bootstrap over sessions.", style="dim")
    )


def _table(systems: Mapping[str, Any], order: Sequence[str], metrics: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("system")
    table.add_column("n", justify="right")
    for metric in metrics:
        table.add_column(metric.replace("_", " "), justify="right")
    for name in order:
        found = systems[name]
        cells = []
        for metric in metrics:
            ci = found.get(f"{metric}_ci")
            cells.append(figure(found[metric]) + (f"\n[dim]{figure(ci[0])}-{figure(ci[1])}[/]" if ci else ""))
        table.add_row(name, str(found["n"]), *cells)
    return table


def _minus(minus: Mapping[str, Any], order: Sequence[str]) -> Table:
    labels = [label for label in minus if label not in ("of", "metric")]
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in ("system", *(part for label in labels for part in (label, "p (Holm)"))):
        table.add_column(head, justify="left" if head == "system" else "right")
    for name in order:
        told = [minus[label].get(name) for label in labels]
        if told[0]:
            pairs = [(_span(one), chance(one["p_holm"])) if one else ("-", "-") for one in told]
            table.add_row(name, *(cell for pair in pairs for cell in pair))
    return table


def _span(found: Mapping[str, Any]) -> str:
    low, high = found["ci"]
    return f"{_signed(found['difference'])} [{_signed(low)}, {_signed(high)}]"


def _difference(found: Mapping[str, Any]) -> str:
    return f"{_span(found)}, p = {chance(found['p'])}, n = {found['n']}"


def figure(value: float | None) -> str:
    """Three places, without the 0 before the point; a dash for none."""
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def chance(p: float | None) -> str:
    """A p, never 0: below a thousandth it is told so."""
    return "<.001" if p is not None and p < 0.001 else figure(p)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{'+' if value >= 0 else ''}{figure(value)}"
