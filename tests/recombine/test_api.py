"""The front door, on drawn images: the names, a module of one's own, comparison, the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import recombine as rc
from tests.renderer.drawn_fixture import drawn_dataset

NAMES = [
    "render",
    "load",
    "verify",
    "write_answers",
    "export",
    "import_dataset",
    "presets",
    "Preset",
    "Dataset",
    "Certificate",
    "score",
    "compare",
    "rescore",
    "Result",
    "Results",
    "RunOptions",
    "Encoder",
    "Inverter",
    "Learner",
    "SlotOutput",
    "MethodCard",
    "SplitSpec",
    "TrainBudget",
    "RunLog",
    "ToyDataset",
    "metrics",
    "statistics",
    "baselines",
    "baseline",
    "board",
    "RecombineError",
    "UsageError",
    "InvalidInputError",
    "ResourceError",
    "IntegrityError",
    "__version__",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> rc.Dataset:
    folder = tmp_path_factory.mktemp("drawn") / "data"
    drawn_dataset(folder)
    rc.verify(folder)
    return rc.load(folder)


@pytest.fixture(scope="module")
def scored(data: rc.Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, rc.Results]:
    out = tmp_path_factory.mktemp("results")
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.LazyLinear(24))
    net(torch.zeros(2, 3, data.resolution, data.resolution))
    return {
        "mine": rc.score(net, data, seeds=2, out=out, progress=False),
        "pixels": rc.score("pixels", data, seeds=2, size="tiny", out=out, progress=False),
    }


def test_the_door_lists_its_names() -> None:
    assert sorted(dir(rc)) == sorted(NAMES)
    for name in NAMES:
        assert getattr(rc, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError):
        _ = rc.nothing  # type: ignore[attr-defined]


def test_baselines_is_a_list_however_the_package_was_imported() -> None:
    import recombine.baselines

    assert rc.baselines() == recombine.baselines()
    assert "supervised" in rc.baselines()
    assert rc.baseline("supervised", "tiny").card.id == "supervised"


def test_a_split_is_a_view(data: rc.Dataset) -> None:
    view = data["ooc_test"]
    assert len(view) == len(data.indices("ooc_test"))
    part = view[:3]
    assert part.images.shape == (3, data.resolution, data.resolution, 3)
    assert part.masks.shape == (3, data.resolution, data.resolution)
    names = np.stack([part.factors[key] for key in data.schema.recombined], axis=1)
    for row, cell in zip(names, part.cells, strict=True):
        assert tuple(map(str, row)) == data.schema.cell_names(cell)
    with pytest.raises(rc.UsageError, match="slice"):
        view[0]


def test_a_module_gives_one_result(scored: dict[str, rc.Results]) -> None:
    (result,) = scored["mine"]
    assert result.method.id == "sequential"
    assert result.seeds == (0, 1)
    assert 0 <= result.ooc.estimate <= 1
    assert result.id is result.scores.id_test
    assert result.cost is result.compute


def test_results_show_themselves(scored: dict[str, rc.Results]) -> None:
    both = scored["mine"] + scored["pixels"]
    text = repr(both)
    assert "OOC %" in text
    assert "Sequential" in text
    assert "2 seeds: a sketch" in text
    assert str(both[0]) == repr(both[0]) == repr(scored["mine"])
    assert both[0]._repr_html_().startswith("<table>")
    frame = both.to_frame()
    assert list(frame["entry"]) == ["sequential", "pixels"]
    assert frame["ooc"][0] == both[0].ooc.estimate


def test_two_entries_are_compared(scored: dict[str, rc.Results]) -> None:
    found = rc.compare(scored["mine"], scored["pixels"])
    assert found.headline[0].name == "OOC"
    assert "OOC" in repr(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(rc.UsageError, match="Choose one"):
        rc.compare(scored["mine"] + scored["pixels"], scored["pixels"])


def test_the_page_is_built(scored: dict[str, rc.Results], data: rc.Dataset, tmp_path: Path) -> None:
    index = rc.board(list(scored.values()), tmp_path / "site", data=data)
    assert "Sequential" in index.read_text()
    with pytest.raises(rc.UsageError, match="result"):
        rc.board(tmp_path, tmp_path / "other")
    with pytest.raises(rc.UsageError, match="carries its own card"):
        rc.score("constant", data, seeds=1, name="x", progress=False)
    with pytest.raises(rc.UsageError, match="at least one"):
        rc.board([], tmp_path / "other")


def test_scores_computed_again_are_the_same(data: rc.Dataset, tmp_path: Path) -> None:
    first = rc.score("constant", data, seeds=1, size="tiny", out=tmp_path, progress=False)
    again = rc.rescore(first, data, tmp_path / "runs")
    assert again[0].ooc == first[0].ooc


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda data: rc.score("supervised", data, seeds=0), rc.UsageError),
        (lambda data: rc.score("supervisd", data, seeds=1, progress=False), rc.UsageError),
        (lambda data: rc.score(3, data, seeds=1, progress=False), rc.InvalidInputError),
        (lambda data: rc.score("pixels", 3, seeds=1, progress=False), rc.InvalidInputError),
        (lambda data: rc.render("smok", "nowhere"), rc.UsageError),
        (lambda data: rc.load("nowhere"), rc.InvalidInputError),
    ],
)
def test_bad_input_is_a_typed_error(call, error, data: rc.Dataset) -> None:
    with pytest.raises(error):
        call(data)


def test_the_upper_bound_gets_its_own_data(data: rc.Dataset, tmp_path: Path) -> None:
    (bound,) = rc.score("oracle", data, seeds=1, size="tiny", out=tmp_path, progress=False)
    assert bound.method.role == "bound"


def test_two_modules_of_one_class_keep_both_results(data: rc.Dataset, tmp_path: Path) -> None:
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        nets.append(nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(12, 8)))
    assert data.resolution == 16
    found = [rc.score(net, data, seeds=1, out=tmp_path, progress=False) for net in nets]
    assert len(list(tmp_path.glob("*.json"))) == 2
    again = rc.rescore(found[0] + found[1], data, tmp_path / "runs")
    assert [one.ooc for one in again] == [one[0].ooc for one in found]
    with pytest.raises(rc.UsageError, match="another name"):
        rc.board(found, tmp_path / "site")
    other = rc.score(nets[1], data, seeds=1, name="Other net", out=tmp_path, progress=False)
    assert other[0].method.id == "other-net"
    page = rc.board([found[0], other], tmp_path / "site")
    assert len(list((page.parent / "entries").glob("*.html"))) == 2


def test_toy_data_can_be_scored(tmp_path: Path) -> None:
    (result,) = rc.score(nn.Flatten(), rc.ToyDataset(8), seeds=1, out=tmp_path, progress=False)
    assert result.data.dataset == "toy"
    assert result.data.recipe is None
