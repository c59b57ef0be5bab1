"""Made-up entries that look like a real board, for tests and for looking at the page."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
from factories import FACTORS, leveled, make_result, make_score, table_of
from PIL import Image

from recombine.benchmark.results.parts import Score
from recombine.benchmark.results.result import Result
from recombine.benchmark.scoring.aggregate import paired_gap_part
from recombine.benchmark.scoring.examples import png
from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.ledger.records import record_tier

CHECKS = ["leak", "closure", "marginals", "exposure", "integrity"]
# entry, name, inference, supervision, ID, OOC, GFLOP per image, steps, generated images
ENTRIES = [
    ("supervised", "Supervised slot encoder", "direct", "supervised", 0.97, 0.55, 0.031, 0, 0),
    ("autoencoder", "Autoencoder", "direct", "unsupervised", 0.91, 0.42, 0.031, 0, 0),
    ("autoencoder-search", "Autoencoder", "search", "unsupervised", 0.93, 0.64, 24.1, 300, 0),
    ("autoencoder-replay", "Autoencoder with replay", "replay", "unsupervised", 0.92, 0.70, 0.031,
     0, 64_000),
    ("autoencoder-replay-search", "Autoencoder with replay", "replay+search", "unsupervised", 0.94,
     0.83, 24.1, 300, 64_000),
    ("pixels", "Pixels, no training", "direct", "unsupervised", 0.34, 0.09, None, 0, 0),
]  # fmt: skip
IMAGES = 48
PICTURED = 4
READ = ("factor", "true", "read", "probability")
STEPS = (0, 1, 3, 10, 30, 100, 300)


def _png(width=2, height=3):
    """Return a small grey PNG file."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = _png()


def hits(rng, mean, seeds, cells=8, images=IMAGES):
    """Draw right answers with seed and cell effects around a mean accuracy."""
    logit = np.log(mean / (1 - mean))
    logit = logit + rng.normal(0, 0.12, (seeds, 1)) + rng.normal(0, 0.35, (1, cells))
    return rng.binomial(images, 1 / (1 + np.exp(-logit)))


def paired(id_hits, ooc_hits):
    """Return the gap within blocks of a result with these hits."""
    counts = np.full(id_hits.shape, IMAGES)
    scores = [make_score(id_hits, counts), make_score(ooc_hits, counts, offset=8)]
    parts = [Score.model_validate_json(json.dumps(score)) for score in scores]
    return paired_gap_part(*parts).model_dump(mode="json")


def curve(before, after, cost):
    """Return the search curve of one run between two results' hits; both carry it."""
    share = np.linspace(0, 1, len(STEPS)) ** 0.7
    out = {
        "steps": list(STEPS),
        "gflop_per_image": [0.031 + (cost - 0.031) * s / STEPS[-1] for s in STEPS],
    }
    for name, first, last, offset in (
        ("id", before[0], after[0], 0),
        ("ooc", before[1], after[1], 8),
    ):
        parts = [make_score(h, np.full(h.shape, IMAGES), offset) for h in (first, last)]
        ends = [stats.crossed_mean(table_of(part)) for part in parts]
        low, high = (np.array([e.value, *e.ci95]) for e in ends)
        points = [(1 - s) * low + s * high for s in share]
        points[-1] = high
        out[name] = [float(p[0]) for p in points]
        out[f"{name}_ci95"] = [(float(p[1]), float(p[2])) for p in points]
    return out


def draw(index, seeds):
    """Return ID and OOC hits of one of ``ENTRIES``."""
    rng = np.random.default_rng(100 + index)
    return hits(rng, ENTRIES[index][4], seeds), hits(rng, ENTRIES[index][5], seeds)


