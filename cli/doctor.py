"""`doctor`: tell whether this machine is ready to render and score."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.machine import limited, usable_cores
from recombine.renderer.core.surroundings import noticed

BROKEN = "not ready"  # a renderer that should work here


@dataclass(frozen=True)
class Doctor(Command):
    """Check Python, the wheels, Blender, the disk and the sandbox, and make one test render.

    The sandbox is tested by ten seconds of code that tries to leave it; the whole corpus of attacks
    is `pytest tests/redteam`. On Python 3.12 and 3.13 everything but rendering is checked. Exit
    code 4 when something is missing, 5 when an attempt to leave the sandbox got through.

    Example: recombine doctor
    """

    def run(self) -> int:
        """Examine the machine and print what was found."""
        from recombine.renderer.core.provenance import provenance

        found = {k: str(v) for k, v in provenance().items()}
        found["cores"] = str(usable_cores())
        if words := limited():
            found["address space"] = words
        found["disk free here"] = f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB"
        if told := noticed(os.environ):
            found["variables"] = "; ".join(f"{name}: {what}" for name, what in told.items())
        found |= _renderer()
        found |= _torch()
        found["isolation"] = _isolation()
        held = True
        if found["isolation"].startswith("ok"):
            found["compiled models"] = _compiling()
            attempts, held = _self_test()
            found |= attempts
        if self.json:
            console.emit(found)
        else:
            console.table("", ("what", "found"), list(found.items()))
            console.line(_verdict(found["renderer"] == "ok", held))
        if not held:
            return 5
        return 4 if found["renderer"].startswith(BROKEN) else 0


def _verdict(renders: bool, held: bool) -> str:
    if not held:
        return "not ready: code got out of the sandbox, score no foreign code on this machine"
    if not renders:
        return "ready for all but rendering"
    return "ready: `recombine quickstart` runs the whole chain"


def _self_test() -> tuple[dict[str, str], bool]:
    """Return what code that tries to leave the sandbox got, and whether the sandbox held."""
    from recombine.benchmark.sandbox.self_test import self_test

    tried = self_test()
    said = {
        f"sandbox: {one.what}": f"{'held' if one.held else 'FAILED'}: {one.said}" for one in tried
    }
    return said, all(one.held for one in tried)


def _renderer() -> dict[str, str]:
    """Return what `_blender` finds; where no wheel can exist, why there is no renderer."""
    from recombine.renderer.rendering.render import require_blender

    try:
        require_blender()
    except ResourceError as error:
        if sys.version_info[:2] != (3, 11):
            return {"renderer": f"not here: {error}"}
        raise
    return _blender()


def _blender() -> dict[str, str]:
    """Make a test render in a worker process, as `render` would."""
    from recombine.renderer.rendering.pool import WorkerDiedError, local_pool
    from recombine.renderer.rendering.render import start_worker

    executor = local_pool(1, start_worker)()
    began = time.perf_counter()
    try:
        return {**executor.submit(_probe).result(timeout=300), "renderer": "ok"} | {
            "test render": f"{time.perf_counter() - began:.1f} s with start-up"
        }
    except WorkerDiedError as error:
        return {"renderer": f"{BROKEN}: {error}"}
    finally:
        executor.shutdown()


def _probe() -> dict[str, str]:
    from recombine.renderer.blender import worker as probe

    probe.test_render()
    return probe.versions()


def _compiling() -> str:
    """Tell whether a model in the sandbox can compile itself."""
    from recombine.benchmark.sandbox.bubblewrap import lacks_for_compiling

    lacks = lacks_for_compiling()
    return f"not possible in the sandbox, for lack of {' and '.join(lacks)}" if lacks else "ok"


def _isolation() -> str:
    """Tell whether submitted code can be shut in here, and how to get there."""
    import subprocess

    from recombine.benchmark.sandbox.bubblewrap import require_bwrap

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
