"""The README of a dataset: a Hugging Face dataset card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recombine.renderer.planning.assets import Asset
from recombine.renderer.planning.planner import image_counts
from recombine.renderer.publish.croissant import File
from recombine.renderer.publish.facts import Facts, PartStatistics, between
from recombine.renderer.scenes.factors import Factor, Schema

LISTED = 8  # names of values in the table of slots
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
TAGS = ("compositional-generalization", "object-centric", "synthetic", "blender")
TASKS = ("image-classification", "image-segmentation", "unconditional-image-generation")


def readme(facts: Facts, files: Sequence[File]) -> str:
    """Return the text of the card."""
    return "\n".join(
        [
            *_front(facts),
            f"\n# {facts.title}\n",
            f"{facts.summary}\n",
            *([f"{facts.about}\n"] if facts.about else []),
            _version(facts),
            "![Test cells under one nuisance vector; held-out cells framed](contact_sheet.jpg)\n",
            (
                "The sheet shows a matched test block. Everything that is not recombined is equal "
                "in all tiles of a panel; held-out cells are framed, empty places are cells that "
                "no test block holds.\n"
            ),
            *_contents(facts),
            *_loading(facts),
            *_statistics(facts),
            *_certified(facts),
            *_ledger(facts),
            *_again(facts),
            *_files(files),
            *_closing(facts),
        ]
    )


def _front(facts: Facts) -> list[str]:
    n = len(facts.data)
    size = next((label for most, label in SIZES if n < most), "1M<n<10M")
    parts = [
        line
        for split in facts.counts
        for line in (f"      - split: {split}", f"        path: data/{split}-*.parquet")
    ]
    return [
        "---",
        f"pretty_name: {facts.data.preset}",
        "license: cc-by-4.0",
        f"task_categories: [{', '.join(TASKS)}]",
        f"tags: [{', '.join(TAGS)}]",
        "annotations_creators: [machine-generated]",
        "source_datasets: [original]",
        f"size_categories: [{size}]",
        "configs:",
        "  - config_name: default",
        "    data_files:",
        *parts,
        "---",
    ]


def _version(facts: Facts) -> str:
    data = facts.data
    text = f"`{data.name}`, {len(data):,} images of {data.resolution} px, root `{data.root}`"
    if not facts.variant:
        return f"This card describes {text}.\n"
    return (
        f"This card describes {text}: a {facts.variant} of the preset `{facts.title}`. Every "
        f"statistic, file and check below is of this {facts.variant}.\n"
    )


def _contents(facts: Facts) -> list[str]:
    """Return what is in the images: of the full preset, if these are fewer, and of these."""
    mine = _column(facts.data.schema, facts.ladder, facts.held_out, facts.counts, facts.data.config)
    head, rule, rows = f"| | `{facts.data.name}` |", "|---|---|", [[k, v] for k, v in mine.items()]
    if facts.preset and facts.variant:
        preset, shape = facts.preset, facts.preset.schema.cell_shape
        ladder = [len(preset.split.id_cells(shape, r)) for r in range(len(preset.split.ladder))]
        settings = vars(preset.settings) | {"tier": preset.settings.tier}
        full = _column(
            preset.schema,
            ladder,
            len(preset.split.ooc_cells(shape)),
            image_counts(preset),
            {"settings": settings, "tier": preset.settings.tier, "split": preset.split.to_dict()},
        )
        head, rule = f"| | full preset | this version, `{facts.data.name}` |", "|---|---|---|"
        rows = [[k, full[k], mine[k]] for k in mine]
    return ["## Contents\n", head, rule, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _column(
    schema: Schema,
    ladder: Sequence[int],
    held_out: int,
    counts: dict[str, int],
    config: Mapping[str, Any],
) -> dict[str, str]:
    settings, split = config["settings"], config["split"]
    rows = {
        "slots": "; ".join(_slots(schema)),
        "recombined": f"{' x '.join(schema.recombined)}, {' x '.join(map(str, schema.cell_shape))}",
        "every cell at every": ", ".join(schema.crossed),
        "split": f"{split['geometry']}; ID cells per rung {list(ladder)}, OOC cells {held_out}",
        "images": "; ".join(f"{name} {n:,}" for name, n in counts.items()),
        "drawn": f"{settings['resolution']} px, {settings['samples']} paths per pixel, "
        f"{config['tier']} tier" + ("" if settings["denoise"] else " (undenoised)"),
    }
    return {key: text for key, text in rows.items() if text}


def _slots(schema: Schema) -> list[str]:
    groups: dict[tuple[Factor, ...], list[str]] = {}
    for slot in schema.slots:
        groups.setdefault(slot.factors, []).append(slot.name)
    return [f"{_span(names)}: {_factors(factors)}" for factors, names in groups.items()]


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _factors(factors: tuple[Factor, ...]) -> str:
    return ", ".join(f"{f.name}{_values(f)}" for f in factors)


def _values(factor: Factor) -> str:
    if not factor.values:
        return ""
    more = ", ..." if factor.size > LISTED else ""
    return f" ({factor.size}: {', '.join(factor.values[:LISTED])}{more})"


def _loading(facts: Facts) -> list[str]:
    split = next(iter(facts.counts))
    return [
        "## Loading\n",
        "```python",
        "import datasets, mlcroissant",
        "",
        f'{split} = datasets.load_dataset("PATH_OR_REPOSITORY", split="{split}")',
        f'records = mlcroissant.Dataset("croissant.json").records("{split}")  # checks the sha256',
        "```\n",
        (
            "A row has `image` and `mask` (PNG, lossless), `index`, `split`, `part` (ID or OOC), "
            "`cell`, `block` (equal numbers share every nuisance), `rung_R` (whether it trains "
            "rung R of the ladder), and one column per factor: value names, radians or metres. "
            "Depth, normals, visible shares, seeds and hashes are in the HDF5 shards of a "
            "render.\n"
        ),
    ]


def _statistics(facts: Facts) -> list[str]:
    found = facts.statistics
    colours = [", ".join(f"{v:.3f}" for v in c) for c in (found.mean, found.deviation)]
    return [
        f"## Statistics of `{facts.data.name}`\n",
        "| split | images | cells | images per cell | objects visible (least) | object's area |",
        "|---|---|---|---|---|---|",
        *map(_part, found.parts),
        "",
        "| factor | role | found |",
        "|---|---|---|",
        *(f"| {_span(f.keys)} | {f.role} | {f.found} |" for f in found.factors),
        f"\nRed, green and blue (0 to 1): mean {colours[0]}; standard deviation {colours[1]}.\n",
    ]


def _part(part: PartStatistics) -> str:
    return (
        f"| {part.name} | {part.images:,} | {part.cells:,} "
        f"| {between(part.least, part.most)} "
        f"| {part.visible:.1%} ({part.least_visible:.1%}) | {part.area:.1%} of the frame |"
    )


def _certified(facts: Facts) -> list[str]:
    return [
        f"## What the certificate of `{facts.data.name}` found\n",
        "| check | | found |",
        "|---|---|---|",
        *(f"| {c['name']} | {c['status']} | {c['found']} |" for c in facts.checks),
        f"\n{facts.data.certificate['proves']}\n",
    ]


def _ledger(facts: Facts) -> list[str]:
    return [
        "## Assets\n",
        "Everything shown is procedural: drawn by code, from fixed seeds, offline.\n",
        "| kind | source | licence | sha256 of the source | assets |",
        "|---|---|---|---|---|",
        *(_assets(*group, rows) for group, rows in facts.assets.items()),
        "",
    ]


def _assets(kind: str, source: str, licence: str, sha256: str, rows: list[Asset]) -> str:
    names = ", ".join(row.name for row in rows)
    return f"| {kind} | `{source}` | {licence} | `{sha256[:16]}` | {names} |"


def _again(facts: Facts) -> list[str]:
    if not facts.command:
        return [
            "## Rendering it again\n",
            (
                "The configuration stands in `metadata.json`; its split or key is in a file of its "
                "own, which `recombine render` needs (`--split`, `--hidden-key`).\n"
            ),
        ]
    build = ", ".join(f"{name} {version}" for name, version in sorted(facts.build.items()))
    full = f"recombine render {facts.title} --out runs/{facts.title}  # the full preset"
    return [
        "## Rendering it again\n",
        "```sh",
        f"{facts.command}  # the same latents, seeds and images",
        f"recombine dataset rerender {facts.folder} --index 7 --check --out 7.png"
        "  # image `index` 7",
        *([full] if facts.variant else []),
        "```\n",
        f"Drawn with {build}. On this build `--check` asks for equal bits, on others for 45 dB.\n",
    ]


def _files(files: Sequence[File]) -> list[str]:
    return [
        "## Files\n",
        "| file | bytes | sha256 |",
        "|---|---|---|",
        *(f"| `{f.path}` | {f.size:,} | `{f.sha256}` |" for f in files),
        (
            "\n[croissant.json](croissant.json) describes them for machines, "
            "[datasheet.md](datasheet.md) answers the questions of *Datasheets for Datasets*, "
            "[certificate.json](certificate.json) is what `recombine dataset verify` found.\n"
        ),
    ]


def _closing(facts: Facts) -> list[str]:
    return [
        "## Licence\n",
        f"{facts.license}. The assets are procedural and free of other rights.\n",
        "## Known limits\n",
        *(f"- {line}" for line in facts.limits),
        "\n## Citation\n",
        "```bibtex",
        facts.citation,
        "```",
        "",
    ]
