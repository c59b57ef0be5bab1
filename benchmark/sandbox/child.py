"""The inside of isolation: runs a submission on what the job folder holds, writes one file.

Started as a program of its own, never imported by the harness. It first limits itself, then
loads foreign code; from then on nothing that this process says is believed without a check.
"""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.benchmark.inference.query import DependentAnswersError, named_answers
from recombine.benchmark.predictions.safetensors_guard import write_tensors
from recombine.benchmark.sandbox.channel import Guest
from recombine.benchmark.sandbox.data import Served, ServedData
from recombine.benchmark.sandbox.process import NO_ROOM, Limits
from recombine.benchmark.serving.data import spec_of
from recombine.renderer.core.errors import RecombineError
from recombine.renderer.core.files import disk_is_full

if TYPE_CHECKING:
    from recombine.benchmark.inference.cost import Cost
    from recombine.benchmark.protocol.contract import Encoder, Inverter
    from recombine.benchmark.protocol.outputs import Output
    from recombine.renderer.core.types import Array

MAX_LOG = 8 * 2**20
NETWORK_EVENTS = frozenset(
    ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
)
Tensors = dict[str, "Array"]
Texts = dict[str, str]


class _Witness:
    """What happened so far: the stage, and attempts to reach the network."""

    def __init__(self) -> None:
        self.stage = "start"
        self.network: list[str] = []

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in NETWORK_EVENTS and len(self.network) < 10:
            target = arguments[-1] if event == "socket.connect" else arguments
            if not isinstance(target, str | bytes):  # a text is a socket file of this machine
                self.network.append(f"{event} {target!r}"[:200])

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Name the stage; after an error it stays."""
        self.stage = stage
        yield


def main(path: Path) -> int:
    """Do one job."""
    job = json.loads(path.read_text())
    job["folder"] = path.parent
    Limits(**job["limits"]).apply(
        threads=job["threads"],
        mapped_bytes=job["mapped_bytes"],
        gpu=job["device"] != "cpu",
        count_processes=job["count_processes"],
    )
    witness = _Witness()
    sys.addaudithook(witness.audit)
    answer = Path(job["answer"])
    try:
        tensors, texts = MODES[job["mode"]](job, witness)
    except BaseException as error:
        tensors, texts = {}, {"failure": json.dumps(_failure(error, witness))}
    try:
        write_tensors(answer, tensors, texts)
    except OSError as error:
        if not disk_is_full(error):
            raise
        return NO_ROOM  # the machine's fault, not the submission's
    return 3 if "failure" in texts else 0


def describe(job: Mapping[str, Any], witness: _Witness) -> tuple[Tensors, Texts]:
    """Load a submission and say what it is."""
    submission = _load(job, witness)

    from recombine.benchmark.protocol.outputs import check_slot_dim
    from recombine.benchmark.submissions.fingerprint import flat, settings_of
    from recombine.benchmark.submissions.loading import card_of, kind_of

    with named_answers(job["who"]):
        check_slot_dim(submission, least=0)
    report = {
        "card": asdict(card_of(submission)),
        "kind": kind_of(submission),
        "settings": flat(settings_of(submission)),
    }
    return {}, {"described": json.dumps(report)}


def answer_all(job: Mapping[str, Any], witness: _Witness) -> tuple[Tensors, Texts]:
    """Train a submission if it is a learner, and ask it about every image."""
    import torch

    from recombine.benchmark.inference.cost import reset_peak_rss
    from recombine.benchmark.protocol.contract import Inverter
    from recombine.benchmark.protocol.outputs import check_slot_dim

    torch.set_num_threads(job["threads"])
    submission = _load(job, witness)
    device = torch.device(job["device"])
    method, training, log = _fit(submission, job, witness)
    steps = tuple(job["steps"]) if isinstance(method, Inverter) else (0,)
    reset_peak_rss()
    torch.manual_seed(job["seed"])
    with witness.during("setup"):
        method.setup(spec_of(job["spec"]), device)
        with named_answers(job["who"]):
            check_slot_dim(method)
    with witness.during("inference"):
        tensors, guest, cost, memory = _answers(method, job, steps, device)
    report = {
        **training,
        "kind": "inverter" if isinstance(method, Inverter) else "encoder",
        "steps": list(steps),
        "cost": asdict(cost),
        "peak_rss_bytes": memory,
        "network": witness.network,
        "no_twin": guest.no_twin[:200],
    }
    tensors["log"] = np.frombuffer(log, np.uint8)
    return tensors, {"run": json.dumps(report, allow_nan=False)}


def check(job: Mapping[str, Any], witness: _Witness) -> tuple[Tensors, Texts]:
    """Check a submission's contract on built-in images."""
    from recombine.benchmark.check.checker import run_checks

    with witness.during("check"):
        report = run_checks(
            job["submission"], settings=job["settings"], memory_bytes=job["limits"]["memory_bytes"]
        )
    out = {
        "card": asdict(report.card) if report.card else None,
        "kind": report.kind,
        "checks": [asdict(one) for one in report.checks],
        "network": witness.network,
    }
    return {}, {"checks": json.dumps(out)}


MODES: dict[str, Callable[[Mapping[str, Any], _Witness], tuple[Tensors, Texts]]] = {
    "describe": describe,
    "run": answer_all,
    "check": check,
}