def sample(index, seeds=5, **over):
    """Return the result of one of ``ENTRIES``."""
    entry, name, inference, supervision, _, _, cost, steps, generated = ENTRIES[index]
    id_hits, ooc_hits = draw(index, seeds)
    counts = np.full((seeds, 8), IMAGES)
    inverter = "autoencoder" in entry
    fields = {
        "entry": entry,
        "method": {
            "name": name,
            "inference": inference,
            "kind": "inverter" if inverter else "encoder",
            "source": "arXiv 2512.08854, section 5",
            "note": "Reimplementation; details of the paper's Appendix B unseen.",
        },
        "track": {"data": "scratch", "supervision": supervision, "test_compute": "T1"},
        "paired_gap": paired(id_hits, ooc_hits),
        "compute": {"gflop_per_image": cost, "steps": steps},
        "training": {"generated_images_seen": generated},
        "compute_curve": {"gflop_per_image": [cost]},
    }
    if inverter and seeds > 1:
        first = index if not steps else index - 1
        fields["compute_curve"] = curve(draw(first, seeds), draw(first + 1, seeds), 24.1)
    return leveled(
        make_result(
            id_hits=id_hits,
            id_counts=counts,
            ooc_hits=ooc_hits,
            ooc_counts=counts,
            **{**fields, **over},
        )
    )


def declared(role):
    """Return the field of a method by which it declares its role."""
    if "role" in type(make_result().method).model_fields:
        return {"role": role}
    return {"note": {"bound": "Upper bound, no entry.", "control": "Control: one differs."}[role]}


def picture_of(content, rows=3, steps=(0, 30), edge=8):
    """Return what a result says about a picture of its worst images."""
    pairs = zip(FACTORS, ("star", "slate"), ("pawn", "slate"), (0.625, 0.75), strict=True)
    readings = [dict(zip(READ, pair, strict=True)) for pair in pairs]
    sha256 = hashlib.sha256(content).hexdigest()
    wrong = {"readings": readings, "wrong_seeds": 2}
    return {
        "file": f"made-{sha256[:10]}.examples.png", "sha256": sha256, "bytes": len(content),
        "rule": "The stated rule.", "seed": 0, "edge": edge, "steps": steps,
        "images": [{"index": 1352 + i, **wrong} for i in range(rows)],
    }  # fmt: skip


def tiles(rows=3, columns=3, edge=8):
    """Return made-up tiles of a picture."""
    shape = (rows, columns, edge, edge, 3)
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def save_with_picture(folder, index, seeds=5):
    """Write one sample with a picture beside it and a configuration log."""
    content = png(tiles())
    kept = picture_of(content)
    plain = sample(index, seeds).model_dump(mode="json")["artifacts"]
    tried = [{"seed": s, "settings": {"rate": 0.1 * s}, "score": 0.5} for s in range(2)]
    artifacts = {**plain, "examples": kept, "configurations": tried}
    path = sample(index, seeds, artifacts=artifacts).save(folder)
    (folder / kept["file"]).write_bytes(content)
    return path


def write_results(folder, seeds=5, indices=None, tier="retrained"):
    """Write the sample board and return the result files; one of them has a picture."""
    files = [
        save_with_picture(folder, i, seeds) if i == PICTURED else sample(i, seeds).save(folder)
        for i in (indices or range(len(ENTRIES)))
    ]
    return files if tier == "self-reported" else on_record(files, tier)


def on_record(paths, tier="retrained", **whose):
    """Put result files into the ledgers beside them, and return them."""
    for path in paths:
        record_tier(path.parent, [Result.load(path)], tier, "2026-01-01T00:00:00Z", **whose)
    return paths


def write_card(folder, png):
    """Write a dataset folder as far as the site reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preview.png").write_bytes(png)
    certificate = {
        "format": "recombine.certificate/1",
        "dataset": "smoke/1.0",
        "root": "ab" * 32,
        "passed": True,
        "proves": "Proves that ID and OOC images differ in the combination and in nothing else.",
        "checks": [
            {"name": name, "status": "pass", "claim": f"claim of {name}", "found": "0 faults"}
            for name in CHECKS
        ],
    }
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder
