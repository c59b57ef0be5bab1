"""The front door: what `import recombine` offers, on top of all rooms."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    UsageError,
)
from recombine.renderer.core.machine import usable_cores

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch

    from recombine.benchmark.protocol.contract import Encoder, Inverter, Learner
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.results.table import Results
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.statistics.compare import Comparison
    from recombine.cli.console import Progress
    from recombine.renderer.certificate.verify import Certificate
    from recombine.renderer.importing.run import Imported
    from recombine.renderer.presets.base import Preset
    from recombine.renderer.store.dataset import Dataset

RESULTS = Path("runs/results")


def render(
    preset: str | Preset,
    out: Path | str,
    *,
    scale: float = 1.0,
    values: int | None = None,
    resolution: int | None = None,
    split: Path | str | None = None,
    assets: Path | str | None = None,
    workers: int | None = None,
    existing: Literal["skip", "verify", "overwrite", "error"] = "skip",
    progress: bool = True,
) -> Dataset:
    """Render a preset with Blender Cycles, seal it and verify it; resumes where it stopped.

    Parameters
    ----------
    preset : str or Preset
        One of `presets`, or a recipe of your own.
    out : Path or str
        Dataset folder. A finished one is only verified.
    scale : float
        Share of the matched blocks to render, above 0; whole blocks stay whole.
    values : int, optional
        Values per recombined factor to keep, a multiple of 4, for a sketch.
    resolution : int, optional
        Image edge in pixels; the latents stay the same.
    split : Path or str, optional
        TOML file that declares another split of the same images.
    assets : Path or str, optional
        TOML ledger of your own meshes, panoramas and textures, which declares a variant of the
        preset.
    workers : int, optional
        Blender processes, one thread each; the number of cores by default.
    existing : {"skip", "verify", "overwrite", "error"}
        What to do with shards that are already there.
    progress : bool
        Show progress and the time left.

    Returns
    -------
    Dataset
        Sealed, its certificate passed.

    Raises
    ------
    UsageError
        When the preset or an option is unknown or out of range.
    ResourceError
        When Python is not 3.11, Blender is missing or the disk is full.
    IntegrityError
        When the folder holds another dataset, or a check of the certificate fails.
    """
    from recombine.renderer.presets.table import load_preset, with_split
    from recombine.renderer.rendering.render import render_dataset

    ledger = None
    if assets is not None:
        from recombine.renderer.planning.ledger import declare, load_ledger

        ledger = load_ledger(Path(assets))
    if isinstance(preset, str):
        values = values or (ledger.values if ledger else None)
        preset = load_preset(preset, scale=scale, values=values, resolution=resolution)
    elif (scale, values, resolution) != (1.0, None, None):
        raise UsageError(
            "render: expected the name of a preset with scale, values or resolution; got a "
            "Preset object. Change the object, or give the name."
        )
    if ledger is not None:
        preset = declare(preset, ledger)
    if split is not None:
        from recombine.renderer.splits.declaration import load_split

        preset = with_split(preset, load_split(Path(split), preset.schema))
    workers = workers or usable_cores()
    with _progress(f"render {preset.name}", shown=progress) as report:
        render_dataset(preset, Path(out), workers=workers, existing=existing, progress=report)
    return load(out)


def load(folder: Path | str) -> Dataset:
    """Open a sealed dataset.

    Parameters
    ----------
    folder : Path or str
        As `render` wrote it.

    Returns
    -------
    Dataset
        Images are read when they are asked for.

    Raises
    ------
    InvalidInputError
        When the folder holds no sealed dataset.
    """
    from recombine.renderer.store.dataset import Dataset

    return Dataset(folder)


def import_dataset(
    source: Path | str,
    split: Path | str,
    out: Path | str,
    *,
    labels: Path | str | None = None,
    progress: bool = True,
) -> Imported:
    """Turn labelled images of other people into a sealed dataset; see docs/importing.md.

    Parameters
    ----------
    source : Path or str
        A folder of PNG or JPEG files, an NPZ or HDF5 file, or a folder that `export` wrote.
    split : Path or str
        TOML file: a declared split, and the table ``[import]``.
    out : Path or str
        New dataset folder, for `load`, `verify` and `score`.
    labels : Path or str, optional
        CSV file, one row per image; left out where ``[import]`` says where labels are.
    progress : bool
        Show progress and the time left.

    Returns
    -------
    Imported
        ``folder``, ``certificate``, and the ``shift`` between ID-test and OOC-test.

    Raises
    ------
    UsageError
        When a path does not exist, or ``out`` does.
    InvalidInputError
        When table, images and split do not fit together; the message names the row.
    IntegrityError
        When the images do not keep what the split promises.
    """
    from recombine.renderer.importing.run import import_dataset as read

    table = None if labels is None else Path(labels)
    with _progress("import", shown=progress) as report:
        return read(Path(source), Path(split), Path(out), labels=table, progress=report)


def verify(data: Dataset | Path | str) -> Certificate:
    """Derive every claim about a dataset again from its latents, masks and pixels, and seal it.

    Parameters
    ----------
    data : Dataset, Path or str
        A sealed dataset or its folder.

    Returns
    -------
    Certificate
        ``passed``, and one line per check.

    Raises
    ------
    InvalidInputError
        When the folder holds no sealed dataset.
    """
    from recombine.renderer.certificate.verify import verify as decide

    return decide(_folder(data))


def export(
    data: Dataset | Path | str,
    out: Path | str,
    form: Literal["parquet", "webdataset", "folder", "coco", "bop"] = "parquet",
    *,
    progress: bool = True,
) -> Path:
    """Write a dataset in another format; Parquet carries a data card.

    Parameters
    ----------
    data : Dataset, Path or str
        A sealed dataset or its folder.
    out : Path or str
        New folder.
    form : {"parquet", "webdataset", "folder", "coco", "bop"}
        Parquet with PNG bytes, tar files, an image folder, COCO instances, or BOP scenes.
    progress : bool
        Show progress and the time left.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    UsageError
        When ``out`` exists.
    IntegrityError
        When the dataset is not what was certified.
    ResourceError
        When the disk is full, or pyarrow is missing for Parquet.
    """
    from recombine.renderer.publish.export import export_dataset as write

    with _progress(f"export {form}", shown=progress) as report:
        return write(_folder(data), Path(out), form, progress=report)


def presets() -> tuple[str, ...]:
    """Return the names of the presets.

    Returns
    -------
    tuple of str
        What `render` takes; docs/presets.md tells what each holds.
    """
    from recombine.renderer.presets.table import PRESETS

    return tuple(PRESETS)


def baselines() -> tuple[str, ...]:
    """Return the names of the baselines.

    Returns
    -------
    tuple of str
        What `score` and `baseline` take.
    """
    from recombine.baselines.registry import BASELINES

    return tuple(BASELINES)


def baseline(
    name: str, size: Literal["tiny", "cpu", "gpu"] = "cpu", *, cache: Path | str | None = None
) -> Learner:
    """Return a baseline as an object, to look at its settings or change them.

    Parameters
    ----------
    name : str
        One of `baselines`.
    size : {"tiny", "cpu", "gpu"}
        Seconds, minutes on two cores, or hours of one GPU.
    cache : Path or str, optional
        Folder of training stages that several baselines share.

    Returns
    -------
    Learner
        A frozen dataclass; ``dataclasses.replace`` gives a changed copy for `score`.

    Raises
    ------
    UsageError
        When the name or the size is unknown.
    """
    from recombine.baselines.registry import load_baseline

    found: Learner = load_baseline(
        name, size, cache_dir=None if cache is None else Path(cache).absolute()
    )
    return found


def score(
    method: str | torch.nn.Module | Encoder | Inverter | Learner,
    data: Dataset | Path | str,
    *,
    seeds: int = 5,
    name: str = "",
    size: Literal["tiny", "cpu", "gpu"] = "cpu",
    out: Path | str = RESULTS,
    options: RunOptions | None = None,
    workers: int | None = None,
    trust_local: bool = False,
    progress: bool = True,
) -> Results:
    """Train a method with several seeds, ask it blindly, and score it in and out of combination.

    Parameters
    ----------
    method : str, torch.nn.Module, Encoder, Inverter or Learner
        An object runs in this process. A module maps images (B, 3, H, W), float32 in [0, 1], to
        one vector per image (B, D) or to slots (B, S, D); it is asked as it is, never trained.
        A text is a baseline of ours, a model of a public library (``timm:resnet18``), or
        ``file.py:Class``, which always runs shut in by bubblewrap.
    data : Dataset, Path or str
        A sealed dataset or its folder; its certificate must pass.
    seeds : int
        Training seeds, 1 to 100; 5 for a claim.
    name : str
        What to call a module; its class by default. Everything else carries a card.
    size : {"tiny", "cpu", "gpu"}
        Size of a baseline.
    out : Path or str
        Folder for result files; predictions go to its subfolder ``runs`` and are found again.
    options : RunOptions, optional
        How runs are made: search steps, readout labels, training-set size, device.
    workers : int, optional
        Parallel processes for a text. By default as many as cores in a notebook, and this process
        alone in a script: processes import the script, so more than 1 there needs
        ``if __name__ == "__main__":`` around what it does. Objects run here.
    trust_local : bool
        Run a text without bubblewrap: only code that you trust like your own.
    progress : bool
        Show progress and the time left.

    Returns
    -------
    Results
        One per entry: an encoder gives one, a method that searches two (without and with search).

    Raises
    ------
    UsageError, InvalidInputError, ResourceError
        When the method does not exist, fails, or exceeds its budget.
    IntegrityError
        When the dataset's certificate fails or does not match.
    """
    from recombine.benchmark.results.table import Results
    from recombine.benchmark.running.harness import RunOptions, run_folder
    from recombine.benchmark.scoring.score import score_submission
    from recombine.benchmark.submissions.loading import card_of
    from recombine.renderer.core.files import require_writable

    if not 1 <= seeds <= 100:
        raise UsageError(f"score: expected 1 to 100 seeds; got {seeds}. 5 make an unmarked entry.")
    # A model may change the current folder.
    out, options = Path(out).absolute(), options or RunOptions()
    require_writable(out)
    submission, dataset, setting = _entrant(method, _dataset(data), size, out, trust_local)
    if name:
        submission = _named(submission, name)
    if size == "gpu" and setting == size:
        options = replace(options, device="cuda")
    slug = card_of(submission).id
    sizes = f"n{options.n_train or 'all'}" + (f"-rung{options.rung}" if options.rung else "")
    folder = out / "runs" / slug / "-".join(filter(None, (setting, sizes)))
    # An object of a notebook cannot be sent to another process.
    workers = (workers or _processes()) if isinstance(method, str) else 1
    with _progress(f"score {slug}, runs", shown=progress) as report:
        report(0, seeds)
        found = score_submission(
            submission,
            dataset,
            seeds=range(seeds),
            out_dir=run_folder(folder, submission, dataset),
            options=options,
            workers=workers,
            progress=lambda event: report(event.done, event.total),
            examples=out,
        )
    for result in found:
        result.save(result.path_in(out))
    return Results(found)


def _entrant(
    method: Any, dataset: Any, size: str, out: Path, trust_local: bool
) -> tuple[Any, Any, str]:
    """Return what runs, on which data, and the setting that tells its runs from others."""
    from recombine.baselines import registry
    from recombine.benchmark.submissions.fingerprint import content_key, settings_of
    from recombine.benchmark.submissions.modules import submission_of

    if not isinstance(method, str):
        submission = submission_of(method)  # its settings hold the weights of a module
        return submission, dataset, content_key(settings_of(submission))[:12]
    avoid = [folder for folder in (getattr(dataset, "path", None), out) if folder]
    cache = out / "runs" / "cache"
    found = registry.submission_of(
        method, size, cache_dir=cache, trust_local=trust_local, avoid=avoid
    )
    ours = method in registry.BASELINES
    return found, registry.data_for(found, dataset), size if ours else ""


def _processes() -> int:
    """Return how many processes can be started unasked: a script would be run again by each."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    return 1 if script else usable_cores()


