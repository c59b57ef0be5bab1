"""Objects of this process as submissions, a plain ``torch.nn.Module`` among them.

What is given as an object runs here, beside the labels, and is never isolated: it is the caller's
own. A text (``file.py:Class``) names code that is not here yet, and belongs to ``sandbox.isolate``.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recombine.benchmark.protocol.contract import (
    Encoder,
    Inverter,
    Learner,
    MethodCard,
    SlotOutput,
    SplitSpec,
)
from recombine.benchmark.protocol.outputs import MAX_DIM, MAX_SLOTS
from recombine.benchmark.submissions.fingerprint import code_name, source_sha256
from recombine.benchmark.submissions.loading import Submission, check_submission, slug_of
from recombine.renderer.core.errors import InvalidInputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float

NOTE = "object given in process, weights trained elsewhere"


def submission_of(given: object, *, settings: Mapping[str, Any] | None = None) -> Submission:
    """Return the submission that an object of this process stands for.

    Parameters
    ----------
    given : object
        An `Encoder`, `Inverter` or `Learner`; a ``torch.nn.Module`` (see `encoder_of`); or a class
        of one of these. Runs in this process, with the caller's rights.
    settings : Mapping, optional
        Keyword arguments when ``given`` is a class.

    Returns
    -------
    Encoder, Inverter or Learner
        For ``scoring.score_submission``.

    Raises
    ------
    UsageError
        When ``given`` is a text, or a class that cannot be made from the settings.
    InvalidInputError
        When it follows no protocol and is no module.

    Examples
    --------
    >>> submission_of(nn.Flatten()).card.id
    'flatten'
    """
    if isinstance(given, str):
        raise UsageError(
            f"submission {given!r}: expected an object, got a text; code that a text names runs in "
            "isolation, see recombine.benchmark.sandbox.isolation"
        )
    if isinstance(given, type):
        name = given.__name__
        try:
            given = given(**(settings or {}))
        except TypeError as error:
            raise UsageError(
                f"submission {name}: expected a class that can be made from the settings "
                f"{sorted(settings or {})}, got: {error}; give an object of it"
            ) from error
    elif settings:
        raise UsageError(
            f"submission {type(given).__name__}: settings are for classes, got an object and "
            f"{sorted(settings)}; make the object with them"
        )
    if isinstance(given, nn.Module) and not isinstance(given, Learner | Inverter | Encoder):
        given = encoder_of(given)
    return check_submission(given, type(given).__name__)


def encoder_of(module: nn.Module, *, card: MethodCard | None = None) -> ModuleEncoder:
    """Return a module that maps images to vectors or slots as an `Encoder`.

    Parameters
    ----------
    module : torch.nn.Module
        Gets images ``(B, 3, H, W)`` float32 in [0, 1], sRGB-encoded, and returns vectors
        ``(B, D)``, or slots ``(B, S, D)`` with S from the number of scene slots to 64; D at most
        512. It is copied: later training does not change the encoder, and the encoder changes
        neither mode nor device of the module.
    card : MethodCard, optional
        What the leaderboard prints; by default the class's name, the supervised and open track
        (of weights from elsewhere nothing is known), and a note that says so.

    Returns
    -------
    ModuleEncoder
        Answers in evaluation mode and without gradients; a vector stands for every slot.

    Raises
    ------
    InvalidInputError
        When the module cannot be copied.

    Examples
    --------
    >>> encoder_of(nn.Flatten()).card.note
    'object given in process, weights trained elsewhere'
    """
    return ModuleEncoder(module, card)


class ModuleEncoder:
    """A frozen copy of a module; see `encoder_of`. Its public attributes are its settings."""

    def __init__(self, module: nn.Module, card: MethodCard | None = None) -> None:
        name = type(module).__name__
        try:
            self._module = copy.deepcopy(module).eval().requires_grad_(False)
        except RuntimeError as error:  # tensors with a history cannot be copied
            raise InvalidInputError(
                f"{name}: expected a module that copy.deepcopy can copy, got: {error}; keep only "
                "parameters and buffers in it"
            ) from error
        self.module = code_name(module)
        self.module_source_sha256 = source_sha256(module)
        self.weights_sha256 = _weights_sha256(module)
        self.card = card or MethodCard(
            id=slug_of(name), name=name, supervision="supervised", data="open", note=NOTE
        )
        self._spec: SplitSpec | None = None
        self._dim = 0

    @property
    def slot_dim(self) -> int:
        """Return D, known after `setup`."""
        return self._dim

    @slot_dim.setter
    def slot_dim(self, size: int) -> None:
        self._dim = size

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move the copy to the device, and learn from two grey images how long its vectors are."""
        self._module.to(device)
        self._spec = spec
        with torch.no_grad():
            slots = self._slots(torch.full((2, 3, *spec.image_hw), 0.5, device=device))
        self.slot_dim = slots.shape[2]

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, S, D)``."""
        with torch.no_grad():
            return SlotOutput(slots=self._slots(images))

    def _slots(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        found = self._module(images)
        least = self._spec.max_slots if self._spec else 1
        batch = len(images)
        if not isinstance(found, Tensor) or found.ndim not in (2, 3) or len(found) != batch:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise self._wrong(
                f"({batch}, D) or ({batch}, S, D) from images {tuple(images.shape)}", got
            )
        slots = found[:, None].expand(-1, least, -1) if found.ndim == 2 else found
        if not 1 <= slots.shape[2] <= MAX_DIM:
            raise self._wrong(f"D from 1 to {MAX_DIM}", tuple(found.shape))
        if not least <= slots.shape[1] <= MAX_SLOTS:
            raise self._wrong(f"S from {least} to {MAX_SLOTS}", tuple(found.shape))
        return slots.float().contiguous()

    def _wrong(self, expected: str, got: object) -> InvalidInputError:
        return InvalidInputError(
            f"{self.card.id}: the module must return a tensor {expected}, got {got}; wrap it in a "
            "module that pools or projects its output"
        )


def _weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over names, shapes and numbers of a module's state."""
    total = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        total.update(f"{key}\0".encode())
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            total.update(f"{value.dtype}\0{tuple(value.shape)}\0".encode())
            total.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        else:
            total.update(repr(value).encode())
    return total.hexdigest()
