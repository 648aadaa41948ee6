"""Comparisons with peers at equal error: ``python -m benchmarks`` prints a table and writes JSON."""