def _load(job: Mapping[str, Any], witness: _Witness) -> Any:
    from recombine.benchmark.submissions.loading import load_learner

    with witness.during("load"):
        return load_learner(job["submission"], settings=job["settings"])


def _fit(
    submission: Any, job: Mapping[str, Any], witness: _Witness
) -> tuple[Encoder | Inverter, dict[str, Any], bytes]:
    """Return the fitted method, what training took, and its log."""
    from recombine.benchmark.inference.runlog import NOT_TRAINED, fit_learner
    from recombine.benchmark.protocol.contract import Learner, TrainBudget
    from recombine.benchmark.submissions.loading import check_fitted

    if not isinstance(submission, Learner):
        return submission, {"trained": False, **NOT_TRAINED}, b""
    spec, budget = spec_of(job["spec"]), TrainBudget(**job["budget"])
    data, val = (
        ServedData(
            job["folder"] / part,
            Served(**job["served"][part]),
            spec,
            max_images=budget.max_images_seen,
        )
        for part in ("train", "val")
    )
    path = Path(job["scratch"]) / "log.jsonl"
    method, training = fit_learner(
        submission,
        data,
        val,
        seed=job["seed"],
        budget=budget,
        path=path,
        during=witness.during("fit"),
    )
    with path.open("rb") as stream:
        log = stream.read(MAX_LOG)
    return check_fitted(method, job["who"]), {"trained": True, **training}, log


def _answers(
    method: Encoder | Inverter, job: Mapping[str, Any], steps: tuple[int, ...], device: Any
) -> tuple[Tensors, Guest, Cost, int | None]:
    """Measure costs, then answer batch by batch; return all answers, the channel, costs, memory."""
    from recombine.benchmark.inference.cost import measure_cost, peak_rss, reset_peak_rss
    from recombine.benchmark.inference.probe import MethodProbe, can_decode
    from recombine.benchmark.inference.query import answer_batches
    from recombine.benchmark.inference.twin import Twin
    from recombine.benchmark.serving.data import to_images

    least, size = job["spec"]["max_slots"], job["spec"]["image_hw"][0]
    probe = MethodProbe(method, size, device, least) if can_decode(method) else None
    ask, tell = job["pipes"]

    def answer(batches: Iterable[Array]) -> Iterator[list[Output]]:
        images = (to_images(pixels).to(device) for pixels in batches)
        return answer_batches(method, images, steps=steps, min_slots=least, who=job["who"])

    out: Tensors = {}
    begin = 0

    def keep(answers: Sequence[Output]) -> None:
        nonlocal begin
        count = len(answers[0]["slots"])
        for step, output in zip(steps, answers, strict=True):
            for part, values in output.items():
                name = f"{part}/{step}"
                if name not in out:
                    out[name] = np.empty((job["rows"], *values.shape[1:]), values.dtype)
                out[name][begin : begin + count] = values
        begin += count

    setup_memory = peak_rss()
    with Twin(lambda pixels: next(answer([pixels])), device) as twin:  # it sees no measured image
        guest = Guest(job["folder"] / "batch.npy", ask, tell, probe, twin)
        unasked = to_images(guest.measured()).to(device)
        cost = measure_cost(method, unasked, (1, min(32, job["batch_size"])))
        reset_peak_rss()
        for answers in answer(guest.batches()):
            keep(answers)
            guest.promise(answers)
    memory = max((m for m in (setup_memory, peak_rss()) if m is not None), default=None)
    for answers in guest.of_twin:
        keep(answers)
    whole = {name: array[:begin] for name, array in out.items()}
    return {**whole, "row": np.arange(begin, dtype=np.int64)}, guest, cost, memory


def _failure(error: BaseException, witness: _Witness) -> dict[str, Any]:
    chain = _chain(error)
    system = [one for one in chain if isinstance(one, OSError) and one.errno]
    dependent = error if isinstance(error, DependentAnswersError) else None
    text = dependent.got if dependent else str(error)
    files = [str(one.filename) for one in system if one.filename is not None]
    # Libraries that are not Python's raise it without number and name.
    absent = [one for one in chain if isinstance(one, FileNotFoundError) and not one.errno]
    files += [str(one).rpartition(": ")[2] for one in absent]
    unresolved = any(type(one).__name__ == "gaierror" for one in chain)
    typed = isinstance(error, RecombineError) and error.exit_code in (3, 4)
    return {
        "stage": witness.stage,
        "exit_code": error.exit_code if typed and isinstance(error, RecombineError) else None,
        "type": type(error).__name__[:200],
        "message": text[:2000],
        "errors": [abs(int(one.errno or 0)) for one in system][:48]
        + [errno.ENETUNREACH] * unresolved
        + [errno.ENOENT] * bool(absent),
        "file": files[0][:200] if files else "",
        "dependent": dependent.reason if dependent else None,
        "memory": any(isinstance(one, MemoryError) for one in chain)
        or any(words in text for words in ("allocate memory", "failed to map segment")),
        "network": witness.network,
        "traceback": "".join(traceback.format_exception(error))[-100_000:],
    }


def _chain(error: BaseException | None) -> list[BaseException]:
    out: list[BaseException] = []
    while error is not None and error not in out and len(out) < 20:
        out.append(error)
        error = error.__cause__ or error.__context__
    return out


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
