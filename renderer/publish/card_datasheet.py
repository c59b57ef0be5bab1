"""The datasheet of a dataset: the questions of Gebru et al., answered from the data.

Source: Gebru et al., Datasheets for Datasets, Communications of the ACM 64(12), 2021.
"""

from __future__ import annotations

from recombine.renderer.publish.facts import CREATOR, Facts

NOBODY = "No. The images show rendered objects; no person is shown, described or affected."

QUESTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "Motivation": (
        (
            "For what purpose was the dataset created?",
            (
                "To measure whether a model perceives combinations of concepts that it never saw "
                "together, when it saw every concept. {summary} {about}"
            ),
        ),
        ("Who created it, on whose behalf?", "{creator}, with recombine {recombine}."),
        ("Who funded it?", "No grant is recorded."),
    ),
    "Composition": (
        (
            "What do the instances represent?",
            "Rendered scenes: one image of {resolution} pixels each, with mask and latents.",
        ),
        ("How many instances are there?", "{images} ({counts})."),
        (
            "Is it a sample of a larger set?",
            "{whole} The latents that are not recombined are drawn from continuous ranges.",
        ),
        (
            "What data does each instance consist of?",
            (
                "An image, an instance mask, {factors} factors by name and value, its split, cell, "
                "matched block and rungs. The HDF5 shards add depth, normals, visible and amodal "
                "share, seeds and hashes."
            ),
        ),
        (
            "Is there a label for each instance?",
            "Yes, exact: the latents that the scene was made from. Recombined: {recombined}.",
        ),
        ("Is information missing from instances?", "No. Objects that are absent have no pixels."),
        (
            "Are relations between instances explicit?",
            "Yes: images of one `block` share every nuisance and differ in their cells only.",
        ),
        (
            "Are there recommended splits?",
            (
                "Yes. {ladder} ID cells (per rung of the ladder) are trained on; {held_out} OOC "
                "cells are for testing only. Choosing anything by results on OOC test images "
                "defeats the purpose."
            ),
        ),
        (
            "Are there errors, noise or redundancies?",
            (
                "Path tracing leaves noise ({samples} paths per pixel, {denoised}). On equal "
                "images the certificate found: {separation}."
            ),
        ),
        ("Is it self-contained?", "Yes. All assets are procedural code; nothing is downloaded."),
        ("Does it hold confidential data?", "No."),
        ("Does it hold offensive or frightening data?", "No."),
        ("Does it relate to people, identify them or say something sensitive of them?", NOBODY),
    ),
    "Collection": (
        (
            "How was the data acquired?",
            "Rendered by Blender Cycles (bpy {bpy}, BlenderProc {blenderproc}).",
        ),
        (
            "What was the procedure, and how was it validated?",
            (
                "Latents were drawn from keyed seeds and stored; every image was rendered; every "
                "invariant was derived again from stored latents, masks and pixels: {passed} of "
                "{checks} checks passed, {stated} are stated as differences by design."
            ),
        ),
        (
            "What was the sampling strategy?",
            (
                "Matched blocks: one nuisance vector is rendered for whole orbits of cells. "
                "Placements are rejected by block only: {accounting}."
            ),
        ),
        ("Who was involved, and how were they paid?", "Nobody; no crowd work was done."),
        ("Over what time was it collected?", "The content has no date; published {published}."),
        ("Was there an ethical review?", "Not applicable: no people are involved."),
    ),
    "Preprocessing": (
        (
            "Was the data preprocessed, cleaned or labelled?",
            "{processing}",
        ),
        ("Is the raw data saved?", "The exported pixels are the raw pixels, root `{root}`."),
        ("Is the software available?", "Yes: recombine (Apache-2.0). Command: `{command}`."),
    ),
    "Uses": (
        (
            "What has it been used for?",
            "Entries of the recombine leaderboard name the root of the data they were scored on.",
        ),
        (
            "What else could it be used for?",
            (
                "Object-centric learning, disentanglement, inverse graphics, training of "
                "generative models."
            ),
        ),
        ("Does its composition limit future uses?", "{limits}"),
        (
            "What should it not be used for?",
            (
                "Claims about photographs or about people. Training on the OOC splits, where "
                "results are to be compared."
            ),
        ),
    ),
    "Distribution": (
        ("How is it distributed?", "As Parquet files with this card. {address}"),
        ("When?", "{published}, version {version}."),
        ("Under which licence?", "{license}."),
        ("Do third parties hold rights, or do export controls apply?", "None known."),
    ),
    "Maintenance": (
        (
            "Who maintains it, and how can they be reached?",
            "{creator}, at the repository of the code.",
        ),
        ("Is there an erratum?", "Known limits are on the card; errors get a new version."),
        (
            "Will it be updated?",
            "A version never changes. A changed image gives a new version and a new root.",
        ),
        (
            "Will older versions be supported?",
            (
                "Their seeds and latents stay; they can be rendered again with the code of their "
                "time. Results on different versions are never compared on one board."
            ),
        ),
        (
            "How can others extend it?",
            "Declare another split of the same images, or add a preset; both are documented.",
        ),
    ),
}


def datasheet(facts: Facts) -> str:
    """Return the datasheet as Markdown."""
    answers = _answers(facts)
    lines = [
        f"# Datasheet of `{facts.data.name}`\n",
        "Written from the data and their certificate.\n",
    ]
    for section, questions in QUESTIONS.items():
        lines.append(f"## {section}\n")
        for question, answer in questions:
            lines += [f"**{question}**", f"{answer.format_map(answers)}".strip() + "\n"]
    return "\n".join(lines)


def _answers(facts: Facts) -> dict[str, str]:
    data, build = facts.data, facts.build
    settings, found = data.config["settings"], {c["name"]: c["found"] for c in facts.checks}
    status = [c["status"] for c in facts.checks]
    numbers = {
        "images": len(data),
        "factors": len(data.schema.keys),
        "held_out": facts.held_out,
        "passed": status.count("pass"),
        "stated": status.count("stated"),
        "checks": len(status),
    }
    return {
        **{key: f"{n:,}" for key, n in numbers.items()},
        **{key: build.get(key, "unknown") for key in ("bpy", "blenderproc", "recombine")},
        **{key: found.get(key, "not run") for key in ("separation", "accounting")},
        "summary": facts.summary,
        "about": facts.about,
        "creator": CREATOR,
        "resolution": str(data.resolution),
        "counts": ", ".join(f"{split} {n:,}" for split, n in facts.counts.items()),
        "whole": _whole(facts),
        "recombined": ", ".join(data.schema.recombined),
        "ladder": ", ".join(map(str, facts.ladder)),
        "samples": str(settings["samples"]),
        "denoised": "denoised" if settings["denoise"] else "not denoised",
        "published": facts.publication.published.isoformat(),
        "root": data.root,
        "command": facts.command or "recombine render",
        "processing": facts.processing,
        "limits": " ".join(facts.limits),
        "address": facts.publication.url,
        "version": facts.version,
        "license": facts.license,
    }


def _whole(facts: Facts) -> str:
    if facts.preset is None:
        return "It is of no preset."
    if facts.variant:
        return f"It is a {facts.variant} of the preset `{facts.title}`."
    return f"It is the preset `{facts.title}` in full."
