"""Metrics, each a function of plain values. Its docstring states the convention, since libraries differ."""
