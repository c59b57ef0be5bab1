"""What makes a run this run: code, settings, data, seed. Equal fingerprint, equal run."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from recombine.benchmark.submissions.state import state_sha256
from recombine.renderer.core.provenance import cpu_name

Scalar: TypeAlias = str | int | float | bool | None


def code_name(submission: object) -> str:
    """Return ``module:Class`` of a submission, the bare file name for one loaded from a file."""
    kind = type(submission)
    module = sys.modules.get(kind.__module__)
    if kind.__module__.startswith("submission_") and module is not None and module.__file__:
        return f"{Path(module.__file__).name}:{kind.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def settings_of(submission: object) -> dict[str, Any]:
    """Return the settings of a submission as plain JSON values."""
    if dataclasses.is_dataclass(submission) and not isinstance(submission, type):
        fields = [f for f in dataclasses.fields(submission) if f.compare]
        pairs = {field.name: getattr(submission, field.name) for field in fields}
    else:
        pairs = {k: v for k, v in vars(submission).items() if not k.startswith("_")}
    return {name: _plain(value) for name, value in pairs.items() if name != "card"}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Return nested settings one level deep, with dotted names."""
    out: dict[str, Scalar] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return out


def source_sha256(submission: object) -> str:
    """Return the SHA-256 of the Python files that a submission is made of."""
    module = sys.modules.get(type(submission).__module__)
    digest = hashlib.sha256()
    if module is not None and getattr(module, "__file__", None):
        path = Path(str(module.__file__))
        package = (module.__package__ or "").split(".")
        if package[0]:
            # Building blocks lie in sibling rooms: recombine.baselines, or the whole package.
            levels = len(package) - (2 if package[0] == "recombine" else 1)
            folder = path.parents[max(levels, 0)]
            files = [(str(p.relative_to(folder)), p) for p in sorted(folder.rglob("*.py"))]
        else:
            files = [(path.name, path)]
        for name, file in files:
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    elif module is not None:  # typed into a notebook
        digest.update((state_sha256(type(submission)) or "").encode())
    return digest.hexdigest()


def content_key(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain JSON values, independent of the order of keys."""
    text = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def environment(device: str) -> dict[str, Any]:
    """Return versions and machine, in the form of ``result_parts.Environment``."""
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "harness": importlib.metadata.version("recombine"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "cpu": cpu_name(),
        "gpu": gpu,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return settings_of(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return _file(value)
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _file(path: Path) -> str:
    """Return what a file is, wherever it lies: its name and the start of its SHA-256."""
    if not path.is_file():
        return path.name
    with path.open("rb") as file:
        return f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
