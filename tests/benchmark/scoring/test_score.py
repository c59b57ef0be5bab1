"""From submission to result: known methods get known scores, foreign files are refused."""

import time
import zlib
from dataclasses import replace

import pytest
import torch
from factories import make_result
from fakes import Constant, FakeDataset, Memoriser, Noisy, Pixels, Trained

from recombine.benchmark.predictions.file import read_predictions, write_predictions
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.results.levels import standing
from recombine.benchmark.results.result import Result
from recombine.benchmark.results.table import doubts
from recombine.benchmark.running.harness import RunOptions, run_seed
from recombine.benchmark.scoring.aggregate import shares
from recombine.benchmark.scoring.score import score_predictions, score_submission, stored_options
from recombine.benchmark.statistics.intervals import paired_difference
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError

pytestmark = pytest.mark.long

QUICK = RunOptions(steps=(0, 1, 4), batch_size=32)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset()


def run(submission, dataset, tmp_path, seeds=(0, 1, 2), **over):
    return score_submission(
        submission, dataset, seeds=seeds, out_dir=tmp_path, options=QUICK, **over
    )


def test_a_method_that_sees_everything_has_no_gap(dataset, tmp_path):
    (result,) = run(Pixels(), dataset, tmp_path)
    assert result.scores.id_test.estimate == result.scores.ooc_test.estimate == 1
    assert result.gap.estimate == 0
    assert result.readout.slot_match == ((1, 0),) * 3  # it answers background first
    for factor in result.scores.ooc_test.per_factor.values():
        assert factor.estimate > 0.98


def test_a_memoriser_has_the_whole_gap(dataset, tmp_path):
    (result,) = run(Memoriser(), dataset, tmp_path)
    assert result.scores.id_test.estimate == 1
    assert result.scores.ooc_test.estimate <= 0.1
    assert result.gap.estimate >= 0.9


def test_a_constant_is_at_chance(dataset, tmp_path):
    (result,) = run(Constant(), dataset, tmp_path)
    for split in (result.scores.id_test, result.scores.ooc_test):
        assert split.estimate <= 2 * split.chance
        assert split.per_factor["object.shape"].estimate == pytest.approx(0, abs=1e-9)


class NamesAnother(Pixels):
    """Reads the background, and names a shape that training never showed with it."""

    slot_dim = 8

    def __init__(self, told, seed):
        self.told, self.seed = told, seed

    def encode(self, images):
        out = torch.zeros(len(images), 2, 8)
        colours = images[..., 4:].mean(dim=(2, 3))
        for row, (image, colour) in enumerate(zip(images, colours, strict=True)):
            ground = int(colour[0] > 0.2) + 2 * int(colour[1] > 0.2)
            found = image.numpy().tobytes()
            free = [s for s in range(4) if (s, ground) not in self.told.values()]
            guess = free[(zlib.crc32(found) + self.seed) % len(free)], ground
            shape, ground = self.told.get(found, guess)  # readouts are fitted on known images
            out[row, :, shape] = out[row, :, 4 + ground] = 1
        return SlotOutput(slots=out)


class Contrarian:
    card = MethodCard(id="contrarian", name="Contrarian", supervision="supervised")

    def fit(self, data, val, *, seed, budget, log):
        told = {}
        for part in (data.arrays(), val.arrays()):
            keys = ("object.shape", "background.environment")
            labels = zip(*(part.factors[key].tolist() for key in keys), strict=True)
            told |= {i.numpy().tobytes(): cell for i, cell in zip(part.images, labels, strict=True)}
        return NamesAnother(told, seed)


def test_a_contrarian_is_at_its_floor(dataset, tmp_path):
    (result,) = run(Contrarian(), dataset, tmp_path)
    assert result.id.estimate == 0
    assert result.ooc.estimate >= 4 * result.ooc.chance
    assert max(result.ooc.levels.one_known_unseen.values()) == result.ooc.floor == 0.5
    assert result.ooc.lift == pytest.approx(0, abs=0.25)
    assert standing(result.ooc).startswith(
        "not told apart from its floor, at the level of knowing the environment"
    )


