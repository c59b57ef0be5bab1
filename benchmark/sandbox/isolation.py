"""Submitted code in a process of its own, without access to any label.

`isolate` finds a submission and learns what it is, without importing it here. What it returns
is scored like any other submission (``harness.run_seed``, ``score.score_submission``), but every
run happens in a sandbox that sees images, and for a learner the labels of its track, and nothing
else. One file comes back, and is parsed here under limits (`safetensors_guard`).

Three zones: A, the sandbox with foreign code and no labels; B, this module, which reads one file
and runs nothing; C, scoring, which has the labels and no foreign code.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from recombine.benchmark.predictions.safetensors_guard import TensorFile, open_tensor_file
from recombine.benchmark.protocol.contract import MethodCard
from recombine.benchmark.sandbox import bubblewrap as bwrap
from recombine.benchmark.sandbox.bubblewrap import DecoyWatch, seccomp_program, write_decoys
from recombine.benchmark.sandbox.code import Located, brought_data, locate, stage
from recombine.benchmark.sandbox.errors import (
    NETWORK_TODO,
    TODO,
    Described,
    Finding,
    Findings,
    Kind,
    parse,
    printable,
    raise_failure,
    raise_stopped,
    refuse_network,
)
from recombine.benchmark.sandbox.process import (
    NO_ROOM,
    Backend,
    Limits,
    library_bytes,
    refusal,
    run_watched,
)
from recombine.benchmark.submissions.loading import Submission
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError
from recombine.renderer.core.files import require_writable, writing

if TYPE_CHECKING:
    from recombine.benchmark.sandbox.channel import Host
    from recombine.benchmark.sandbox.process import Ended

NEW_ACCOUNTING = (5, 14)  # Linux counts processes per user namespace from here on
START = (
    "import sys, json, pathlib; path = pathlib.Path(sys.argv[1]); "
    "sys.path += [p for p in json.loads(path.read_text())['sys_path'] if p not in sys.path]; "
    "from recombine.benchmark.sandbox.child import main; sys.exit(main(path))"
)


@dataclass(frozen=True)
class IsolatedSubmission:
    """A submission that only ever runs in isolation. Can be pickled; holds no foreign object."""

    located: Located  # where its code is
    card: MethodCard  # what it says about itself
    kind: Kind  # which protocol it follows
    settings: Mapping[str, Any]  # all its settings, flat
    given: Mapping[str, Any]  # keyword arguments with which its class is called
    source_sha256: str  # of its files; a run refuses files that changed since
    # "subprocess" keeps nothing away from it, and is for trusted code only
    backend: Backend = "bubblewrap"
    limits: Limits = field(default_factory=Limits)  # what each run may use

    def fingerprint(self) -> dict[str, Any]:
        """Return what makes its runs its own: code, its hash, settings, card and backend."""
        about = identity_of(self.located.code, self.source_sha256, self.settings, asdict(self.card))
        return {**about, "given": dict(self.given), "isolation": self.backend}


def identity_of(
    code: str, source: str, settings: Mapping[str, Any], card: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a fingerprint from its parts: no arguments given, and shut in."""
    return {
        "code": code,
        "source": source,
        "settings": dict(settings),
        "given": {},
        "card": dict(card),
        "isolation": "bubblewrap",
    }


AnySubmission: TypeAlias = Submission | IsolatedSubmission


def isolate(
    spec: str | Located,
    *,
    settings: Mapping[str, Any] | None = None,
    trust_local: bool = False,
    limits: Limits | None = None,
    names: Mapping[str, str] | None = None,
    avoid: Collection[Path] = (),
) -> IsolatedSubmission:
    """Find a submission and ask it, in isolation, what it is.

    Parameters
    ----------
    spec : str or Located
        ``file.py:Class`` or ``package.module:Class``; or where its files are, if that is known.
    settings : Mapping, optional
        Keyword arguments of the class; plain JSON values.
    trust_local : bool
        Use a plain process instead of bubblewrap. Only for code that you trust like your own.
    limits : Limits, optional
        What each run may use.
    names : Mapping of str to str, optional
        Short names that would also have been right, for messages.
    avoid : collection of Path
        Folders that never belong to a submission even if they lie in its folder: dataset, results.

    Returns
    -------
    IsolatedSubmission
        For ``harness.run_seed`` and ``score.score_submission``.

    Raises
    ------
    UsageError
        When nothing of that name exists.
    ResourceError
        When bubblewrap is missing or cannot work here, or a limit is exceeded.
    InvalidInputError
        When the code fails, is not a submission, or does what a submission may not do.
    """
    with _cell(spec, settings, trust_local, limits, names, avoid) as cell:
        metadata = cell.run("describe").metadata
    described = parse(Described, metadata, "described", cell.who)
    card = MethodCard(**described.card.model_dump())
    if described.kind == "Learner" and card.data == "scratch":
        refuse_brought_data(cell.who, cell.located)
    return IsolatedSubmission(
        cell.located,
        card,
        described.kind,
        described.settings,
        cell.given,
        cell.source,
        cell.backend,
        cell.limits,
    )


