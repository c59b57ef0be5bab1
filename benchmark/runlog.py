"""The log of one training run: what was tried and generated, and the training curves."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Self

from recombine.renderer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


class FileRunLog:
    """A ``RunLog`` that counts, and writes every event as one JSON line.

    Attributes
    ----------
    generated : int
        Images that the method made itself.
    configs : int
        Configurations compared on in-combination validation images.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with FileRunLog(pathlib.Path(tempfile.mkdtemp()) / "log.jsonl") as log:
    ...     log.count_generated(64)
    >>> log.generated
    64
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.generated = 0
        self.configs = 0
        self._begin = time.monotonic()
        self._stream = path.open("w", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write({"event": "end", "generated": self.generated, "configs": self.configs})
        self._stream.close()

    def count_generated(self, n_images: int) -> None:
        """Count images that the method made itself.

        Parameters
        ----------
        n_images : int
            At least 0.

        Raises
        ------
        UsageError
            When the number is negative.
        """
        if n_images < 0:
            raise UsageError(f"RunLog.count_generated: expected at least 0 images, got {n_images}")
        self.generated += int(n_images)

    def config_tried(self, config: Mapping[str, Any], id_val_score: float) -> None:
        """Record one configuration compared on in-combination validation images.

        Parameters
        ----------
        config : Mapping
            Settings; values that are not plain JSON are written as text.
        id_val_score : float
            Its selection score.
        """
        self.configs += 1
        self._write({"event": "config", "config": dict(config), "score": _finite(id_val_score)})

    def scalar(self, name: str, value: float, step: int) -> None:
        """Record one point of a training curve; NaN and infinity are written as null.

        Parameters
        ----------
        name : str
            For example ``"loss"``.
        value : float
            The value.
        step : int
            The optimiser step.
        """
        self._write({"event": "scalar", "name": name, "value": _finite(value), "step": int(step)})

    def _write(self, event: dict[str, Any]) -> None:
        event["t"] = round(time.monotonic() - self._begin, 3)
        self._stream.write(json.dumps(event, default=str) + "\n")


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None
