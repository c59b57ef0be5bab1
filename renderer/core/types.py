"""Names for array types, for annotations only."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
"""A NumPy array; jaxtyping adds the element type and the shape: ``Float[Array, "images dim"]``."""
