"""Reports of a run: tables for a terminal, a page, Markdown and CSV."""
