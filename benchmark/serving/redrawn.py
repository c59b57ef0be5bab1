"""A dataset of which nothing is on disk: its plan is drawn again from its recipe, in seconds.

Scores of slots need labels, splits and blocks, and these are the plan. Masks are cast by rays where
a renderer is at hand, without drawing an image. Pixels are not there, and what needs them is left
out of a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.store.planned import PlannedData

if TYPE_CHECKING:
    from jaxtyping import UInt8

Cast = Callable[[Plan, Sequence[int]], Iterable[Mapping[str, Array]]]
"""Annotates some images of a plan, in order; see `recombine.renderer.rendering.cast_some`."""
TESTS = ("id_test", "ooc_test")


class RedrawnDataset(PlannedData):
    """Labels of a published dataset, and masks where they can be cast.

    Parameters
    ----------
    plan : Plan
        Drawn again; whoever made it compared its digest with the published one.
    manifest : mapping
        What the published ``manifest.json`` says: dataset, n_images, identity, label_root,
        render_version, root, plan_sha256, provenance, license, training_generative_models.
    certificate_sha256 : str
        Of the published certificate (hex), as results name it.
    cast : callable, optional
        Casts masks; None where no renderer is at hand.
    """

    pixels = False

    def __init__(
        self,
        plan: Plan,
        manifest: Mapping[str, Any],
        *,
        certificate_sha256: str,
        cast: Cast | None = None,
    ) -> None:
        self.manifest = dict(manifest)
        self.certificate_sha256 = certificate_sha256
        self._drawn = plan
        self._cast = cast
        self._masks: dict[int, Array] = {}

    @property
    def plan(self) -> Plan:
        """Return all latents and seeds."""
        return self._drawn

    @property
    def castable(self) -> bool:
        """Return whether masks can be had here."""
        return self._cast is not None

    @property
    def annotations(self) -> tuple[str, ...]:
        """Return what can be told of the images without drawing them."""
        return ("mask",)

    @property
    def certificate(self) -> dict[str, Any]:
        """Return nothing: only the hash of the certificate is known, see ``certificate_sha256``."""
        return {}

    def images(self, indices: Any) -> UInt8[Array, "n height width 3"]:
        """Refuse: there are none."""
        raise ResourceError(
            f"{self.name}: expected the images, got a plan drawn again; name a rendered copy "
            f"with --data (images {list(indices)[:3]} were asked for)"
        )

    def masks(self, indices: Any) -> UInt8[Array, "n height width"]:
        """Return the masks of some images, cast when they are asked for first."""
        wanted = [int(i) for i in indices]
        missing = set(wanted) - self._masks.keys()
        if missing:
            # Every call starts a renderer, and whoever asks for some asks for the tests as well.
            missing |= {int(i) for name in TESTS for i in self.indices(name)} - self._masks.keys()
            self._fetch(sorted(missing))
        return np.stack([self._masks[i] for i in wanted])

    def check(self) -> None:
        """Do nothing: the plan was compared when it was drawn."""

    def _fetch(self, indices: Sequence[int]) -> None:
        if self._cast is None:
            raise ResourceError(
                f"{self.name}: expected masks, to match slots to objects; no renderer casts them "
                "here. Run `pip install 'recombine[render]'` on Python 3.11, or name a rendered "
                "copy with --data."
            )
        for index, one in zip(indices, self._cast(self.plan, indices), strict=True):
            self._masks[index] = one["mask"]
