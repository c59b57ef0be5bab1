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
from types import ModuleType
from typing import Any, cast

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.project import AUTHORS
from recombine.renderer.publish.columns import Column, columns
from recombine.renderer.publish.facts import Facts
from recombine.renderer.store.seal import file_sha256

CR, SC = "http://mlcommons.org/croissant/", "https://schema.org/"
CONFORMS_TO = [f"{CR}1.1", f"{CR}RAI/1.0"]
LICENCE_URL = "https://creativecommons.org/licenses/by/4.0/"
KEYWORDS = ["compositional generalization", "object-centric", "synthetic", "Blender"]
TYPES = {
    "int64": f"{SC}Integer",
    "bool": f"{SC}Boolean",
    "string": f"{SC}Text",
    "float64": f"{SC}Float",
    "image": f"{SC}ImageObject",
}
SPLIT_KINDS = {
    "id_train": "cr:TrainingSplit",
    "id_val": "cr:ValidationSplit",
    "ooc_val": "cr:ValidationSplit",
    "id_test": "cr:TestSplit",
    "ooc_test": "cr:TestSplit",
}
# Terms that mlcroissant leaves out of the context of metadata it writes, though it reads them.
TERMS = {
    "arrayShape": "cr:arrayShape",
    "containedIn": "cr:containedIn",
    "description": {"@container": "@language"},
    "isArray": "cr:isArray",
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
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


def library() -> ModuleType:
    """Return mlcroissant, or say how to install it."""
    try:
        import mlcroissant  # type: ignore[import-untyped]
    except ImportError as error:
        raise ResourceError(
            "export: a data card needs mlcroissant, which is not installed. "
            "Run `pip install 'recombine[export]'`."
        ) from error
    return cast("ModuleType", mlcroissant)


def croissant(facts: Facts, files: Sequence[File], certificate: File) -> dict[str, Any]:
    """Return the metadata as plain JSON-LD."""
    write = _Nodes(facts)
    parts = {s: [f for f in files if _split_of(f) == s] for s in facts.counts}
    metadata = write.node(
        "Metadata",
        name=facts.data.preset,
        conforms_to=CONFORMS_TO,
        description=_description(facts),
        version=facts.version,
        date_published=facts.publication.published,
        url=facts.publication.url or None,
        license=[LICENCE_URL],
        creators=[write.node("Organization", name=AUTHORS)],
        keywords=KEYWORDS,
        cite_as=facts.citation,
        distribution=[
            write.file(certificate, "application/json", "What the verification found."),
            *(write.file(f, "application/x-parquet", "Images and latents.") for f in files),
            *(write.file_set(split) for split, members in parts.items() if len(members) > 1),
        ],
        record_sets=[write.splits(), *(write.record_set(*part) for part in parts.items())],
        extra_properties={
            "usageInfo": facts.license,
            "isAccessibleForFree": True,
            "isLiveDataset": False,
            **_responsible(facts),
            **_provenance(facts),
        },
    )
    return dict(metadata.to_json())


class _Nodes:
    """The nodes of one file, which share a context."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.library = library()
        self.context = self.library.Context(conforms_to=CONFORMS_TO)
        self.context.rdf.context.update(TERMS)

    def node(self, kind: str, **fields: Any) -> Any:
        """Return a node of a class of mlcroissant; it is named by its identifier by default."""
        named = {"name": fields["id"]} if "id" in fields else {}
        return getattr(self.library, kind)(ctx=self.context, **named | fields)

    def file(self, file: File, encoding: str, meaning: str) -> Any:
        """Return one file with its checksum."""
        return self.node(
            "FileObject",
            id=file.path,
            description=meaning,
            content_url=file.path,
            content_size=f"{file.size} B",
            encoding_formats=[encoding],
            sha256=file.sha256,
        )

    def file_set(self, split: str) -> Any:
        """Return the files of a split that is too large for one."""
        return self.node(
            "FileSet",
            id=f"{split}-files",
            description=f"All files of {split}.",
            encoding_formats=["application/x-parquet"],
            includes=[f"data/{split}-*.parquet"],
        )

    def splits(self) -> Any:
        """Return the table of the splits."""
        fields = {"name": f"{SC}Text", "url": f"{SC}URL", "images": f"{SC}Integer"}
        return self.node(
            "RecordSet",
            id="splits",
            description="The splits; ID combinations are seen in training, OOC ones never.",
            data_types=[f"{CR}Split"],
            key="splits/name",
            fields=[
                self.node("Field", id=f"splits/{name}", name=name, data_types=[kind])
                for name, kind in fields.items()
            ],
            data=[
                {"splits/name": s, "splits/url": SPLIT_KINDS[s], "splits/images": n}
                for s, n in self.facts.counts.items()
            ],
        )

    def record_set(self, split: str, files: Sequence[File]) -> Any:
        """Return the columns of a split."""
        several = {"file_set": f"{split}-files"}
        source = {"file_object": files[0].path} if len(files) == 1 else several
        return self.node(
            "RecordSet",
            id=split,
            description=f"The {self.facts.counts[split]:,} images of {split}.",
            key=f"{split}/index",
            fields=[self.field(split, column, source) for column in columns(self.facts.data)],
        )

    def field(self, split: str, column: Column, files: dict[str, str]) -> Any:
        """Return one column of a split."""
        kinds = [TYPES[column.type]]
        if column.name in ("mask", "amodal_mask"):
            kinds.insert(0, f"{CR}SegmentationMask")
        if column.label:
            kinds.append(f"{CR}Label")
        source = {**files, "extract": self.node("Extract", column=column.name)}
        if column.type == "image":
            source["transforms"] = [self.node("Transform", json_path="bytes")]
        further = {}
        if column.name == "split":
            further["references"] = self.node("Source", field="splits/name")
        if column.shape:
            further |= {"is_array": True, "array_shape": ",".join(map(str, column.shape))}
        return self.node(
            "Field",
            id=f"{split}/{column.name}",
            name=column.name,
            description=column.meaning,
            data_types=kinds,
            source=self.node("Source", **source),
            **further,
        )


def _split_of(file: File) -> str:
    return Path(file.path).name.rpartition("-")[0]


def _description(facts: Facts) -> str:
    data, certificate = facts.data, facts.data.certificate
    counts = ", ".join(f"{n:,} {split}" for split, n in facts.counts.items())
    passed = sum(c["status"] == "pass" for c in facts.checks)
    parts = [
        facts.summary,
        facts.about,
        f"A {facts.variant} of the preset." if facts.variant else "",
        f"Rendered images, {data.resolution} px ({counts}),",
        "in which some combinations of factors are held out of training.",
        f"Certificate: {passed} of {len(facts.checks)} checks passed,",
        f"{'valid' if certificate['passed'] else 'failed'}.",
        f"Identity {data.identity}, pixel root {data.root}.",
    ]
    return " ".join(filter(None, parts))


def _responsible(facts: Facts) -> dict[str, Any]:
    # Written out: mlcroissant has no field for some, and makes a text of a list of one.
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
                "environments and lights, among them eight photographs."
            ),
            *(f"Differs between ID and OOC, {line}" for line in stated),
        ],
        "rai:dataLimitations": facts.limits,
        "rai:dataUseCases": [
            "Testing whether a model perceives combinations of concepts that it saw only apart.",
            "Training of models, generative ones included.",
        ],
        "rai:dataSocialImpact": "Shows objects only; no effect on people beyond that of research.",
        "rai:personalSensitiveInformation": ["None: no person, text or place of the real world."],
        "rai:dataReleaseMaintenancePlan": (
            "A version never changes; a change of any image gives a new version and a new "
            "identity. Older versions can be rendered again from the command on the card."
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
