"""Submissions that attack the harness; each does it when it is made. Only ever run isolated."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

ANSWER = Path("/answer/answer.safetensors")


class Attack:
    """An encoder that attacks first."""

    slot_dim = 2

    def __init__(self, **settings):
        self.attack(**settings)

    def attack(self):
        raise NotImplementedError

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        from recombine.benchmark.protocol.contract import SlotOutput

        return SlotOutput(slots=images.mean(dim=(1, 2, 3))[:, None, None].repeat(1, self.slots, 2))


class ReadFile(Attack):
    def attack(self, path="/etc/shadow"):
        Path(path).read_bytes()


class ReadQuietly(Attack):
    """Steals what it can and goes on as if nothing had happened."""

    def attack(self, path):
        with suppress(OSError):
            self.loot = Path(path).read_bytes()


class ListEverything(Attack):
    def attack(self):
        found = [str(p) for top in ("/root", "/home", "/tmp", "/job", "/data", "/var", "/mnt")
                 if Path(top).exists() for p in Path(top).glob("*")]  # fmt: skip
        raise RuntimeError(" ".join(found))


class ShowEnvironment(Attack):
    def attack(self):
        raise RuntimeError(repr(dict(os.environ)) + repr(sys.argv))


class ShowProcesses(Attack):
    def attack(self):
        names = [(p / "cmdline").read_text() for p in Path("/proc").glob("[0-9]*")]
        raise RuntimeError(f"{len(names)} processes, user {os.getuid()}, caps {self.caps()}")

    @staticmethod
    def caps():
        lines = Path("/proc/self/status").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(("CapEff", "CapPrm"))]


class Connect(Attack):
    def attack(self, host="1.1.1.1", port=443):
        socket.create_connection((host, port), timeout=5)


class ConnectQuietly(Attack):
    def attack(self):
        with suppress(OSError):
            socket.create_connection(("1.1.1.1", 443), timeout=5)


class LookUp(Attack):
    def attack(self):
        socket.getaddrinfo("example.org", 443)


class VirtualMachineSocket(Attack):
    def attack(self):
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


class Fork(Attack):
    def attack(self):
        for _ in range(1000):
            if os.fork() == 0:
                time.sleep(3600)
                os._exit(0)


class Threads(Attack):
    def attack(self):
        for _ in range(1000):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


class Allocate(Attack):
    def attack(self, gib=30):
        self.block = bytearray(gib * 2**30)


class AllocateTogether(Attack):
    """No process takes much, all together take too much."""

    def attack(self):
        for _ in range(8):
            if os.fork() == 0:
                block = bytearray(150 * 2**20)
                for at in range(0, len(block), 4096):
                    block[at] = 1
                time.sleep(3600)
                os._exit(0)
        time.sleep(3600)


class Sleep(Attack):
    def attack(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)


class Burn(Attack):
    def attack(self):
        while True:
            pass


class Write(Attack):
    def attack(self, path="/tmp/big", mib=1024):
        with Path(path).open("wb") as stream:
            for _ in range(mib):
                stream.write(bytes(2**20))


class Print(Attack):
    def attack(self):
        for _ in range(64):
            sys.stdout.write("x" * 2**20)
        raise RuntimeError("printed")


class SystemCall(Attack):
    def attack(self, number, argument=0):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(number, argument, 0, 0, 0, 0) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


class BecomeRoot(Attack):
    def attack(self):
        os.setuid(0)


class RaiseLimits(Attack):
    def attack(self):
        import resource

        resource.setrlimit(resource.RLIMIT_NPROC, (10_000, 10_000))


class KillEverything(Attack):
    def attack(self):
        for pid in (os.getppid(), 1):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Leave(Attack):
    def attack(self, code=0):
        os._exit(code)


class Exit(Attack):
    def attack(self):
        sys.exit(0)


class Crash(Attack):
    def attack(self):
        ctypes.string_at(0)


class Forge(Attack):
    """Writes the answer itself and leaves before the harness can."""

    def attack(self, content):
        ANSWER.write_bytes(content.encode("latin-1"))
        os._exit(0)


class Daemon(Attack):
    """Leaves a process behind that has left its session."""

    def attack(self, marker):
        subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep(600)  # {marker}"],
            start_new_session=True,
        )


class InEncode(Attack):
    """Attacks later, between answers."""

    def attack(self, path):
        self.path = path

    def encode(self, images):
        with suppress(OSError):
            self.loot = Path(self.path).read_bytes()
        return super().encode(images)


class Leaker:
    """A learner that looks for labels everywhere in its own process, and would answer with them."""

    LABELS = ("latents", "cells", "blocks", "splits", "certificate")

    def fit(self, data, val, *, seed, budget, log):
        import gc

        for one in gc.get_objects():
            for name in self.LABELS:
                try:
                    found = vars(one).get(name) if hasattr(one, "__dict__") else None
                except Exception:
                    found = None
                if found is not None and hasattr(found, "__len__") and not callable(found):
                    raise RuntimeError(f"found {name} in {type(one).__name__}")
        for batch in data.batches(8, seed=0):
            if batch.factors or batch.masks is not None:
                raise RuntimeError("labels were served")
        honest = InEncode(path="/data/labels.npz")
        honest.card = self.card
        return honest

    @property
    def card(self):
        from recombine.benchmark.protocol.contract import MethodCard

        return MethodCard(id="leaker", name="Leaker")


class BatchNorm(Attack):
    """Lets images see each other through batch statistics."""

    def attack(self):
        pass

    def encode(self, images):
        from recombine.benchmark.protocol.contract import SlotOutput

        flat = images.mean(dim=(2, 3))
        flat = (flat - flat.mean(0)) / (flat.std(0, unbiased=False) + 1e-3)
        return SlotOutput(slots=flat[:, None, :2].repeat(1, self.slots, 1))


class Dice(Attack):
    """Answers at random."""

    def attack(self):
        pass

    def encode(self, images):
        import torch

        from recombine.benchmark.protocol.contract import SlotOutput

        return SlotOutput(slots=torch.randn(len(images), self.slots, 2))


class Cheat(Attack):
    """Reports nonsense about itself by changing the harness inside."""

    def attack(self, what):
        import recombine.benchmark.sandbox.child as child

        write = child.write_tensors

        def forged(path, tensors, texts):
            change = getattr(self, what)
            change(tensors, texts)
            write(path, tensors, texts)

        child.write_tensors = forged

    @staticmethod
    def twice(tensors, texts):
        tensors["row"][1] = tensors["row"][0]

    @staticmethod
    def short(tensors, texts):
        for name in ("row", "slots/0"):
            tensors[name] = tensors[name][:-1]

    @staticmethod
    def nan(tensors, texts):
        tensors["slots/0"][3] = float("nan")

    @staticmethod
    def late(tensors, texts):
        tensors["slots/0"] += 1

    @staticmethod
    def more(tensors, texts):
        tensors["labels"] = tensors["row"]

    @staticmethod
    def segments(tensors, texts):
        import numpy as np

        tensors["segments/0"] = np.full((len(tensors["row"]), 8, 8), 200, np.uint8)

    @staticmethod
    def steps(tensors, texts):
        texts["run"] = texts["run"].replace('"kind": "encoder"', '"kind": "inverter"')

    @staticmethod
    def flops(tensors, texts):
        texts["run"] = texts["run"].replace('"start_gflop": 0.0', '"start_gflop": -1.0')

    @staticmethod
    def silent(tensors, texts):
        texts.clear()


class Remember(Attack):
    """Tells how many images it has seen, and gives every image its first answer again."""

    def attack(self):
        self.known = {}

    def encode(self, images):
        import torch

        answers = super().encode(images)
        for row, image in enumerate(images):
            key = image.numpy().tobytes()
            self.known.setdefault(key, torch.full((2,), float(len(self.known))))
            answers.slots[row] = self.known[key]
        return answers


class EndTwin(Attack):
    """Ends every process but the one that made it."""

    def attack(self):
        self.process = os.getpid()

    def encode(self, images):
        if os.getpid() != self.process:
            os._exit(1)
        return super().encode(images)
