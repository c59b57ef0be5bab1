"""Boards as data: the site's downloads (CSV, JSON, Parquet) and records for other collections."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.exports.every_eval_ever import write_records
from recombine.renderer.core.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recombine.leaderboard.board.board import RankedBoard
    from recombine.leaderboard.board.entries import Entry
    from recombine.leaderboard.board.ranks import RankSet

FORMAT = "recombine.boards/1"
COLUMNS = (
    "dataset", "version", "resolution", "root", "metric", "metric_version", "entry", "name",
    "inference", "supervision", "data", "test_compute", "ooc", "ooc_low", "ooc_high", "id",
    "id_low", "id_high", "gap", "gap_low", "gap_high", "paired_gap", "paired_gap_low",
    "paired_gap_high", "chance", "rank_low", "rank_high", "separable", "gflop_per_image", "steps",
    "n_train", "real_images_seen", "generated_images_seen", "seeds", "trust", "result_id",
)  # fmt: skip


def write_export(files: Iterable[Path], out: Path, form: str) -> list[Path]:
    """Check result files and write their entries as data.

    Parameters
    ----------
    files : iterable of Path
        Result files.
    out : Path
        Folder to write into.
    form : {"every-eval-ever", "csv", "json"}
        One record per entry, or one table or document of all boards.

    Returns
    -------
    list of Path
        What was written; superseded entries are left out.

    Raises
    ------
    InvalidInputError, IntegrityError
        When a result file is invalid or was edited; nothing is written.
    """
    boards = load_boards(files)
    if form == "every-eval-ever":
        return write_records([entry for board in boards for entry in board.entries], out)
    write = {"csv": to_csv, "json": to_json}[form]
    path = out / f"results.{form}"
    write_bytes(path, write([rank_board(board) for board in boards]).encode())
    return [path]


def to_json(boards: Sequence[RankedBoard]) -> str:
    """Write every board with its rank sets and its complete results."""
    texts = [_board_json(ranked) for ranked in boards]
    return f'{{"format": {json.dumps(FORMAT)}, "boards": [{", ".join(texts)}]}}\n'


def to_csv(boards: Sequence[RankedBoard]) -> str:
    """Write one row per entry."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for ranked in boards:
        for entry, rank in zip(ranked.board.entries, ranked.ranks, strict=True):
            row = _row(entry, rank)
            writer.writerow([_safe(row[name]) for name in COLUMNS])
    return buffer.getvalue()


def has_parquet() -> bool:
    """Return whether the optional library for Parquet is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def to_parquet(boards: Sequence[RankedBoard]) -> bytes | None:
    """Write one row per entry as Parquet."""
    if not has_parquet():
        return None
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    rows = [_row(row.entry, row.rank) for ranked in boards for row in ranked.rows]
    # Python lists would make pyarrow import pandas, which takes longer than the table.
    lines = "".join(f"{json.dumps({name: row[name] for name in COLUMNS})}\n" for row in rows)
    reader: Any = pyarrow.json  # its stubs do not name what it exports
    read = reader.ReadOptions(block_size=len(lines) + 1)
    schema = _schema(rows)
    parse = reader.ParseOptions(explicit_schema=schema)
    content = io.BytesIO(lines.encode())
    table = reader.read_json(content, read, parse) if rows else schema.empty_table()
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)  # type: ignore[no-untyped-call]
    return bytes(sink.getvalue().to_pybytes())


def _schema(rows: Sequence[dict[str, Any]]) -> Any:
    """Name every column's type; a number that is missing everywhere is a number still."""
    import pyarrow

    types = {str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64()}
    firsts = {n: next((r[n] for r in rows if r[n] is not None), 0.0) for n in COLUMNS}
    return pyarrow.schema([(n, types.get(type(v), pyarrow.float64())) for n, v in firsts.items()])


def _board_json(ranked: RankedBoard) -> str:
    """Write a board around the result files as they are: nothing is parsed and written again."""
    head = json.dumps(asdict(ranked.board.key))
    entries = [
        f'{{"rank_set": {json.dumps(_rank(row.rank))}, "trust": "{row.entry.tier}",\n'
        f'"result": {row.entry.content.decode()}}}'
        for row in ranked.rows
    ]
    return f'{head[:-1]}, "entries": [\n{", ".join(entries)}]}}'


def _rank(rank: RankSet) -> dict[str, Any]:
    return {"low": rank.low, "high": rank.high, "of": rank.of, "not_separable": rank.reason or None}


def _row(entry: Entry, rank: RankSet) -> dict[str, Any]:
    result = entry.result
    data, track, training = result.data, result.track, result.training
    scores = result.scores
    paired = result.paired_gap
    row = {
        "dataset": data.dataset,
        "version": data.version,
        "resolution": data.resolution,
        "root": data.root,
        "metric": scores.ooc_test.metric,
        "metric_version": scores.ooc_test.metric_version,
        "entry": result.method.entry,
        "name": result.method.name,
        "inference": result.method.inference,
        "supervision": track.supervision,
        "data": track.data,
        "test_compute": track.test_compute,
        "chance": scores.ooc_test.chance,
        "rank_low": rank.low,
        "rank_high": rank.high,
        "separable": rank.separable,
        "gflop_per_image": result.compute.gflop_per_image,
        "steps": result.compute.steps,
        "n_train": data.n_train,
        "real_images_seen": training.real_images_seen,
        "generated_images_seen": training.generated_images_seen,
        "seeds": len(result.seeds),
        "trust": entry.tier,
        "result_id": result.result_id,
    }
    row |= _triple("ooc", scores.ooc_test) | _triple("id", scores.id_test)
    return row | _triple("gap", result.gap) | _triple("paired_gap", paired)


def _triple(name: str, part: Any) -> dict[str, Any]:
    low, high = (part.ci95 if part is not None else None) or (None, None)
    estimate = part.estimate if part is not None else None
    return {name: estimate, f"{name}_low": low, f"{name}_high": high}


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
