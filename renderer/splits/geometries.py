"""All split geometries by name; a new one is one function and one entry of `GEOMETRIES`."""

from __future__ import annotations

from collections.abc import Callable

from recombine.renderer.splits.geometries_base import Geometry
from recombine.renderer.splits.geometries_boxes import (
    corner,
    count,
    extrapolation,
    interpolation,
    leave_one_out,
    recombination_to_element,
    recombination_to_range,
)
from recombine.renderer.splits.geometries_latin import checkerboard, permutation
from recombine.renderer.splits.geometries_objects import binding, cogent, relation
from recombine.renderer.splits.geometries_orbits import (
    all_pairs_banded,
    banded_pairs,
    orbit,
    pair_cyclic,
    shift_closure,
    strength_array,
)
from recombine.renderer.splits.geometries_regions import (
    diagonal_band,
    orthogonal_cross,
    orthotopic,
    random_hold_out,
)
from recombine.renderer.splits.search import compound_divergence, covering_array

GEOMETRIES: dict[str, Callable[..., Geometry]] = {
    "orbit": orbit,
    "strength": strength_array,
    "pair-cyclic": pair_cyclic,
    "banded-pairs": banded_pairs,
    "all-pairs-banded": all_pairs_banded,
    "permutation": permutation,
    "checkerboard": checkerboard,
    "leave-one-out": leave_one_out,
    "corner": corner,
    "orthotopic": orthotopic,
    "recombination-to-range": recombination_to_range,
    "recombination-to-element": recombination_to_element,
    "extrapolation": extrapolation,
    "interpolation": interpolation,
    "count": count,
    "cogent": cogent,
    "relation": relation,
    "binding": binding,
    "diagonal-band": diagonal_band,
    "orthogonal-cross": orthogonal_cross,
    "random": random_hold_out,
    "covering-array": covering_array,
    "compound-divergence": compound_divergence,
}

__all__ = [
    "GEOMETRIES",
    "Geometry",
    "all_pairs_banded",
    "banded_pairs",
    "binding",
    "checkerboard",
    "cogent",
    "compound_divergence",
    "corner",
    "count",
    "covering_array",
    "diagonal_band",
    "extrapolation",
    "interpolation",
    "leave_one_out",
    "orbit",
    "orthogonal_cross",
    "orthotopic",
    "pair_cyclic",
    "permutation",
    "random_hold_out",
    "recombination_to_element",
    "recombination_to_range",
    "relation",
    "shift_closure",
    "strength_array",
]
