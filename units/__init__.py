"""Unit operations of pharmaceutical manufacturing: one Pyomo DAE block per file, and the streams between them."""