def check_isolated(
    spec: str,
    *,
    settings: Mapping[str, Any] | None = None,
    trust_local: bool = False,
    limits: Limits | None = None,
    names: Mapping[str, str] | None = None,
) -> Findings:
    """Check a submission's contract on built-in images, in isolation."""
    with _cell(spec, settings, trust_local, limits, names) as cell:
        found = parse(Findings, cell.run("check").metadata, "checks", cell.who)
        files = _files(found, cell.located)
    return found.model_copy(
        update={"checks": (*found.checks, files, _network(found, cell.backend))}
    )


@contextmanager
def _cell(
    spec: str | Located,
    settings: Mapping[str, Any] | None,
    trust_local: bool,
    limits: Limits | None,
    names: Mapping[str, str] | None,
    avoid: Collection[Path] = (),
) -> Iterator[Cell]:
    """Yield a cell for a job that needs no data."""
    given = _plain(settings or {})
    located = locate(spec, names=names, avoid=avoid) if isinstance(spec, str) else spec
    backend: Backend = "subprocess" if trust_local else "bubblewrap"
    source = located.source_sha256()
    with workplace() as folder:
        yield Cell(folder, located, given, backend, limits or Limits(), source, located.code)


def refuse_brought_data(who: str, located: Located) -> None:
    """Refuse a learner from scratch that brings data: whoever has the data has its labels."""
    if found := brought_data(located):
        got = f"a learner from scratch brings {_listed(found)}"
        raise refusal(who, "brought-data", got, TODO["brought-data"])


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return printable("; ".join(found[:3])) + more


def _files(found: Findings, located: Located) -> Finding:
    """Return one more check: whether a learner from scratch consists of source only."""
    if found.kind != "Learner" or found.card is None or found.card.data != "scratch":
        why = "it may bring weights: only a learner from scratch must not"
        return Finding(name="files", status="pass", why=why, todo="")
    if brought := brought_data(located):
        why = f"it brings {_listed(brought)}"
        return Finding(name="files", status="fail", why=why, todo=TODO["brought-data"])
    why = f"{len(located.files)} of source and settings"
    return Finding(name="files", status="pass", why=why, todo="")


def _network(found: Findings, backend: Backend) -> Finding:
    """Return one more check: whether it stayed away from the network."""
    if found.network:
        calls = printable(", ".join(found.network))
        return Finding(name="network", status="fail", why=f"it called {calls}", todo=NETWORK_TODO)
    shut = backend == "bubblewrap"
    why = "ran shut in, and never tried to leave" if shut else "never tried; not shut in"
    return Finding(name="network", status="pass", why=why, todo="")


