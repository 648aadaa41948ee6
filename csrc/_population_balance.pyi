from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]

class Balance:
    def __init__(
        self,
        pivots: Array,
        per_gap: Array,
        collisions: Array | None,
        runs: Places | None,
        fragments: Array | None,
        speed: Array | None,
        widths: Array | None,
        nuclei: Array | None,
        column: Places,
        first_row: Places,
        last_row: Places,
    ) -> None: ...
    def rates(self, number: ArrayLike, coefficients: ArrayLike) -> Any: ...  # an Array, or None
    def jacobian(self, number: ArrayLike, coefficients: ArrayLike) -> Any: ...  # two Arrays, or None
    def seat(self) -> int: ...

class Tracers:
    def __init__(
        self,
        count: int,
        pivots: Array,
        per_gap: Array,
        collisions: Array | None,
        runs: Places | None,
        fragments: Array | None,
        speed: Array | None,
        widths: Array | None,
        nuclei: Array | None,
        column: Places,
        first_row: Places,
        last_row: Places,
    ) -> None: ...
    def rates(self, number: Array, content: Array, coefficients: Array) -> Array: ...
    def jacobian(self, number: Array, content: Array, coefficients: Array) -> tuple[Array, Array, Array]: ...
    def seat(self) -> int: ...

class Plane:
    def __init__(
        self, to_x: Places, to_y: Places, share_x: Array, share_y: Array, collisions: Array | None, breakage: Array | None
    ) -> None: ...
    def rates(self, number: Array, coefficients: Array) -> Array: ...
    def jacobian(self, number: Array, coefficients: Array) -> tuple[Array, Array]: ...
    def seat(self) -> int: ...
