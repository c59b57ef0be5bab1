"""Evidence as a sound dataset of a preset would give it, made without drawing anything."""

from __future__ import annotations

import hashlib

import numpy as np

from recombine.renderer.certificate.check import Check
from recombine.renderer.certificate.evidence import Drawn, Evidence
from recombine.renderer.certificate.pixels import COMPARED, LABEL_COUNTS, STATISTICS
from recombine.renderer.certificate.verify import CHECKS, run_checks
from recombine.renderer.core.provenance import Build
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset, load_preset
from recombine.renderer.store.seal import identity_of, merkle_root

SMALL = {
    "smoke": {"scale": 0.05},
    "object-background": {"values": 8, "scale": 0.002},
    "object-texture": {"values": 4, "scale": 0.002},
    "object-texture-pair": {"values": 4, "scale": 0.002},
    "object-object": {"values": 8, "scale": 0.002},
    "interaction-ladder": {"values": 4, "scale": 0.002},
    "four-slot": {"values": 4, "scale": 0.002},
    "four-slot--order-2": {"values": 4, "scale": 0.002},
    "four-slot--order-3": {"values": 4, "scale": 0.002},
    "position-band": {"values": 8, "scale": 0.002},
    "object-light": {"values": 8, "scale": 0.002},
    "object-camera": {"values": 8, "scale": 0.002},
    "count": {"scale": 0.002},
    "relation": {"values": 12, "scale": 0.002},
    "counterfactual": {"values": 8, "scale": 0.002},
}
"""Every preset at the smallest size that passes every check."""


def small(name: str, **options: object) -> Preset:
    """Return a preset at its smallest size."""
    return load_preset(name, **{**SMALL[name], **options})  # type: ignore[arg-type]


def evidence_of(preset: Preset) -> Evidence:
    """Return the evidence of a sound dataset in which every present object is visible."""
    plan = make_plan(preset)
    n = len(plan)
    columns = {f"latents/{k}": v.copy() for k, v in plan.latents.items()}
    for name in ("split", "rungs", "block", "cycles_seed", "tries"):
        columns[name] = getattr(plan, name).copy()
    scenes = [bytes.fromhex(plan.spec_hash(i)) for i in range(n)]
    columns["index"] = np.arange(n)
    columns["spec_hash"] = np.array([np.frombuffer(s, np.uint8) for s in scenes])
    pixels = [hashlib.sha256(s).digest() for s in scenes]
    columns["pixel_hash"] = np.array([np.frombuffer(p, np.uint8) for p in pixels])
    present = [columns.get(f"latents/{slot}.present", np.ones(n)) for slot in plan.schema.objects]
    columns["visible"] = np.stack(present, axis=1).astype(float)
    labels = np.zeros((n, len(plan.schema.objects), len(LABEL_COUNTS)), np.int64)
    labels[..., LABEL_COUNTS.index("area")] = 200 * columns["visible"]
    labels[..., LABEL_COUNTS.index("full")] = 200 * columns["visible"]
    columns["amodal"] = 200 / plan.settings.resolution**2 * columns["visible"]
    columns["measured/labels"] = labels
    columns["measured/statistics"] = np.zeros((n, len(STATISTICS)))
    columns["measured/compared"] = np.zeros((n, len(COMPARED)))
    leaves = [hashlib.sha256(b"leaf%d" % i).digest() for i in range(n)]
    label_leaves = [hashlib.sha256(b"label%d" % i).digest() for i in range(n)]
    build = Build("2", {}, {})
    label_root = merkle_root(label_leaves)
    manifest = {
        "shards": [],
        "plan_sha256": plan.digest(),
        "identity": identity_of(plan.digest(), label_root, "2"),
        "label_root": label_root,
        "render_version": "2",
        "root": merkle_root(leaves),
        "n_images": n,
        "dataset": plan.dataset,
        "build": build.to_dict(),
    }
    return Evidence(
        manifest,
        dict(plan.config),
        plan.schema,
        columns,
        plan_digests=(plan.digest(), plan.digest()),
        leaves=leaves,
        label_leaves=label_leaves,
        builds=[Drawn("shards/shard-00000.h5", n, build)],
    )


def outcomes(evidence: Evidence) -> dict[str, Check]:
    """Return all checks by name."""
    return {c.name: c for c in run_checks(evidence)}


def failing(evidence: Evidence) -> set[str]:
    """Return the names of the checks that fail."""
    return {name for name, check in outcomes(evidence).items() if check.status == "fail"}


NAMES = [check.__name__.replace("_", "-") for check in CHECKS]