def test_search_gives_two_entries_with_one_curve(dataset, tmp_path):
    direct, search = run(Trained(), dataset, tmp_path)
    assert (direct.method.entry, search.method.entry) == ("approach", "approach-search")
    assert (direct.method.inference, search.method.inference) == ("direct", "search")
    assert direct.compute_curve == search.compute_curve
    assert search.compute_curve.steps == (0, 1, 4)
    assert direct.scores.ooc_test.estimate <= 0.1
    assert search.scores.ooc_test.estimate == 1
    assert search.compute_curve.ooc[0] == direct.scores.ooc_test.estimate
    assert search.compute_curve.ooc[-1] == search.scores.ooc_test.estimate
    assert (direct.compute.steps, search.compute.steps) == (0, 4)
    assert search.trust == "retrained"
    assert search.training.generated_images_seen == 160
    assert search.training.selection.rule == "id_val"


def test_noise_gives_intervals_and_the_file_round_trips(dataset, tmp_path):
    (result,) = run(Noisy(), dataset, tmp_path / "runs")
    for split in (result.scores.id_test, result.scores.ooc_test):
        assert 0.2 < split.estimate < 1
        assert split.ci95[0] < split.estimate < split.ci95[1]
    assert result.smallest_detectable_difference > 0
    assert result.gap.ci95 is not None
    assert result.paired_gap.n_blocks == 6
    assert result.checks.batch_invariance.passed
    assert Result.load(result.save(tmp_path)) == result


def test_two_results_can_be_compared_from_their_counts(dataset, tmp_path):
    (noisy,) = run(Noisy(), dataset, tmp_path / "a")
    (clean,) = run(Pixels(), dataset, tmp_path / "b")
    difference = paired_difference(shares(clean.scores.ooc_test), shares(noisy.scores.ooc_test))
    assert difference.value > 0
    assert difference.p_value < 0.2


def test_one_seed_is_scored_without_intervals(dataset, tmp_path):
    (result,) = run(Noisy(), dataset, tmp_path, seeds=[7])
    assert result.seeds == (7,)
    assert result.scores.ooc_test.ci95 is None
    assert result.smallest_detectable_difference is None


def test_scoring_again_gives_the_same_numbers(dataset, tmp_path):
    (first,) = run(Noisy(), dataset, tmp_path)
    paths = sorted(tmp_path.glob("*.safetensors"), reverse=True)
    (again,) = score_predictions(paths, dataset, trust="witnessed")
    assert again.model_copy(update={"created": first.created}).expected_id() == first.result_id


def test_trust_is_earned(dataset, tmp_path):
    (trained,) = run(Noisy(), dataset, tmp_path / "a", seeds=[0])
    (fitted,) = run(Pixels(), dataset, tmp_path / "b", seeds=[0])
    (foreign,) = score_predictions([tmp_path / "a" / "seed-0.safetensors"], dataset)
    assert (trained.trust, fitted.trust, foreign.trust) == ("retrained", "rerun", "rescored")
    assert foreign.scores == trained.scores


def test_data_whose_certificate_fails_are_refused_before_training(tmp_path):
    with pytest.raises(IntegrityError):
        run(Pixels(), FakeDataset(broken=True), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_text_is_foreign_code_and_refused(dataset, tmp_path):
    with pytest.raises(UsageError, match="isolation"):
        run("fakes:Pixels", dataset, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def files(dataset, tmp_path):
    options = RunOptions(steps=(0,), readout_labels=40)
    return [
        run_seed(Noisy(), dataset, seed=s, out_dir=tmp_path / "f", options=options).path
        for s in (0, 1)
    ]


def tampered(path, out, **facts):
    read = read_predictions(path)
    write_predictions(out, replace(read, facts=replace(read.facts, **facts)))
    return out


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"settings": {"noise": 2.0}}, "equal settings"),
        ({"card": {"id": "other"}}, "equal card"),
        ({"seed": 0}, "different seeds"),
        ({"n_train": 3}, "equal n_train"),
    ],
)
def test_files_that_do_not_belong_together(dataset, files, tmp_path, facts, message):
    other = tampered(files[1], tmp_path / "t.safetensors", **facts)
    with pytest.raises(InvalidInputError, match=message):
        score_predictions([files[0], other], dataset)


