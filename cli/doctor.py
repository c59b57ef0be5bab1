"""`doctor`: tell whether this machine is ready to render and score."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from recombine.cli import say


@dataclass(frozen=True)
class Doctor:
    """Check Python, the wheels, Blender, the disk, and make one test render.

    On Python 3.12 and 3.13 everything but rendering is checked.

    Example: recombine doctor
    """

    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Examine the machine and print what was found."""
        from recombine.renderer.provenance import provenance

        found = {k: str(v) for k, v in provenance().items()}
        found["cores"] = str(len(os.sched_getaffinity(0)))
        found["disk free here"] = f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB"
        found |= _renderer()
        found |= _torch()
        found["isolation"] = _isolation()
        if self.json:
            say.emit(found)
        else:
            say.table("", ("what", "found"), list(found.items()))
            say.line(
                "ready: `recombine quickstart` runs the whole chain"
                if found["renderer"] == "ok"
                else "ready for all but rendering"
            )
        return 0


def _renderer() -> dict[str, str]:
    """Return what `_blender` finds; where no wheel can exist, why there is no renderer."""
    from recombine.renderer.errors import ResourceError
    from recombine.renderer.render import require_blender

    try:
        require_blender()
    except ResourceError as error:
        if sys.version_info[:2] != (3, 11):
            return {"renderer": f"not here: {error}"}
        raise
    return _blender()


def _blender() -> dict[str, str]:
    """Make a test render in a worker process, as `render` would."""
    from recombine.renderer.pool_workers import local_pool
    from recombine.renderer.render import start_worker

    executor = local_pool(1, start_worker)()
    began = time.perf_counter()
    try:
        return {**executor.submit(_probe).result(timeout=300), "renderer": "ok"} | {
            "test render": f"{time.perf_counter() - began:.1f} s with start-up"
        }
    finally:
        executor.shutdown()


def _probe() -> dict[str, str]:
    from recombine.renderer.blender import probe

    probe.test_render()
    return probe.versions()


def _isolation() -> str:
    """Tell whether submitted code can be shut in here, and how to get there."""
    import subprocess

    from recombine.benchmark.isolation_bwrap import require_bwrap
    from recombine.renderer.errors import ResourceError

    try:
        path = require_bwrap()
    except ResourceError as error:
        return f"not ready: {error}"
    ran = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return f"ok: {ran.stdout.strip()}, can make namespaces"


def _torch() -> dict[str, str]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"torch": torch.__version__, "gpu": gpu, "cpu": platform.processor() or "unknown"}
