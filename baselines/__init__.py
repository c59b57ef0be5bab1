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
        ``"tiny"`` (seconds, for tests) or ``"cpu"`` (minutes).
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
    return _with_cache(sizes[size], cache_dir)


def _with_cache(learner: Any, cache_dir: Path | None) -> Any:
    """Set the cache of a learner, or of the learner that it builds on."""
    names = {f.name for f in fields(learner)}
    if "cache_dir" in names:
        return replace(learner, cache_dir=cache_dir)
    if "base" in names:
        return replace(learner, base=_with_cache(learner.base, cache_dir))
    return learner
