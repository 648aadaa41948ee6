"""Print the page ``docs/verification.md``: ``python -m flowsheet.verify > docs/verification.md``."""

from __future__ import annotations

from flowsheet.verify.ladder import LADDER
from flowsheet.verify.rung import climb
from flowsheet.verify.table import markdown_lines

HEAD = """\
# Verification

`flowsheet verify` runs the problems below and compares with reference values. It prints reference, own value, correct digits and work, and
ends with exit code 10 if a rung is missed. This page is what it found (`python -m flowsheet.verify > docs/verification.md`); the same
table is a test (`tests/flowsheet/test_verify.py`).

- **Digits** are significant correct digits of the worst component, min(−log10(relative error)).
- **Needed** are −log10(rtol) − 1.5 digits unless a rung says otherwise, and more at a tighter tolerance than at a looser one, as far as the
  reference is known. The absolute tolerance is a hundredth of the relative one, in units of each variable's nominal value.
- **[source]**: the value stands in the source named. **[computed]**: computed with another code. **[closed form]**: an exact expression.
- Systems of higher index have to be refused before anything is integrated, with the equations named that hide a constraint.

Published end values stand in `flowsheet/verify/published.toml`; where only some components were copied, those are compared. Circuits and
the beam are integrated in several forms: `transistor` with the voltages over its capacitors as states, `nand` with charges, `beam` with its
tensions eliminated, `beam-tensions` with 40 algebraic equations for them.
"""


def main() -> None:
    """Climb the whole ladder and print the page."""
    print(HEAD, end="")
    for line in markdown_lines([(rung, climb(rung)) for rung in LADDER]):
        print(line)


if __name__ == "__main__":
    main()
