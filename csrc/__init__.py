"""Compiled kernels: plain C with thin Cython faces and documented Python modules in front of them."""
