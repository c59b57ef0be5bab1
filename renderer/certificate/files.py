"""Invariant 12: the files are what was sealed."""

from __future__ import annotations

import re

from recombine.renderer.certificate.check import Check, listed
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.store.seal import identity_of, merkle_root


def integrity(e: Evidence) -> list[Check]:
    """12: files, pixels, annotations, latents, identity and roots are what was sealed."""
    checks = [
        Check.from_claim(
            "files",
            "every shard is present, whole and of this dataset",
            not e.file_faults,
            listed(e.file_faults) or f"{len(e.manifest['shards'])} shards",
        ),
        Check.from_claim(
            "pixels",
            "every image matches its pixel hash",
            not e.pixel_faults,
            listed(e.pixel_faults) or f"{len(e.leaves)} images",
        ),
        Check.from_claim(
            "annotations",
            "masks, depth, normals and visibility match their hash",
            not e.label_faults,
            listed(e.label_faults) or f"{len(e.leaves)} images",
        ),
        Check.from_claim(
            "latents",
            "every image's latents match the spec hash it was rendered from",
            not e.spec_faults,
            listed(e.spec_faults) or f"{len(e.leaves)} images",
        ),
    ]
    checks.append(_plan(e))
    checks.append(_seal(e))
    if "hidden_test" in e.config:
        checks.append(_commitment(e.config["hidden_test"]))
    return checks


def _plan(e: Evidence) -> Check:
    # Splits, labels and settings are read from the plan: its digest covers every one of them.
    digest, claimed = e.plan_digests
    sealed = str(e.manifest["plan_sha256"])
    claim = "plan.h5 has the digest that it claims, and that was sealed"
    if not digest:
        return Check("plan", "not run", claim, "files are incomplete")
    found = f"digest {digest[:16]}"
    if not digest == claimed == sealed:
        found = f"plan.h5 is {digest[:16]}, claims {claimed[:16]}, sealed {sealed[:16]}"
    return Check.from_claim("plan", claim, digest == claimed == sealed, found)


def _seal(e: Evidence) -> Check:
    claim = "the identity and the Merkle roots over all images are the sealed ones"
    if not e.leaves:
        return Check("seal", "fail", claim, "no images")
    label_root = merkle_root(e.label_leaves)
    versions = {drawn.build.render_version for drawn in e.builds}
    version = " | ".join(sorted(versions))
    found = {
        "identity": identity_of(str(e.manifest["plan_sha256"]), label_root, version),
        "label_root": label_root,
        "render_version": version,
        "root": merkle_root(e.leaves),
    }
    faults = [
        f"{name.replace('_', ' ')} is {value[:16]}, sealed {str(e.manifest[name])[:16]}"
        for name, value in found.items()
        if value != e.manifest[name]
    ]
    told = f"identity {found['identity'][:16]}, root {found['root'][:16]}"
    return Check.from_claim("seal", claim, not faults, listed(faults) or told)


def _commitment(hidden: dict[str, str]) -> Check:
    digest = str(hidden.get("key_sha256", ""))
    sound = re.fullmatch("[0-9a-f]{64}", digest) is not None
    found = f"{hidden.get('part')} part, key sha256 {digest[:16]}" if sound else "no sha256"
    return Check.from_claim(
        "commitment", "the hidden test set is bound by the hash of its key", sound, found
    )
