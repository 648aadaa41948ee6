import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

def convolve(times: Array, inlet: Array, before: float, ages: Array, mass: Array, skew: Array, at: Array) -> Array: ...
