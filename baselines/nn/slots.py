"""How the factors of a scene are written into slot vectors, and read out of network outputs.

Every scene slot is one vector of D columns: a categorical factor takes one column per value, an
angle takes its cosine and sine, a continuous factor takes one standardised column. Shorter slots
are padded with zeros to the widest one, so that a scene is one (K, D) table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.contract import SplitSpec

Kind = Literal["categorical", "angle", "float"]


@dataclass(frozen=True)
class Columns:
    """The columns of one factor in the vector of its slot."""

    key: str  # ``"slot.factor"``
    kind: Kind  # how the columns are read
    start: int  # first column and number of columns
    width: int  # first column and number of columns

    @property
    def span(self) -> slice:
        """Return the columns as a slice."""
        return slice(self.start, self.start + self.width)

    @property
    def factor(self) -> str:
        """Return the factor's name without its slot."""
        return self.key.partition(".")[2]


@dataclass(frozen=True)
class SlotLayout:
    """Which column of which slot holds what."""

    names: tuple[str, ...]  # slot names in scene order, K of them
    slots: tuple[tuple[Columns, ...], ...]  # the factors of each slot

    @property
    def count(self) -> int:
        """Return the number of slots K."""
        return len(self.slots)

    @property
    def dim(self) -> int:
        """Return the number of columns D of the widest slot."""
        return max(sum(c.width for c in slot) for slot in self.slots)

    @property
    def posed(self) -> tuple[int, ...]:
        """Return the slots that stand somewhere in the scene (they have ``x`` and ``y``)."""
        return tuple(
            k for k, slot in enumerate(self.slots) if {"x", "y"} <= {c.factor for c in slot}
        )

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Return the slots that nothing but their place in the list tells apart."""
        # Slots with the same factors are exchangeable: their order in the image is unknown, so
        # losses match them. A slot with factors of its own is a group of one.
        found: dict[tuple[tuple[str, str, int], ...], list[int]] = {}
        for k, slot in enumerate(self.slots):
            found.setdefault(tuple((c.factor, c.kind, c.width) for c in slot), []).append(k)
        return tuple(tuple(group) for group in found.values())


def _columns(key: str, type_name: str, start: int) -> Columns:
    if type_name.startswith("categorical[") and type_name.endswith("]"):
        return Columns(key, "categorical", start, int(type_name[len("categorical[") : -1]))
    if type_name == "angle[rad]":
        return Columns(key, "angle", start, 2)
    if type_name.startswith("float["):
        return Columns(key, "float", start, 1)
    raise InvalidInputError(
        f"baselines: factor {key!r} should be 'categorical[n]', 'angle[rad]' or 'float[unit]', "
        f"got {type_name!r}; check the dataset's schema"
    )


def layout_of(spec: SplitSpec) -> SlotLayout:
    """Return the slot layout of a dataset."""
    slots: dict[str, list[Columns]] = {}
    for key, type_name in spec.factors.items():
        slot = slots.setdefault(key.partition(".")[0], [])
        slot.append(_columns(key, type_name, sum(c.width for c in slot)))
    if not slots:
        raise InvalidInputError(
            "baselines: expected at least one factor in SplitSpec.factors, got none; "
            "use a dataset with a schema"
        )
    return SlotLayout(tuple(slots), tuple(tuple(slot) for slot in slots.values()))


def check_spec(spec: SplitSpec, layout: SlotLayout, image_hw: tuple[int, int]) -> None:
    """Refuse images of another kind than the model was trained on."""
    wanted = [c.key for slot in layout.slots for c in slot]
    if tuple(spec.image_hw) != image_hw or list(spec.factors) != wanted:
        raise InvalidInputError(
            f"baselines: this model was trained on images of {image_hw} with factors {wanted}, "
            f"got images of {tuple(spec.image_hw)} with {list(spec.factors)}; train it anew"
        )


def check_image_size(spec: SplitSpec, image_hw: tuple[int, ...]) -> None:
    """Refuse images of another size than the model was trained on, whatever their factors."""
    if tuple(spec.image_hw) != image_hw:
        raise InvalidInputError(
            f"baselines: this model was trained on images of {image_hw}, got "
            f"{tuple(spec.image_hw)}; train it anew"
        )


def slot_vectors(
    layout: SlotLayout, factors: Mapping[str, Tensor]
) -> Float[Tensor, "images slots dim"]:
    """Write factors into slot vectors: one-hot, cosine and sine, and raw units."""
    wanted = [c.key for slot in layout.slots for c in slot]
    if missing := [key for key in wanted if key not in factors]:
        raise InvalidInputError(
            f"baselines: this method trains from factor labels and needs {wanted}, "
            f"{missing} did not come; serve the 'supervised' fields"
        )
    first = factors[wanted[0]]
    out = torch.zeros(len(first), layout.count, layout.dim, device=first.device)
    for k, slot in enumerate(layout.slots):
        for columns in slot:
            out[:, k, columns.span] = _written(columns, factors[columns.key])
    return out


def _written(columns: Columns, values: Tensor) -> Tensor:
    if columns.kind == "categorical":
        return torch.nn.functional.one_hot(values.long(), columns.width).float()
    if columns.kind == "angle":
        return torch.stack([values.cos(), values.sin()], dim=1).float()
    return values.float()[:, None]


def standard(
    layout: SlotLayout, vectors: Float[Tensor, "images slots dim"]
) -> tuple[Float[Tensor, "slots dim"], Float[Tensor, "slots dim"]]:
    """Return the centre and spread that standardise the continuous columns."""
    center, spread = torch.zeros(vectors.shape[1:]), torch.ones(vectors.shape[1:])
    for group in layout.groups:
        for columns in layout.slots[group[0]]:
            if columns.kind == "float":
                values = vectors[:, list(group), columns.start]
                center[list(group), columns.start] = values.mean()
                spread[list(group), columns.start] = values.std(correction=0).clamp_min(1e-6)
    return center, spread


def activate(
    layout: SlotLayout, outputs: Float[Tensor, "images slots dim"]
) -> Float[Tensor, "images slots dim"]:
    """Turn network outputs or search variables into slot vectors."""
    rows = []
    for k, slot in enumerate(layout.slots):
        parts = [_activated(c, outputs[:, k, c.span]) for c in slot]
        used = sum(c.width for c in slot)
        parts.append(torch.zeros_like(outputs[:, k, used:]))
        rows.append(torch.cat(parts, dim=1))
    return torch.stack(rows, dim=1)


def _activated(columns: Columns, values: Tensor) -> Tensor:
    if columns.kind == "categorical":
        return values.softmax(dim=1)
    if columns.kind == "angle":
        return torch.nn.functional.normalize(values, dim=1, eps=1e-4)
    return values


def smooth(
    layout: SlotLayout, slots: Float[Tensor, "images slots dim"], mix: float
) -> Float[Tensor, "images slots dim"]:
    """Turn slot vectors into search variables whose softmax is not saturated."""
    # A confidently wrong classifier starts the search where the softmax has no gradient; mixing its
    # answer with the uniform distribution brings the gradient back.
    out = slots.clone()
    for k, slot in enumerate(layout.slots):
        for columns in slot:
            if columns.kind == "categorical":
                mixed = (1 - mix) * slots[:, k, columns.span] + mix / columns.width
                out[:, k, columns.span] = mixed.clamp_min(1e-6).log()
    return out


def factors_of(
    layout: SlotLayout,
    slots: Float[Tensor, "images slots dim"],
    center: Float[Tensor, "slots dim"],
    spread: Float[Tensor, "slots dim"],
) -> dict[str, Tensor]:
    """Read factors out of slot vectors; the inverse of `slot_vectors` and standardisation."""
    raw = slots * spread + center
    found: dict[str, Tensor] = {}
    for k, slot in enumerate(layout.slots):
        for columns in slot:
            values = raw[:, k, columns.span]
            if columns.kind == "categorical":
                found[columns.key] = values.argmax(dim=1)
            elif columns.kind == "angle":
                found[columns.key] = torch.atan2(values[:, 1], values[:, 0]) % (2 * torch.pi)
            else:
                found[columns.key] = values[:, 0]
    return found
