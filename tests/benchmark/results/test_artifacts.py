"""Optional parts of a result come and go without touching the files that have none."""

import pytest
from factories import make_result

from recombine.benchmark.results.result import Result
from recombine.renderer.core.errors import InvalidInputError

PREDICTION = {"seed": 0, "file": "seed-0.safetensors", "sha256": "0" * 64, "bytes": 9}
READING = {"factor": "object.shape", "true": "star", "read": "pawn", "probability": 0.9}
EXAMPLES = {
    "file": "a-0123456789.examples.png", "sha256": "1" * 64, "bytes": 500, "rule": "stated",
    "seed": 0, "edge": 64, "steps": [0, 30],
    "images": [{"index": 7, "readings": [READING], "wrong_seeds": 2}],
}  # fmt: skip
TRIED = {"seed": 0, "settings": {"rate": 0.1}, "score": 0.5}


def result(**artifacts):
    counts = [[4, 4]]
    return make_result(
        id_hits=[[4, 3]], id_counts=counts, ooc_hits=[[2, 1]], ooc_counts=counts,
        artifacts={"predictions": [PREDICTION], **artifacts},
    )  # fmt: skip


def test_a_result_without_them_is_one_with_none(tmp_path):
    plain = result()
    assert result(examples=None, configurations=[], curves=[]).result_id == plain.result_id
    # Files from before curves and CPU seconds were kept hash to the id that they have.
    text = plain.save(tmp_path).read_text()
    assert "curves" not in text
    assert "cpu_s" not in text.replace("cpu_seconds", "")
    assert Result.load(plain.save(tmp_path)) == plain


def test_a_result_with_them_is_sealed_with_them(tmp_path):
    full = result(examples=EXAMPLES, configurations=[TRIED])
    assert full.result_id != result().result_id
    again = Result.load(full.save(tmp_path))
    assert again.artifacts.examples.images[0].wrong == 1
    assert again.artifacts.configurations[0].settings == {"rate": 0.1}
    edited = full.save(tmp_path).read_text().replace('"probability": 0.9', '"probability": 0.8')
    (tmp_path / full.file_name).write_text(edited)
    with pytest.raises(Exception, match="edited"):
        Result.load(tmp_path / full.file_name)


CURVE = {"seed": 0, "name": "encoder", "steps": [0, 20], "values": [2.0, 1.0]}


def test_curves_and_cpu_seconds_are_sealed_with_the_result(tmp_path):
    plain = result(curves=[CURVE])
    training = plain.training.model_dump() | {"cpu_s": 12.5}
    fields = plain.model_dump(mode="json", exclude={"schema_version", "result_id"})
    full = Result.sealed(**{**fields, "training": training})
    again = Result.load(full.save(tmp_path))
    assert again.artifacts.curves[0].values == (2.0, 1.0)
    assert again.training.cpu_s == 12.5
    assert len({result().result_id, plain.result_id, full.result_id}) == 3
    assert result().content_id() == full.content_id()


@pytest.mark.parametrize(
    "change",
    [{"seed": 5}, {"steps": [20, 0]}, {"values": [1.0]}, {"steps": [], "values": []}],
)
def test_what_a_curve_may_not_be(change):
    with pytest.raises(InvalidInputError):
        result(curves=[{**CURVE, **change}])


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../secret.examples.png"},
        {"file": "a.png"},
        {"bytes": 100_001},
        {"images": []},
        {"images": EXAMPLES["images"] * 9},
        {"seed": 5},
        {"surprise": 1},
    ],
)
def test_what_a_picture_may_not_be(change):
    with pytest.raises(InvalidInputError):
        result(examples={**EXAMPLES, **change})
