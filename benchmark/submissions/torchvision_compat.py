"""Importing torchvision beside a tensor library that it was not built for.

The wheel of torchvision on the package index is built for CUDA. Beside a CPU build of torch its
compiled operators do not load, and then ``import torchvision`` itself dies ("operator
torchvision::nms does not exist"), and with it every library that imports it. The import fails
while it describes two operators for box detection, which classifiers and other encoders never
call. Declaring the two, without an implementation, is enough; calling one still fails, by name.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys

from recombine.renderer.core.errors import ResourceError

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
WHEEL = "pip install torchvision --index-url https://download.pytorch.org/whl/cpu"


@functools.cache
def ready_torchvision() -> bool:
    """Import torchvision, declaring its missing operators where they do not load."""
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise _broken(error) from error
    except (ImportError, OSError) as error:
        raise _broken(error) from error
    else:
        return True
    _declare()
    try:
        importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        raise _broken(error) from error
    return False


def _declare() -> None:
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what is left of the import that failed
    for schema in SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", schema.removeprefix(name))


def _broken(error: Exception) -> ResourceError:
    return ResourceError(
        f"hub: torchvision must fit the installed torch, and fails with {type(error).__name__}: "
        f"{str(error)[:200]}; for torch without CUDA, run: {WHEEL}"
    )