def _named(submission: Any, name: str) -> Any:
    """Return a wrapped module under another name."""
    from recombine.benchmark.submissions.modules import ModuleEncoder

    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise UsageError(f"score: expected a name with letters or digits; got {name!r}.")
    if not isinstance(submission, ModuleEncoder):
        raise UsageError(
            f"score: expected a torch.nn.Module with name={name!r}; got "
            f"{type(submission).__name__}, which carries its own card. Leave name out."
        )
    submission.card = replace(submission.card, id=slug, name=name)
    return submission


def rescore(
    results: Results | Result | Iterable[Result], data: Dataset | Path | str, runs: Path | str
) -> Results:
    """Compute results anew from their stored predictions, with the metrics of this version.

    Parameters
    ----------
    results : Results, Result or iterable of Result
        What to compute again.
    data : Dataset, Path or str
        The dataset that they were scored on.
    runs : Path or str
        Folder that holds their predictions, found by content.

    Returns
    -------
    Results
        Equal to the old ones where no metric changed.

    Raises
    ------
    InvalidInputError
        When predictions are missing, or the data are others.
    IntegrityError
        When the same metric version now gives other numbers.
    """
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.results.table import Results
    from recombine.benchmark.scoring.rescore import PredictionStore
    from recombine.benchmark.scoring.rescore import rescore_results as again

    many = [results] if isinstance(results, Result) else list(results)
    found = list(again(many, PredictionStore([Path(runs)]), [load(_folder(data))]))
    wrong = [one for one in found if one.verdict == "contradiction"]
    if wrong:
        raise IntegrityError(
            f"rescore: {wrong[0].old.method.entry} gives other numbers under the same metric "
            f"version (first: {wrong[0].changes[0].path}); its file or predictions were changed"
        )
    return Results(one.new for one in found)