@dataclass(frozen=True)
class Cell:
    """One job for isolated code: its folder outside, and how it is shut in."""

    folder: Path  # empty folder of this machine that vanishes after the job
    located: Located
    given: Mapping[str, Any]
    backend: Backend
    limits: Limits
    source: str  # hash that the copied files must have
    who: str  # name for messages
    hidden: tuple[Path, ...] = ()  # folders that must not be reachable
    threads: int = 1  # threads of the tensor library
    device: str = "cpu"  # ``"cpu"`` or ``"cuda"``

    @property
    def job(self) -> Path:
        """Return the folder whose files the inside reads; made on first use."""
        path = self.folder / "job"
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        return path

    def run(
        self,
        mode: str,
        *,
        mapped_bytes: int = 0,
        host: Host | None = None,
        **extra: Any,
    ) -> TensorFile:
        """Do one job inside, and return the file that came back, its layout checked."""
        answer = self.folder / "answer.safetensors"
        with writing(self.folder):
            answer.touch(mode=0o600)
            self._write_job(mode, mapped_bytes, extra)
        ended = self._start(answer, host)
        if host is not None and host.error is not None:
            raise host.error
        return self._read(answer, ended, mode)

    def _write_job(self, mode: str, mapped_bytes: int, extra: Mapping[str, Any]) -> None:
        stage(self.located, self.job / "code")
        if self.located.source_sha256() != self.source:
            raise InvalidInputError(
                f"{self.who}: its files must stay as they are while it is scored, and changed; "
                "run again"
            )
        shut_in = self.backend == "bubblewrap"
        inside = bwrap.JOB if shut_in else self.job
        scratch = "/tmp" if shut_in else self.folder / "scratch"  # noqa: S108  # inside
        where = f"{inside}/code/" if self.located.module.endswith(".py") else ""
        content = {
            **extra,
            "mode": mode,
            "submission": f"{where}{self.located.code}",
            "settings": dict(self.given),
            "who": self.who,
            "limits": asdict(self.limits),
            "threads": self.threads,
            "device": self.device,
            "mapped_bytes": mapped_bytes + library_bytes(),
            "count_processes": shut_in and _own_count(),
            "answer": str(bwrap.ANSWER if shut_in else self.folder / "answer.safetensors"),
            "scratch": str(scratch),
            "sys_path": [*bwrap.package_paths(), f"{inside}/code"],
        }
        (self.job / "job.json").write_text(json.dumps(content))
        (self.job / "job.json").chmod(0o444)

    def _start(self, answer: Path, host: Host | None) -> Ended:
        inside = bwrap.JOB if self.backend == "bubblewrap" else self.job
        argv = [sys.executable, "-P", "-c", START, f"{inside}/job.json"]
        environment = bwrap.environment_inside()
        if self.device != "cpu" and "CUDA_VISIBLE_DEVICES" in os.environ:
            environment["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
        if self.backend == "subprocess":
            scratch = self.folder / "scratch"
            scratch.mkdir()
            environment |= {"TMPDIR": str(scratch), "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
            return run_watched(
                argv,
                limits=self.limits,
                environment=environment,
                inherited=host.inherited if host else (),
                started=host.started if host else None,
            )
        decoys = write_decoys(self.folder / "decoys")
        uid = bwrap.free_uid()
        if uid is not None:
            os.chown(answer, uid, uid)
        box = bwrap.Box(
            self.job,
            answer,
            self.folder / "decoys",
            self.hidden,
            self.limits.scratch_bytes,
            gpu=self.device != "cpu",
        )
        with ExitStack() as open_files:
            filters = _filter(open_files)
            command = bwrap.bwrap_command(
                box, argv, uid=uid, filter_fd=next(iter(filters), None), environment=environment
            )
            return run_watched(
                command,
                limits=self.limits,
                environment={},
                inherited=[*(host.inherited if host else ()), *filters],
                started=host.started if host else None,
                decoys=open_files.enter_context(DecoyWatch(decoys)),
            )

    def _read(self, answer: Path, ended: Ended, mode: str) -> TensorFile:
        raise_stopped(self.who, ended, self.limits)
        if ended.code == NO_ROOM:
            raise ResourceError(
                f"{self.who}: the answer needs more disk space in {answer.parent.parent}; the disk "
                "is full. Free some space and run the same command again, it resumes."
            )
        if answer.stat().st_size == 0:
            raise_failure(self.who, ended, None, self.limits, self.located.left_out)
        opened = open_tensor_file(answer, max_bytes=self.limits.answer_bytes, who=self.who)
        if "failure" in opened.metadata or ended.code != 0:
            raise_failure(self.who, ended, opened.metadata, self.limits, self.located.left_out)
        if self.backend == "bubblewrap":
            refuse_network(self.who, opened.metadata, mode)
        return opened


@contextmanager
def workplace(near: Path | None = None, name: str = "job") -> Iterator[Path]:
    """Yield a new folder that only this user can enter, and remove it afterwards."""
    prefix = f".isolated-{name}-"
    if near is not None:
        require_writable(near)
        for old in near.glob(f"{prefix}*"):
            shutil.rmtree(old, ignore_errors=True)
    with writing(near or Path(tempfile.gettempdir())):
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=near))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _filter(open_files: ExitStack) -> list[int]:
    """Return the descriptor, if any, from which bubblewrap reads the system-call filter."""
    program = seccomp_program()
    if program is None:
        return []
    number = os.memfd_create("filter")
    open_files.callback(os.close, number)
    os.write(number, program)
    os.lseek(number, 0, os.SEEK_SET)
    return [number]


def _own_count() -> bool:
    """Return whether the kernel counts only the processes of the sandbox for its limit."""
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    return os.getuid() == 0 or release >= NEW_ACCOUNTING


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(settings), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"isolation: settings must be plain JSON values to cross into isolation: {error}"
        ) from error
