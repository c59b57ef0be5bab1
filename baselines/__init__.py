"""Reference submissions, one readable file per method.

Nothing here imports a tensor library until a baseline is loaded by name.
"""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recombine.renderer.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

BASELINES: dict[str, str] = {
    "supervised": "recombine.baselines.supervised:Supervised",
    "autoencoder": "recombine.baselines.autoencoder:Autoencoder",
    "autoencoder-replay": "recombine.baselines.autoencoder:AutoencoderReplay",
}


def load_baseline(name: str, size: str = "cpu", *, cache_dir: Path | None = None) -> Any:
    """Return a baseline of a named size, ready to be trained.

    Parameters
    ----------
    name : str
        Key of `BASELINES`.
    size : str
        ``"tiny"`` (seconds, for tests), ``"cpu"`` (minutes) or ``"gpu"`` (hours of one GPU).
    cache_dir : Path, optional
        Where baselines with a common first stage store it and find it again.

    Returns
    -------
    Learner
        A frozen dataclass of settings with ``fit``.

    Raises
    ------
    UsageError
        When the name or the size is unknown.

    Examples
    --------
    >>> load_baseline("supervised", "tiny").card.id
    'supervised'
    """
    if name not in BASELINES:
        raise UsageError(f"baselines: expected one of {sorted(BASELINES)}, got {name!r}")
    module_name, _, kind = BASELINES[name].partition(":")
    module = import_module(module_name)
    sizes = module.SIZES[kind]
    if size not in sizes:
        raise UsageError(f"baselines: {name} comes in sizes {sorted(sizes)}, got {size!r}")
    return _named(sizes[size], size, cache_dir)


def _named(learner: Any, size: str, cache_dir: Path | None) -> Any:
    """Set size and cache of a learner, and of the learner that it builds on."""
    known = {f.name for f in fields(learner)}
    changes: dict[str, Any] = {"size": size, "cache_dir": cache_dir}
    changes = {name: value for name, value in changes.items() if name in known}
    if "base" in known:
        changes["base"] = _named(learner.base, size, cache_dir)
    return replace(learner, **changes)
