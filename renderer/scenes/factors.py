"""Slots, typed factors and the schema of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from recombine.renderer.core.errors import InvalidInputError

Kind = Literal["categorical", "periodic", "continuous"]
SlotKind = Literal["object", "setting"]
PLACES = frozenset({"x", "y", "zone"})
"""Factors of an object that say where it stands."""
LAYOUTS = frozenset({"relation", "count", "present"})
"""Factors that say how the objects of a scene stand to one another, or which of them there are."""


@dataclass(frozen=True)
class Factor:
    """One named latent of a slot.

    Attributes
    ----------
    name : str
        Name inside its slot, for example ``"shape"``.
    kind : {"categorical", "periodic", "continuous"}
        Categorical values are stored as codes 0..n-1, periodic ones in radians in
        [0, 2 pi), continuous ones in ``unit`` within [low, high].
    values : tuple of str
        Names of the values of a categorical factor.
    low, high : float
        Range of a continuous factor.
    unit : str
        Unit of a continuous factor, ``"m"`` for metres.

    Raises
    ------
    InvalidInputError
        When the parts do not fit the kind.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    unit: str = ""

    def __post_init__(self) -> None:
        if self.kind == "categorical" and len(set(self.values)) != max(len(self.values), 1):
            raise InvalidInputError(
                f"Factor {self.name!r}: a categorical factor needs distinct values; "
                f"got {list(self.values)}. List every value once."
            )
        if self.kind == "continuous" and not self.low < self.high:
            raise InvalidInputError(
                f"Factor {self.name!r}: a continuous factor needs low < high; "
                f"got [{self.low}, {self.high}]. Widen the range."
            )

    @property
    def size(self) -> int:
        """Return the number of values of a categorical factor, 0 for the others."""
        return len(self.values)

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the range of stored values: codes, radians or units."""
        if self.kind == "categorical":
            return (0.0, float(len(self.values) - 1))
        if self.kind == "periodic":
            return (0.0, 2 * math.pi)
        return (self.low, self.high)

    @property
    def placed(self) -> bool:
        """Return whether it follows from where the objects are: their masks alone tell it."""
        return self.name in PLACES | LAYOUTS

    @property
    def type_name(self) -> str:
        """Return the type as a submission sees it.

        Examples
        --------
        >>> Factor("shape", "categorical", values=("cone", "star")).type_name
        'categorical[2]'
        >>> Factor("yaw", "periodic").type_name
        'angle[rad]'
        """
        if self.kind == "categorical":
            return f"categorical[{len(self.values)}]"
        return "angle[rad]" if self.kind == "periodic" else f"float[{self.unit or '1'}]"


@dataclass(frozen=True)
class Slot:
    """One concept of a scene, an object or the background, with its factors.

    Attributes
    ----------
    name : str
        Unique in its schema.
    factors : tuple of Factor
        What varies in it.
    kind : {"object", "setting"}
        Objects have masks and are counted; background, light and scene are the setting. By
        default the name tells, as in data that were stored before slots had a kind.
    """

    name: str
    factors: tuple[Factor, ...]
    kind: SlotKind | Literal[""] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or _kind_by_name(self.name))


def _kind_by_name(name: str) -> SlotKind:
    return "object" if name.startswith("object") else "setting"


@dataclass(frozen=True)
class Schema:
    """All slots of a dataset, and which factors its split recombines.

    Attributes
    ----------
    slots : tuple of Slot
        Object slots in instance order, then the background.
    recombined : tuple of str
        Keys ``"slot.factor"`` of the categorical factors whose combinations are the cells.
    crossed : tuple of str
        Keys of categorical factors of which every cell of every block shows every value.
    derived : tuple of str
        Keys that an arrangement computes from the cell and the nuisances of the block.

    Raises
    ------
    InvalidInputError
        When a key is repeated, or a recombined or crossed key is unknown or not categorical.
    """

    slots: tuple[Slot, ...]
    recombined: tuple[str, ...]
    crossed: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            raise InvalidInputError(
                f"Schema: slot.factor keys must be distinct; got {list(self.keys)}. Rename one."
            )
        for key in (*self.recombined, *self.crossed):
            if key not in self.keys or self.factor(key).kind != "categorical":
                raise InvalidInputError(
                    f"Schema: recombined and crossed factors must be categorical keys of the "
                    f"schema; got {key!r}. Choose from {list(self.keys)}."
                )

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all ``"slot.factor"`` keys in order."""
        return tuple(f"{s.name}.{f.name}" for s in self.slots for f in s.factors)

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Return the keys that are drawn once per block."""
        decided = {*self.recombined, *self.crossed, *self.derived}
        return tuple(k for k in self.keys if k not in decided)

    @property
    def objects(self) -> tuple[str, ...]:
        """Return the names of the object slots, in instance order."""
        return tuple(s.name for s in self.slots if s.kind == "object")

    @property
    def interchangeable(self) -> bool:
        """Return whether only its place tells one object slot of a scene from another.

        So it is where two or more objects recombine the same factors with the same values, none
        of which is a place, and no factor of the scene as a whole refers to their order.
        """
        kinds: dict[str, list[tuple[str, tuple[str, ...]]]] = {slot: [] for slot in self.objects}
        for key in self.recombined:
            slot, _, name = key.partition(".")
            if slot in kinds:
                kinds[slot].append((name, self.factor(key).values))
        first, *others = kinds.values() or ([],)
        ordered = {name for name, _ in first} & PLACES or any(
            key.startswith("scene.") for key in self.recombined
        )
        return bool(others and first) and not ordered and all(kind == first for kind in others)

    @property
    def placed(self) -> tuple[str, ...]:
        """Return the recombined keys that follow from where the objects are."""
        return tuple(key for key in self.recombined if self.factor(key).placed)

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """Return the number of values of each recombined factor."""
        return tuple(self.factor(k).size for k in self.recombined)

    def factor(self, key: str) -> Factor:
        """Return the factor of a ``"slot.factor"`` key.

        Raises
        ------
        InvalidInputError
            When the schema has no such key.
        """
        for slot in self.slots:
            for factor in slot.factors:
                if f"{slot.name}.{factor.name}" == key:
                    return factor
        raise InvalidInputError(
            f"Schema: expected a key of {list(self.keys)}; got {key!r}. Check the spelling."
        )

    def cell_names(self, cell: Iterable[int]) -> tuple[str, ...]:
        """Return the value names of a cell given as codes."""
        return tuple(
            self.factor(k).values[int(v)] for k, v in zip(self.recombined, cell, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain data; kinds that names tell are left out of it."""
        data = asdict(self)
        for slot in data["slots"]:
            # Digests of plans are over these data, and older ones have no kinds.
            if slot["kind"] == _kind_by_name(slot["name"]):
                del slot["kind"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Return the schema written by `to_dict`.

        Raises
        ------
        InvalidInputError
            When parts are missing or of the wrong type.
        """
        try:
            slots = tuple(
                Slot(
                    s["name"],
                    tuple(Factor(**{**f, "values": tuple(f["values"])}) for f in s["factors"]),
                    s.get("kind", ""),
                )
                for s in data["slots"]
            )
            rest = (tuple(data.get(name, ())) for name in ("crossed", "derived"))
            return cls(slots, tuple(data["recombined"]), *rest)
        except (KeyError, TypeError) as error:
            raise InvalidInputError(
                f"Schema: expected slots with factors and a list 'recombined'; got an entry "
                f"that lacks or misnames {error}. Write it again with `recombine dataset plan`."
            ) from error
