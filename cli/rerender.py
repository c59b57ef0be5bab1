"""`recombine rerender`: one image of a dataset again, to check it or to see it larger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.renderer.rendering.rerender import Comparison
    from recombine.renderer.scenes.scene import Rendered


@dataclass(frozen=True)
class Rerender:
    """Draw one image again from its stored latents, to check it or to see it larger.

    --check compares with the stored pixels and labels. On the build that drew them (the same
    Blender, packages and CPU) they must be equal to the last bit; on another build they must
    agree to 45 dB. The output says which of the two was asked. Exit code 5 when it fails.

    Example: recombine rerender runs/smoke --index 7 --check
    Example: recombine rerender runs/smoke --index 7 --resolution 256 --out seven.png
    """

    data: Annotated[Path, tyro.conf.Positional]
    """Dataset folder."""
    index: int
    """Which image, from 0."""
    check: bool = False
    """Compare with what is stored."""
    out: Path | None = None
    """PNG to write."""
    resolution: int | None = None
    """Image edge in pixels, for --out; that of the dataset by default."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Draw, write and compare."""
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.rendering.rerender import compare, rerender

        if not (self.check or self.out):
            raise UsageError("rerender: expected --check, --out FILE or both; got neither.")
        if self.check and self.resolution is not None:
            raise UsageError(
                "rerender: --check needs the stored resolution; got --resolution "
                f"{self.resolution}. Use --resolution with --out only."
            )
        drawn = rerender(self.data, self.index, resolution=self.resolution)
        if self.out:
            _write(drawn, self.out)
        found = compare(self.data, self.index, drawn) if self.check else None
        if self.json:
            console.emit((found.to_dict() if found else {}) | {"out": str(self.out or "")})
        else:
            if self.out:
                console.line(str(self.out))
            if found:
                _say(found)
        return 5 if found and not found.passed else 0


def _write(drawn: Rendered, out: Path) -> None:
    import io

    from PIL import Image

    from recombine.renderer.core.files import write_bytes

    buffer = io.BytesIO()
    Image.fromarray(drawn.image).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())


def _say(found: Comparison) -> None:
    from recombine.renderer.rendering.rerender import TOLERANCE_DB

    asked = f"at least {TOLERANCE_DB:g} dB (another build)" if found.build else "equal bits"
    rows = [
        ("build", "; ".join(found.build) or "the recorded one"),
        ("promised there", asked),
        ("pixels", "equal to the last bit" if found.pixels_equal else _difference(found)),
        ("labels", "equal to the last bit" if found.labels_equal else "differ"),
        ("verdict", "PASS" if found.passed else "FAIL"),
    ]
    console.table(f"image {found.index} drawn again", ("", "found"), rows)


def _difference(found: Comparison) -> str:
    return (
        f"{found.differing:.2%} differ, by at most {found.max_difference} of 255; "
        f"{found.psnr or 0:.1f} dB"
    )
