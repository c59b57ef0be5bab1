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
    assert result(examples=None, configurations=[]).result_id == plain.result_id
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
