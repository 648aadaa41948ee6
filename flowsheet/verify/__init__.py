"""Proof: a ladder of problems with reference values, climbed by ``flowsheet verify``, by the tests and for the documentation."""