def test_predictions_of_other_data(files):
    with pytest.raises(InvalidInputError, match="the predictions are for data"):
        score_predictions(files, FakeDataset(identity="feed" * 16))


def test_missing_images(dataset, files, tmp_path):
    read = read_predictions(files[0])
    short = replace(read, image_index=read.image_index[:-1], slots={0: read.slots[0][:-1]})
    write_predictions(tmp_path / "short.safetensors", short)
    with pytest.raises(InvalidInputError, match="must answer exactly"):
        score_predictions([tmp_path / "short.safetensors"], dataset)


def test_no_files(dataset):
    with pytest.raises(InvalidInputError, match="got none"):
        score_predictions([], dataset)


def test_options_survive_storage_and_others_are_refused(files):
    stored = read_predictions(files[0]).facts.options
    assert stored_options(stored) == RunOptions(steps=(0,), readout_labels=40)
    with pytest.raises(InvalidInputError, match="do not fit this version"):
        stored_options({**stored, "surprise": 1})


def test_the_factory_makes_what_scoring_makes(dataset, tmp_path):
    """Tests of readers use the factory; its results must have the form of real ones."""
    (real,) = run(Noisy(), dataset, tmp_path)
    made, measured = make_result().model_dump(), real.model_dump()
    assert made.keys() == measured.keys()
    assert made["scores"]["ooc_test"].keys() == measured["scores"]["ooc_test"].keys()
    assert made["scores"]["ooc_test"]["ci_method"] == measured["scores"]["ooc_test"]["ci_method"]
    assert made["gap"]["ci_method"] == measured["gap"]["ci_method"]


class Shirker(Pixels):
    """Does little while costs are measured: its first calls; then it works."""

    def setup(self, spec, device):
        self.calls = 0

    def encode(self, images):
        self.calls += 1
        end = time.process_time() + 0.01 * len(images) * (self.calls > 20)
        while time.process_time() < end:
            pass
        return super().encode(images)


def test_costs_that_the_harness_does_not_see_are_marked(tmp_path):
    small = FakeDataset(train=2, val=1, test=2)
    options = RunOptions(readout_labels=10, batch_size=2)
    seen = {}
    for method in (Pixels(), Shirker()):
        folder = tmp_path / type(method).__name__
        (result,) = score_submission(method, small, seeds=[0], out_dir=folder, options=options)
        seen[type(method)] = result
    assert seen[Pixels].compute.agrees
    assert doubts([seen[Pixels]]) == []
    assert seen[Shirker].compute.agrees is False
    assert seen[Shirker].compute.seen_cpu_seconds_per_image > 0.009
    (line,) = doubts([seen[Shirker]])
    assert "costs do not match what the harness saw" in line


def test_an_encoder_is_one_run_whatever_its_seeds(tmp_path):
    small = FakeDataset(train=2, val=1, test=2)
    options = RunOptions(readout_labels=10)
    results = {}
    for method in (Pixels(), Noisy()):
        folder = tmp_path / type(method).__name__
        (found,) = score_submission(method, small, seeds=[0, 1, 2], out_dir=folder, options=options)
        results[type(method)] = found
    assert results[Pixels].training.distinct_runs == 1
    assert results[Pixels].scores.ooc_test.n_seeds == 3  # every seed keeps its row
    assert "1 run, 3 copies" in doubts([results[Pixels]])[0]
    assert results[Noisy].training.distinct_runs == 3
    assert results[Noisy].training.val_images_seen == 0
