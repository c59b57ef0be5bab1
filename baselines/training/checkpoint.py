"""Training that can be killed at any moment: states of a stage, kept and found again.

A stage resumes to the very weights that it would have reached unbroken: a state holds the model,
its optimiser, the step, every random generator in use and what the run log had counted. It is
filed under a hash of how the stage began (initial weights, random states, schedule, order of
images), so a state is never taken for that of another stage. Where the states lie is said by the
run log's ``checkpoints``; a log without one (foreign code in isolation) keeps nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import safetensors
import safetensors.torch
import torch

from recombine.renderer.core.files import replacing
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from recombine.benchmark.protocol.contract import RunLog

EVERY = 60.0
"""Seconds of training that a killed process may lose."""

drawing: ContextVar[torch.Generator | None] = ContextVar("drawing", default=None)
"""The generator of explicit draws; see `recombine.baselines.training.loop.seeded`."""

Tensors = dict[str, "Tensor"]


class Stateful(Protocol):
    """What else belongs to a state, such as early stopping."""

    def tensors(self) -> Tensors:
        """Return it."""
        ...

    def load(self, tensors: Tensors) -> None:
        """Take it back."""
        ...


@contextmanager
def unless_damaged(path: Path) -> Iterator[None]:
    """Go on without a file that is damaged; what the system refuses says nothing about it."""
    try:
        yield
    except (safetensors.SafetensorError, OSError) as error:
        if refused := system_error(path, error):
            raise refused from error


class Checkpoint:
    """The state of one training stage on disk."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        log: RunLog,
        origin: str,
        others: Mapping[str, Stateful],
    ) -> None:
        self.model, self.optimiser, self.others = model, optimiser, others
        self.log: Any = log
        folder: Path | None = getattr(log, "checkpoints", None)
        self.path = None if folder is None else folder / f"{self._origin(origin)}.safetensors"
        self.done = 0
        if self.path is not None and self.path.exists():
            with unless_damaged(self.path):  # then from 0
                self.done = self._restore(self.path)
        self._saved = time.monotonic()

    def save(self, done: int) -> None:
        """Keep the state after ``done`` steps, when the last one is older than `EVERY`."""
        if self.path is None or time.monotonic() - self._saved < EVERY:
            return
        tensors = {key: value.detach().clone().contiguous() for key, value in self._all().items()}
        about = {"done": str(done), "log": json.dumps(self.log.state())}
        with replacing(self.path) as part:
            safetensors.torch.save_file(tensors, part, about)
        self._saved = time.monotonic()

    def _all(self) -> Tensors:
        found = {f"model/{key}": value for key, value in self.model.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            found |= {f"optimiser/{index}/{key}": value for key, value in state.items()}
        for name, part in self.others.items():
            found |= {f"{name}/{key}": value for key, value in part.tensors().items()}
        return found | _random_states()

    def _restore(self, path: Path) -> int:
        with safetensors.safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.model.load_state_dict(_part(tensors, "model"))
        packed: dict[int, Tensors] = {}
        for key, value in _part(tensors, "optimiser").items():
            index, _, name = key.partition("/")
            packed.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": packed, "param_groups": groups})
        for name, part in self.others.items():
            part.load(_part(tensors, name))
        _set_random_states(tensors)
        self.log.restore(json.loads(about["log"]))
        return int(about["done"])

    def _origin(self, text: str) -> str:
        digest = hashlib.sha256(f"{text} {torch.__version__}".encode())
        for key, value in self._all().items():
            plain = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(f" {key} {tuple(value.shape)} ".encode() + plain.numpy().tobytes())
        return digest.hexdigest()[:32]


def _part(tensors: Tensors, name: str) -> Tensors:
    begin = f"{name}/"
    return {k.removeprefix(begin): v for k, v in tensors.items() if k.startswith(begin)}


def _random_states() -> Tensors:
    states = {"random/global": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random/cuda"] = torch.cuda.get_rng_state()
    if (own := drawing.get()) is not None:
        states["random/own"] = own.get_state()
    return states


def _set_random_states(tensors: Tensors) -> None:
    torch.set_rng_state(tensors["random/global"])
    if "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])
    if (own := drawing.get()) is not None:
        own.set_state(tensors["random/own"])
