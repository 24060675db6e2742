"""Policies that are shipped: safe defaults for a kind of people or of shop, to be joined with an operator's own."""
