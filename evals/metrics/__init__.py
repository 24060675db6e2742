"""Metrics, each a function of plain values; its docstring states the convention."""
