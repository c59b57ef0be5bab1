from __future__ import annotations

from recombine.renderer.scenes.factors import Factor, Schema, Slot


def grid_schema(*sizes: int) -> Schema:
    """Return a schema that recombines a.f, b.f, c.f ... with values a0, a1, ... ."""
    slots = []
    for name, size in zip("abcdefgh", sizes, strict=False):
        values = tuple(f"{name}{v}" for v in range(size))
        slots.append(Slot(name, (Factor("f", "categorical", values=values),)))
    return Schema(tuple(slots), tuple(f"{s.name}.f" for s in slots))
