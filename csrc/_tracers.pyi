import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]

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
