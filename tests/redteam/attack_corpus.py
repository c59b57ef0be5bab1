"""The red-team corpus: bad submissions, and the reason for which each must be refused.

Sources of the ideas are measured failures of other benchmarks (scorers that accept NaN, one
answer broadcast to all images, claims that nobody recomputes, labels in reach of the code) and of
file formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import attack_code as code
import attack_files as files
import attack_flow as flow
import attack_trust as trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attack_world import World

    from recombine.renderer.core.types import Array

Kind = Literal["predictions", "result", "data", "bundle", "proposal", "code"]


@dataclass(frozen=True)
class Attack:
    """One bad submission."""

    kind: Kind  # where it comes in
    name: str  # short and unique
    idea: str  # what it hopes for
    reason: str  # words of the refusal that document why it is refused
    run: Callable[[World, Path], None]  # makes it in a folder of its own and feeds it in


def _double(array: Array) -> Array:
    return array.astype("f8")


def _spoil(value: float) -> Callable[[Array], Array]:
    def change(array: Array) -> Array:
        array[0, 0, 0] = value
        return array

    return change


CORPUS: tuple[Attack, ...] = (
    Attack(
        "predictions",
        "nan",
        "NaN counts as class 0",
        "[not-finite]",
        files.slots(_spoil(float("nan"))),
    ),
    Attack(
        "predictions",
        "infinity",
        "infinity breaks the readout",
        "[not-finite]",
        files.slots(_spoil(float("inf"))),
    ),
    Attack(
        "predictions",
        "huge-values",
        "overflow in the readout",
        "[too-big-values]",
        files.slots(_spoil(1e30)),
    ),
    Attack("predictions", "float64", "another number type", "[wrong-dtype]", files.slots(_double)),
    Attack(
        "predictions",
        "one-answer",
        "one answer is broadcast to all images",
        "must answer exactly",
        files.slots(lambda a: a, slice(0, 1)),
    ),
    Attack(
        "predictions",
        "left-out",
        "hard images are left out",
        "must answer exactly",
        files.slots(lambda a: a, slice(0, -1)),
    ),
    Attack(
        "predictions", "twice", "an easy image counts twice", "every image once", files.wrong_images
    ),
    Attack(
        "predictions", "other-data", "answers to easier images", "are for data", files.other_data
    ),
    Attack(
        "predictions",
        "one-run-as-two",
        "a copied seed shortens the interval",
        "different seeds",
        files.same_seed_twice,
    ),
    Attack(
        "predictions",
        "pickle",
        "unpickling runs code",
        "[huge-header]",
        files.raw_predictions(files.serialised_code),
    ),
    Attack(
        "predictions",
        "hdf5",
        "HDF5 can link to the labels",
        "[huge-header]",
        files.raw_predictions(lambda c: b"\x89HDF\r\n\x1a\n" + c),
    ),
    Attack(
        "predictions",
        "long-header",
        "a header of 2^60 bytes",
        "[huge-header]",
        files.raw_predictions(lambda c: (2**60).to_bytes(8, "little") + c[8:]),
    ),
    Attack(
        "predictions",
        "cut-off",
        "half of a file",
        "[truncated-data]",
        files.raw_predictions(lambda c: c[:-100]),
    ),
    Attack(
        "predictions",
        "rest",
        "something hidden behind the tensors",
        "[trailing-bytes]",
        files.raw_predictions(lambda c: c + b"#!/bin/sh"),
    ),
    Attack(
        "predictions",
        "key-twice",
        "two headers for two readers",
        "[duplicate-key]",
        files.raw_predictions(files.header(files.twice)),
    ),
    Attack(
        "predictions",
        "overlap",
        "a tensor over another one",
        "[gap-or-overlap]",
        files.raw_predictions(files.header(files.overlapping)),
    ),
    Attack(
        "predictions",
        "claimed-type",
        "bytes read as another type",
        "[bad-entry]",
        files.raw_predictions(files.header(files.as_type("F64"))),
    ),
    Attack(
        "predictions",
        "more-tensors",
        "a tensor named labels",
        "[wrong-names]",
        files.raw_predictions(files.header(files.more_tensors)),
    ),
    Attack(
        "predictions",
        "link",
        "a link to the scorer's file",
        "[not-a-file]",
        files.linked_predictions,
    ),
    Attack(
        "result",
        "edited",
        "a digit changed by hand",
        "it was edited",
        files.edited_result("Halves", "Thirds"),
    ),
    Attack(
        "result",
        "unknown-key",
        "a field that later code trusts",
        "Extra inputs",
        files.edited_result('"method": {', '"method": {"admin": true, '),
    ),
    Attack("result", "nan-score", "NaN sorts first", "not a valid result", files.not_a_number),
    Attack(
        "result",
        "better-score",
        "a score that its counts do not give",
        "is not the mean",
        files.forged_result(files.better_estimate),
    ),
    Attack(
        "result",
        "invented-interval",
        "certainty from one seed",
        "must follow from the stored counts",
        files.forged_result(files.invented_interval),
    ),
    Attack(
        "result",
        "impossible-counts",
        "more hits than images",
        "hits <= count",
        files.forged_result(files.impossible_counts),
    ),
    Attack("result", "huge-file", "memory exhaustion", "16777216 bytes", files.huge_result),
    Attack(
        "data", "external-link", "a shard that links to the labels", "shard.h5", files.external_link
    ),
    Attack(
        "data", "virtual-dataset", "a shard made of the labels", "shard.h5", files.virtual_dataset
    ),
    Attack(
        "data",
        "external-storage",
        "a shard that reads a system file",
        "shard.h5",
        files.external_storage,
    ),
    Attack("data", "sparse", "56 GB in some kilobytes", "shard.h5", files.sparse_dataset),
    Attack(
        "bundle",
        "bit-flip",
        "a changed prediction",
        "of other content",
        flow.bundle(flow.flip_a_bit),
    ),
    Attack(
        "bundle", "extra-code", "a file that tools run", "not listed", flow.bundle(flow.extra_code)
    ),
    Attack(
        "bundle",
        "link-inside",
        "a link to the labels",
        "got a link",
        flow.bundle(flow.link_to_labels),
    ),
    Attack(
        "bundle",
        "outside-path",
        "a path out of the folder",
        "files.",
        flow.bundle(flow.outside_path),
    ),
    Attack(
        "bundle",
        "false-claim",
        "a claim that nobody recomputes",
        "as recomputed",
        flow.claim(flow.better_factor),
    ),
    Attack(
        "bundle",
        "cheaper-claim",
        "less compute than was counted",
        "as recomputed",
        flow.claim(flow.cheaper),
    ),
    Attack(
        "bundle",
        "higher-tier",
        "a tier that was not earned",
        "whatever the file says",
        flow.claim(flow.higher_tier),
    ),
    Attack(
        "result",
        "tier-by-hand",
        "a tier, by a file put straight onto the board",
        "no line of the ledger",
        flow.tier_by_hand,
    ),
    Attack(
        "result",
        "tier-by-ledger",
        "a tier, by an edited line of the ledger",
        "matches its hash",
        flow.tier_by_ledger,
    ),
    Attack("result", "two-keys", "two readers of one id", "every key stands once", trust.two_keys),
    Attack(
        "result",
        "borrowed-id",
        "the tier of the result that a setting names",
        "no line of the ledger",
        trust.borrowed_id,
    ),
    Attack(
        "result", "taken-row", "a row, by a newer date", "stays with its retrained", trust.taken_row
    ),
    Attack(
        "result",
        "new-ledger",
        "a tier, by a ledger written anew",
        "expected the published head",
        trust.rewritten_ledger,
    ),
    Attack(
        "result",
        "huge-count",
        "a count that stops the build of the board",
        "less than or equal to 9007199254740992",
        trust.forged(trust.put("training", "real_images_seen", value=10**30)),
    ),
    Attack(
        "result",
        "endless-number",
        "a count that no number holds",
        "not a valid result",
        trust.endless_number,
    ),
    Attack(
        "result",
        "tiny-cost",
        "a cost without a logarithm",
        "0, or 1e-06 to 1e+12",
        trust.forged(trust.put("compute", "gflop_per_image", value=5e-324)),
    ),
    Attack(
        "result",
        "huge-cost",
        "a cost off every axis",
        "less than or equal to 1000000000000",
        trust.forged(trust.put("compute", "gflop_per_image", value=1.7e308)),
    ),
    Attack("result", "bidi-name", "a headline in another order", "U+202E", trust.named("a\u202eb")),
    Attack("result", "zero-width-name", "another's name", "U+200B", trust.named("Hal\u200bves")),
    Attack("result", "escape-name", "the terminal", "U+001B", trust.named("\x1b[2Jgood")),
    Attack("result", "blank-name", "a row without a name", "not blanks alone", trust.named(" ")),
    Attack("result", "invisible-name", "the same", "U+3164", trust.named("\u3164")),
    Attack("result", "decomposed-name", "another's name", "NFC", trust.named("e\u0301")),
    Attack(
        "result",
        "id-by-case",
        "another's row, by a capital letter",
        "method.id",
        trust.forged(trust.put("method", "id", value="Halves")),
    ),
    Attack(
        "predictions",
        "copied-labels",
        "the headline, by labels copied into slots",
        "100 % from answers alone, rescored",
        trust.copied_labels,
    ),
    Attack(
        "predictions",
        "huge-facts",
        "a count that stops the build of the board",
        "real_images_seen",
        trust.bricked_board,
    ),
    Attack(
        "predictions",
        "broken-facts",
        "a traceback in the review",
        "facts of a run, got some that do not fit",
        trust.broken_facts,
    ),
    Attack("bundle", "baseline-id", "a baseline's row", "that of a baseline", trust.baseline_id),
    Attack(
        "bundle",
        "baseline-search-id",
        "a baseline's row after a search",
        "that of a baseline",
        trust.baseline_search_id,
    ),
    Attack(
        "bundle",
        "baseline-code",
        "a baseline's metadata",
        "Baselines are run by the maintainers",
        trust.baseline_code,
    ),
    Attack("bundle", "held-id", "somebody else's row", "belongs to", trust.held_id),
    Attack("bundle", "other-code", "the row of another method", "other.py:Other", trust.other_code),
    Attack(
        "proposal",
        "changed-scorer",
        "the scorer itself",
        "score.py",
        flow.proposal(flow.changed_scorer),
    ),
    Attack(
        "proposal",
        "own-result",
        "a row without scoring",
        "mine.json",
        flow.proposal(flow.own_result),
    ),
    Attack(
        "proposal", "too-big", "the disk of the workflow", "new bytes", flow.proposal(flow.too_big)
    ),
    Attack(
        "code",
        "reads-labels",
        "labels on the machine",
        "[label-decoy]",
        code.starts("open('/data/labels.npz').read()"),
    ),
    Attack(
        "code",
        "reads-system",
        "files of the machine",
        "[outside-file]",
        code.starts("open('/etc/shadow').read()"),
    ),
    Attack(
        "code",
        "network",
        "a model elsewhere answers",
        "[network]",
        code.starts("import socket", "socket.create_connection(('1.1.1.1', 443), timeout=5)"),
    ),
    Attack(
        "code",
        "fork-bomb",
        "no process left for others",
        "[process-limit]",
        code.starts(
            "import os, time",
            "for _ in range(1000):",
            "    if os.fork() == 0:",
            "        time.sleep(30)",
            "        os._exit(0)",
        ),
    ),
    Attack(
        "code",
        "memory",
        "no memory left for others",
        "[memory-limit]",
        code.starts("self.block = bytearray(30 * 2**30)"),
    ),
    Attack(
        "code",
        "disk",
        "no disk left for others",
        "[output-limit]",
        code.starts("open('/tmp/big', 'wb').write(bytes(2**27))"),
    ),
    Attack(
        "code",
        "forged-answer",
        "its own answer file",
        "[huge-header]",
        code.starts(
            "import os", "open('/answer/answer.safetensors', 'wb').write(b'x' * 100)", "os._exit(0)"
        ),
    ),
    Attack(
        "code",
        "leaves",
        "no answer and no error",
        "[no-answer]",
        code.starts("import os", "os._exit(0)"),
    ),
    Attack(
        "code",
        "sleeps",
        "a job that never ends",
        "[time-limit]",
        code.starts("import time", "time.sleep(600)", limits=code.SHORT),
    ),
    Attack(
        "code",
        "peeks-at-batch",
        "statistics of the test batch",
        "[batch]",
        code.answers(
            "flat = images.mean(dim=(2, 3))",
            "slots = ((flat - flat.mean(0)) / (flat.std(0, unbiased=False) + 1e-3))[:, :2]",
        ),
    ),
    Attack(
        "code",
        "dice",
        "luck",
        "[determinism]",
        code.answers("import torch", "slots = torch.rand(len(images), 2)"),
    ),
    Attack(
        "code",
        "paints",
        "changes the images for others",
        "[input]",
        code.answers("images.zero_()", code.HONEST),
    ),
)
