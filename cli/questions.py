"""`questions`: write the images to answer, without labels, for predictions made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recombine.cli import console


@dataclass(frozen=True)
class Questions:
    """Write the images that a method is asked about into one safetensors file, without labels.

    Images stand in secret order under random-looking numbers; nothing tells in- from
    out-of-combination. Answer them with whatever code, write `image_id` and `slots` into a
    safetensors file per training seed (docs/submitting_a_model.md has the ten lines), and have it
    scored: `recombine score answers.safetensors --data DIR`. Such results are marked *rescored*:
    the scores are right, how the answers came about is not known.

    With --key, the numbers follow from a secret file that is made on first use. Organisers hand
    out the questions and keep the key and the data.

    Example: recombine questions --data runs/smoke --out questions.safetensors
    """

    data: Path = Path("runs/smoke")
    """Dataset folder, rendered and verified."""
    out: Path = Path("questions.safetensors")
    """File to write; an existing one is replaced."""
    key: Path | None = None
    """File with the organiser's key; the same one is needed for scoring."""
    readout_labels: int = 1000
    """ID training images among the questions, on which the readout is fitted."""
    full: bool = False
    """Ask about enough images for `score --full`."""
    json: bool = False
    """Print what was written as JSON."""

    def run(self) -> int:
        """Write the file."""
        from recombine.benchmark.predictions.external import load_key, write_questions
        from recombine.benchmark.running.harness import scored_indices
        from recombine.cli.submissions import run_options
        from recombine.renderer.store.dataset import Dataset

        dataset = Dataset(self.data)
        options = run_options(readout_labels=self.readout_labels, full=self.full)
        indices = scored_indices(dataset, options)
        write_questions(self.out, dataset, indices, load_key(self.key, dataset))
        if self.json:
            console.emit({"questions": str(self.out), "images": len(indices), "root": dataset.root})
            return 0
        console.line(f"wrote {self.out}: {len(indices)} images of {dataset.name}, without labels")
        key = f" --key {self.key}" if self.key else ""
        console.line(f"then: recombine score ANSWERS.safetensors --data {self.data}{key}")
        return 0
