"""Metrics as functions of plain values. Each docstring states the convention, since libraries differ."""
