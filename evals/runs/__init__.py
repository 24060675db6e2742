"""A run: systems that rank cases, the files that it writes, and the results that are read from them."""
