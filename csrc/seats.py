"""Compiled kernels as external functions of CasADi: see seats.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import csrc._population_balance as compiled

if TYPE_CHECKING:
    import casadi as ca


def seated_function(kernel: Any, name: str = "seated") -> ca.Function:
    """Return a kernel's rates as a CasADi function of dense columns.

    It belongs to this process: another one that reads it from a file or a pipe does not find the kernel.

    Parameters
    ----------
    kernel : what has a ``seat``.
    name : ``curved`` of a kernel with second derivatives.

    Raises
    ------
    RuntimeError : 512 kernels are already in use by CasADi in this process.
    """
    import casadi as ca

    seat = kernel.seat()
    if seat < 0:
        raise RuntimeError("512 population balances, tracers and planes are in use by CasADi at once: delete models no longer needed")
    return ca.external(f"{name}_{seat:04o}", compiled.__file__)
