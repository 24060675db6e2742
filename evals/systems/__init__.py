"""Systems that are compared: Whimbrel, and what it has to beat. See `registry` for their names."""
