"""The data card of a preset, kept beside the code: that of an export, without the data."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.presets.table import PRESETS
from recombine.renderer.publish.card_files import CARD_FILES
from recombine.renderer.publish.export import export
from recombine.renderer.publish.facts import Publication
from recombine.renderer.store.dataset import Dataset


def write_card(
    folder: Path, out: Path, *, block: int = 0, publication: Publication | None = None
) -> Path:
    """Write the card of a preset: the files that its Parquet export carries beside the data.

    Parameters
    ----------
    folder : Path
        A sealed dataset of the preset, of any size; it is verified first.
    out : Path
        Folder of the card; files in it are replaced.
    block : int
        Which matched test block the sheet shows.
    publication : Publication, optional
        Day and address; today, nowhere.

    Returns
    -------
    Path
        The card's README.md.

    Raises
    ------
    UsageError
        When the dataset is of no preset.
    IntegrityError
        When its certificate fails or does not match.
    """
    verify(folder)
    name = Dataset(folder).preset.partition("--")[0]
    if name not in PRESETS:
        raise UsageError(f"card: expected data of a preset of {sorted(PRESETS)}; got {name!r}.")
    with tempfile.TemporaryDirectory() as place:
        made = export(folder, Path(place) / "export", publication=publication, block=block)
        for file in CARD_FILES:
            write_bytes(out / file, (made / file).read_bytes())
        shutil.rmtree(made)
    return out / "README.md"
