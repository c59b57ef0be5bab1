"""Croissant 1.1 metadata of a Parquet export, with its responsible-AI vocabulary.

One record set per split, because readers of the format cannot filter rows. Every file carries its
sha256, and a record set names the one file of its split, so a reader refuses a changed one. Only
a split too large for one file is a set of files, whose checksums readers do not yet compare.
Source: Croissant Format Specification 1.1 and Croissant RAI Specification 1.0 (MLCommons).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recombine.renderer.publish.columns import Column, columns
from recombine.renderer.publish.facts import CREATOR, Facts
from recombine.renderer.store.seal import file_sha256

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
LICENCE_URL = "https://creativecommons.org/licenses/by/4.0/"
KEYWORDS = ["compositional generalization", "object-centric", "synthetic", "Blender"]
TYPES = {
    "int64": "sc:Integer",
    "bool": "sc:Boolean",
    "string": "sc:Text",
    "float64": "sc:Float",
    "image": "sc:ImageObject",
}
SPLIT_KINDS = {
    "id_train": "cr:TrainingSplit",
    "id_val": "cr:ValidationSplit",
    "ooc_val": "cr:ValidationSplit",
    "id_test": "cr:TestSplit",
    "ooc_test": "cr:TestSplit",
}
_PREFIXED = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
    *("fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset"),
    *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _PREFIXED},
}


@dataclass(frozen=True)
class File:
    """One file of an export."""

    path: str  # relative to the folder of the export
    size: int  # bytes
    sha256: str  # of its content, hex

    @classmethod
    def of(cls, folder: Path, path: Path) -> File:
        """Return the record of a file inside an export."""
        return cls(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))


def croissant(facts: Facts, files: Sequence[File], certificate: File) -> dict[str, Any]:
    """Return the metadata as plain JSON-LD."""
    parts = {s: [f for f in files if _split_of(f) == s] for s in facts.counts}
    published = facts.publication
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": facts.data.preset,
        "description": _description(facts),
        "version": facts.version,
        "datePublished": published.published.isoformat(),
        **({"url": published.url} if published.url else {}),
        "license": LICENCE_URL,
        "usageInfo": facts.license,
        "isAccessibleForFree": True,
        "isLiveDataset": False,
        "creator": {"@type": "sc:Organization", "name": CREATOR},
        "keywords": KEYWORDS,
        "citeAs": facts.citation,
        **_responsible(facts),
        **_provenance(facts),
        "distribution": [
            _file_object(certificate, "application/json", "What the verification found."),
            *(_file_object(f, "application/x-parquet", "Images and latents.") for f in files),
            *(_file_set(split) for split, members in parts.items() if len(members) > 1),
        ],
        "recordSet": [_splits(facts), *(_record_set(facts, *part) for part in parts.items())],
    }


def _split_of(file: File) -> str:
    return Path(file.path).name.rpartition("-")[0]


def _description(facts: Facts) -> str:
    data, certificate = facts.data, facts.data.certificate
    counts = ", ".join(f"{n:,} {split}" for split, n in facts.counts.items())
    passed = sum(c["status"] == "pass" for c in facts.checks)
    variant = f"A {facts.variant} of the preset. " if facts.variant else ""
    return (
        f"{facts.summary} {facts.about} {variant}Rendered images, {data.resolution} px ({counts}), "
        "in which some combinations of factors are held out of training. Certificate: "
        f"{passed} of {len(facts.checks)} checks passed, "
        f"{'valid' if certificate['passed'] else 'failed'}, root {data.root}."
    )


def _responsible(facts: Facts) -> dict[str, Any]:
    stated = [f"{c['name']}: {c['found']}" for c in facts.checks if c["status"] == "stated"]
    return {
        "rai:dataCollection": (
            "Rendered with Blender Cycles from latents that were drawn from keyed seeds and "
            "stored before anything was rendered. Nothing was collected from people or the web."
        ),
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataCollectionMissingData": "None: every planned image is there.",
        "rai:dataPreprocessingProtocol": [facts.processing],
        "rai:dataAnnotationProtocol": ["Labels are the latents that the scene was made from."],
        "rai:machineAnnotationTools": [
            f"Blender {facts.build.get('bpy', 'of an unknown version')}"
        ],
        "rai:dataBiases": [
            (
                "The world shown is that of one procedural library of shapes, materials, "
                "environments and lights under one camera."
            ),
            *(f"Differs between ID and OOC by design, {line}" for line in stated),
        ],
        "rai:dataLimitations": facts.limits,
        "rai:dataUseCases": [
            "Testing whether a model perceives combinations of concepts that it saw only apart.",
            "Training of models, generative ones included.",
        ],
        "rai:dataSocialImpact": "Shows objects only; no effect on people beyond that of research.",
        "rai:personalSensitiveInformation": ["None: no person, text or place of the real world."],
        "rai:dataReleaseMaintenancePlan": (
            "A version never changes; a change of any image gives a new version and a new root. "
            "Older versions can be rendered again from the command on the card."
        ),
        "rai:hasSyntheticData": True,
    }


def _provenance(facts: Facts) -> dict[str, Any]:
    agents = [
        {"@type": "prov:SoftwareAgent", "prov:label": f"{name} {facts.build[name]}"}
        for name in ("recombine", "blenderproc", "bpy")
        if name in facts.build
    ]
    activity = {"@type": "prov:Activity", "prov:label": "Rendering"}
    if facts.command:
        activity["description"] = facts.command
    return {"prov:wasGeneratedBy": activity | {"prov:wasAssociatedWith": agents}}


def _file_object(file: File, encoding: str, meaning: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "description": meaning,
        "contentUrl": file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": encoding,
        "sha256": file.sha256,
    }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "description": f"All files of {split}.",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{split}-*.parquet",
    }


def _splits(facts: Facts) -> dict[str, Any]:
    fields = {"name": "sc:Text", "url": "sc:URL", "images": "sc:Integer"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits; ID combinations are seen in training, OOC ones never.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": f"splits/{name}", "name": name, "dataType": kind}
            for name, kind in fields.items()
        ],
        "data": [
            {"splits/name": s, "splits/url": SPLIT_KINDS[s], "splits/images": n}
            for s, n in facts.counts.items()
        ],
    }


def _record_set(facts: Facts, split: str, files: Sequence[File]) -> dict[str, Any]:
    one = {"fileObject": {"@id": files[0].path}}
    source = one if len(files) == 1 else {"fileSet": {"@id": f"{split}-files"}}
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The {facts.counts[split]:,} images of {split}.",
        "key": {"@id": f"{split}/index"},
        "field": [_field(split, column, source) for column in columns(facts.data)],
    }


def _field(split: str, column: Column, files: dict[str, Any]) -> dict[str, Any]:
    kinds = [TYPES[column.type]]
    if column.name == "mask":
        kinds.insert(0, "cr:SegmentationMask")
    if column.label:
        kinds.append("cr:Label")
    source = files | {"extract": {"column": column.name}}
    if column.type == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        "dataType": kinds if len(kinds) > 1 else kinds[0],
        "source": source,
        **({"references": {"field": {"@id": "splits/name"}}} if column.name == "split" else {}),
    }
