"""The result file: one JSON per entry, strict, with everything needed to recompute its intervals.

A result cannot hold NaN or infinity, an unknown key, or numbers that contradict each other. Its
``result_id`` is the SHA-256 of its canonical JSON, so a changed digit is found on loading.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, Field, StringConstraints, model_validator

from recombine.benchmark.results.artifacts import Artifacts
from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.extra_parts import Further
from recombine.benchmark.results.parts import (
    Checks,
    Compute,
    ComputeCurve,
    Count,
    Data,
    Environment,
    Gap,
    Method,
    NonNegative,
    PairedGap,
    Readout,
    Score,
    Scores,
    Sha256,
    Sources,
    Strict,
    Track,
    Training,
    WorstCells,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, RecombineError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.strict import from_json

SCHEMA_VERSION: Literal["2.3"] = "2.3"
"""2.0 added `method.role` and `data.recipe`, 2.1 answers per block and what else the measure 2.0
needs, 2.2 `data.identity`, 2.3 `credit`; `scripts/migrate_results.py` brings older files up."""
EARLIER = ("1.0", "1.1", "2.0", "2.1", "2.2")
MAX_BYTES = 16 * 2**20
MOST_SEEDS = 1000
DATE, TIME = ("[0-9]{4}", "[0-9]{2}", "[0-9]{2}"), ("[0-9]{2}",) * 3


class Result(Strict):
    """One entry of the leaderboard. Make it with ``Result.sealed`` or ``Result.load``."""

    schema_version: Literal["2.3"]
    result_id: Sha256
    """SHA-256 of the canonical JSON of everything else."""
    created: Annotated[str, StringConstraints(pattern=f"^{'-'.join(DATE)}T{':'.join(TIME)}Z$")]
    """UTC."""
    trust: Literal["rescored", "rerun", "retrained"]
    method: Method
    track: Track
    data: Data
    training: Training
    seeds: Annotated[tuple[Count, ...], Field(max_length=MOST_SEEDS)]
    readout: Readout
    scores: Scores
    gap: Gap
    paired_gap: PairedGap | None
    worst_cells: WorstCells
    smallest_detectable_difference: NonNegative | None
    """Difference in OOC score to another entry that would be found with 80 % power."""
    compute_curve: ComputeCurve
    compute: Compute
    environment: Environment
    checks: Checks
    artifacts: Artifacts
    sources: Sources | None = None
    further: Further | None = None
    credit: Credit = Credit()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        datetime.strptime(self.created, "%Y-%m-%dT%H:%M:%SZ")  # a day that exists
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError("seeds must be different and at least one")
        for score in (self.scores.id_test, self.scores.ooc_test):
            if score.n_seeds != len(self.seeds):
                raise ValueError("every score needs one row per seed")
            if any(len(cell) != len(self.data.recombined) for cell in score.cells):
                raise ValueError("a cell needs one value name per recombined factor")
        levels = self.scores.id_test.levels, self.scores.ooc_test.levels
        if len({one is not None and (True, one.matching is None) for one in levels}) > 1:
            raise ValueError("both splits need the same kinds of levels, or none")
        expected = self.scores.id_test.estimate - self.scores.ooc_test.estimate
        if abs(expected - self.gap.estimate) > 1e-9:
            raise ValueError("gap must be the ID score minus the OOC score")
        return self

    @property
    def id(self) -> Score:
        """Return the score on in-combination images."""
        return self.scores.id_test

    @property
    def ooc(self) -> Score:
        """Return the score on out-of-combination images."""
        return self.scores.ooc_test

    @property
    def cost(self) -> Compute:
        """Return what answering takes: operations, seconds, memory, parameters."""
        return self.compute

    def __repr__(self) -> str:
        from recombine.benchmark.results.table import Results

        return repr(Results((self,)))  # pyright: ignore[reportArgumentType]

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Show one row in a notebook."""
        from recombine.benchmark.results.table import Results

        return Results((self,))._repr_html_()  # pyright: ignore[reportArgumentType]

    @property
    def file_name(self) -> str:
        """Name for a folder that holds many results: entry, dataset, size and training set."""
        data = self.data
        return f"{self.method.entry}--{data.dataset}-{data.resolution}px-n{data.n_train}.json"

    def path_in(self, folder: Path) -> Path:
        """Return where it goes in a folder: its usual file, or one beside another method's.

        Parameters
        ----------
        folder : Path
            That may hold a result of the same file name, of this method or of another one.

        Returns
        -------
        Path
            Of ``file_name``, with the start of ``result_id`` added where another method lies, or
            the same one on other images, or a file that cannot be read.
        """
        usual = folder / self.file_name
        if not usual.exists():
            return usual
        try:
            there = Result.load(usual)
        except RecombineError:
            there = None
        if there is not None and there._whose() == self._whose():
            return usual
        return usual.with_stem(f"{usual.stem}-{self.result_id[:10]}")

    def _whose(self) -> tuple[object, ...]:
        method = self.method
        return method.name, method.code, method.settings, self.data.identity

    @classmethod
    def sealed(cls, **fields: Any) -> Self:
        """Build a result and compute its ``result_id``.

        Parameters
        ----------
        **fields
            Every field but ``schema_version`` and ``result_id``; models or plain values.

        Returns
        -------
        Result
            The validated result.

        Raises
        ------
        InvalidInputError
            When the fields do not form a valid result.
        """
        plain = {name: _plain(value) for name, value in fields.items()}
        plain |= {"schema_version": SCHEMA_VERSION, "result_id": "0" * 64}
        draft = cls._parse(_dumps(plain), "Result.sealed")
        return draft.model_copy(update={"result_id": draft.expected_id()})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read and verify a result file.

        Parameters
        ----------
        path : Path or str
            A JSON file written by ``save``.

        Returns
        -------
        Result
            The result.

        Raises
        ------
        InvalidInputError
            When the file is missing, too big, not JSON, or not a valid result.
        IntegrityError
            When the content does not match ``result_id``.
        """
        path = Path(path)
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise InvalidInputError(
                f"Result.load: expected a result file of at most {MAX_BYTES} bytes at {path}, "
                "found none or a bigger one; check the path"
            )
        return cls.from_bytes(path.read_bytes(), path)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path | str) -> Self:
        """Verify the content of a result file.

        Parameters
        ----------
        content : bytes
            What stands in the file.
        path : Path or str
            Where it was read, for the message of an error.

        Returns
        -------
        Result
            The result.

        Raises
        ------
        InvalidInputError
            When it is not JSON or not a valid result.
        IntegrityError
            When it does not match its ``result_id``.
        """
        result = cls._parse(content, str(path))
        if result.expected_id() != result.result_id:
            raise IntegrityError(
                f"Result.load: {path} says result_id {result.result_id[:12]} but its content "
                f"hashes to {result.expected_id()[:12]}; it was edited, score the entry again"
            )
        return result

    def save(self, path: Path | str) -> Path:
        """Write the result so that a crash leaves the old file or the new one, never a part.

        Parameters
        ----------
        path : Path or str
            A ``.json`` file, or a folder, which then gets ``file_name``.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        IntegrityError
            When ``result_id`` does not match the content.
        """
        path = Path(path)
        target = path if path.suffix == ".json" else path / self.file_name
        if self.expected_id() != self.result_id:
            raise IntegrityError(
                "Result.save: result_id does not match the content; build it with Result.sealed"
            )
        text = json.dumps(
            self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False
        )
        write_bytes(target, (_compact_rows(text) + "\n").encode())
        return target

    def expected_id(self) -> str:
        """Return the SHA-256 of the canonical JSON without ``result_id``.

        Returns
        -------
        str
            64 hexadecimal digits. Canonical: keys sorted, no spaces, UTF-8, shortest floats.
        """
        return hashlib.sha256(
            _dumps(self.model_dump(mode="json", exclude={"result_id"}))
        ).hexdigest()

    def content_id(self) -> str:
        """Return the SHA-256 of what the clock and the machine's load have no part in.

        Returns
        -------
        str
            Equal for a run that was killed and resumed and for one that was not, on one machine
            and in one folder (`harness.order_key`).
        """
        content = self.model_dump(
            mode="json", exclude={"result_id", "created", "artifacts", "checks"}
        )
        for name in ("wall_s", "cpu_s"):
            content["training"].pop(name, None)
        clocks = ("seconds_per_image", "cpu_seconds_per_image", "seen_cpu_seconds_per_image")
        for name in (*clocks, "agrees", "peak_rss_bytes"):
            del content["compute"][name]
        return hashlib.sha256(_dumps(content)).hexdigest()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of result files.

        Returns
        -------
        dict
            Draft 2020-12; unknown keys are forbidden at every level.
        """
        schema = cls.model_json_schema()
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

    @classmethod
    def _parse(cls, text: bytes, where: str) -> Self:
        try:
            return from_json(cls, text)
        except pydantic.ValidationError as error:
            for item in error.errors():
                if item["loc"] == ("schema_version",) and item["input"] in EARLIER:
                    raise InvalidInputError(
                        f"{where}: a result of schema {item['input']}, expected "
                        f"{SCHEMA_VERSION}; run `python scripts/migrate_results.py "
                        f"{Path(where).parent}`"
                    ) from None
            problems = [
                f"{'.'.join(map(str, item['loc'])) or 'result'}: {item['msg']}"
                for item in error.errors()[:5]
            ]
            raise InvalidInputError(
                f"{where}: not a valid result (schema {SCHEMA_VERSION}), "
                f"{error.error_count()} problem(s): " + "; ".join(problems)
            ) from None
        except ValueError as error:  # no JSON, or JSON that two readers read differently
            raise InvalidInputError(
                f"{where}: not a valid result (schema {SCHEMA_VERSION}): expected JSON in which "
                f"every key stands once; got {error}"
            ) from None


def with_credit(result: Result, credit: Credit) -> Result:
    """Return a result that says whose work it is; its id follows."""
    credited = result.model_copy(update={"credit": credit})
    return credited.model_copy(update={"result_id": credited.expected_id()})


def write_schema(path: Path | str) -> Path:
    """Write the published JSON Schema of result files."""
    text = json.dumps(Result.json_schema(), indent=2, sort_keys=True)
    write_bytes(Path(path), (text + "\n").encode())
    return Path(path)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _dumps(value: Any) -> bytes:
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"Result: fields must be plain, finite JSON values: {error}"
        ) from None


def _compact_rows(text: str) -> str:
    # Lists of numbers on one line each: a table of counts is then readable in a diff.
    # Only real line breaks are touched, and JSON strings hold none.
    number = r"(?:-?\d[\d.eE+-]*|null)"
    return re.sub(rf"\[\n\s*({number}(?:,\n\s*{number})*)\n\s*\]", _one_line, text)


def _one_line(match: re.Match[str]) -> str:
    return "[" + ", ".join(part.strip() for part in match.group(1).split(",")) + "]"