def compare(first: Results | Result, second: Results | Result) -> Comparison:
    """Say whether two entries really differ.

    Parameters
    ----------
    first, second : Results or Result
        Of the same images and metric. Of several results, choose one: ``results[1]``.

    Returns
    -------
    Comparison
        Paired difference, interval and verdict for OOC, ID, the gap and every factor; prints
        itself as a table.

    Raises
    ------
    InvalidInputError
        When the two answered other images or were measured by another metric.
    UsageError
        When one holds several results.
    """
    from recombine.benchmark.statistics.compare import compare_results as contrast

    return contrast(_one(first, "first"), _one(second, "second"))


def board(
    results: Results | Result | Iterable[Results | Result] | Path | str,
    out: Path | str = "runs/site",
    *,
    data: Dataset | Path | str | None = None,
) -> Path:
    """Build the static leaderboard page.

    Parameters
    ----------
    results : Results, Result, iterable of these, Path or str
        Results, or a folder of result files.
    out : Path or str
        Folder of the site; an old site stays until the new one is complete.
    data : Dataset, Path or str, optional
        Dataset whose contact sheet and certificate the page shows.

    Returns
    -------
    Path
        ``out/index.html``; it opens from disk.

    Raises
    ------
    InvalidInputError, IntegrityError
        When a result does not hold; nothing is written.
    UsageError
        When there is no result, or ``out`` holds something that no build wrote.
    """
    import tempfile

    from recombine.leaderboard.site.build import build_site

    cards = [] if data is None else [_folder(data)]
    if isinstance(results, str | Path):
        from recombine.renderer.core.files import visible

        files = sorted(visible(Path(results), "*.json"))
        if not files:
            raise UsageError(f"board: expected result files (*.json) in {results}; found none.")
        return build_site(files, Path(out), cards)
    rows: dict[str, Result] = {}
    for one in _flat(results):
        taken = rows.setdefault(one.file_name, one)
        if taken.method != one.method:
            raise UsageError(
                f"board: expected one method per row; got two called {one.method.entry!r}. "
                "Score one of them again under another name, as in score(model, data, name=...)."
            )
    if not rows:
        raise UsageError("board: expected at least one result; got none. See `score`.")
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(one.save(Path(folder)) for one in rows.values())
        return build_site(files, Path(out), cards)


def _flat(results: Any) -> Iterable[Result]:
    from recombine.benchmark.results.result import Result

    if isinstance(results, Result):
        yield results
        return
    for one in results:
        yield from _flat(one)


def _one(results: Results | Result, which: str) -> Result:
    from recombine.benchmark.results.result import Result

    if isinstance(results, Result):
        return results
    if len(results) != 1:
        raise UsageError(
            f"compare: expected one result as {which}; got {len(results)}. Choose one: results[0]."
        )
    return results[0]


def _dataset(data: Any) -> Any:
    """Return a dataset, opened where its folder is given."""
    if isinstance(data, str | os.PathLike):
        return load(Path(data))
    if not hasattr(data, "indices"):
        raise InvalidInputError(
            f"recombine: expected a Dataset or its folder; got {type(data).__name__}. "
            "Open one with recombine.load(folder)."
        )
    return data


def _folder(data: Any) -> Path:
    """Return the folder of a dataset."""
    if isinstance(data, str | os.PathLike):
        return Path(data)
    path = getattr(data, "path", None)
    if not isinstance(path, Path):
        raise InvalidInputError(
            f"recombine: expected a Dataset or its folder; got {type(data).__name__}. "
            "Open one with recombine.load(folder)."
        )
    return path


def _progress(label: str, *, shown: bool) -> AbstractContextManager[Progress]:
    if not shown:
        return nullcontext(lambda _done, _total: None)
    from recombine.cli.console import progress

    return progress(label)
