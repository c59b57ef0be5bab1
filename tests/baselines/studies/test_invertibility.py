"""Generators are what they are said to be; errors and claims follow their definitions."""

import math
from dataclasses import replace

import pytest
import torch

from recombine.baselines.studies import invertibility as study
from recombine.baselines.studies import study as analysis
from recombine.baselines.studies.invertibility import Generator, Unit

LATENTS = 2 * torch.rand(64, 6, generator=torch.Generator().manual_seed(0)) - 1


@pytest.mark.parametrize("family", [*study.INVERTIBLE, *study.FOLDED])
def test_equal_seeds_equal_generators(family):
    first, again, other = (Generator(family, 6, 24, seed) for seed in (1, 1, 2))
    assert torch.equal(first(LATENTS), again(LATENTS))
    assert not torch.allclose(first(LATENTS), other(LATENTS))
    assert first(LATENTS).shape == (64, 24)


def test_condition_numbers_rise_with_their_names():
    conditions = [
        study._condition(Generator(family, 6, 24, 0), LATENTS) for family in study.INVERTIBLE
    ]
    assert conditions[0] < 10
    assert conditions[0] < conditions[1] / 2 < conditions[2] / 10
    assert conditions[2] > 50


def test_a_fold_forgets_the_branch():
    mirrored = LATENTS.clone()
    mirrored[:, 0] = 2 * study.FOLD - mirrored[:, 0]
    for family, same in (("one fold", True), ("all folds", True), ("cond 1", False)):
        generator = Generator(family, 6, 24, 0)
        assert torch.allclose(generator(LATENTS), generator(mirrored), atol=1e-5) == same
    mirrored[:, 3] = 2 * study.FOLD - mirrored[:, 3]
    one, every = (Generator(family, 6, 24, 0) for family in study.FOLDED)
    assert torch.allclose(every(LATENTS), every(mirrored), atol=1e-5)
    assert not torch.allclose(one(LATENTS), one(mirrored))


def test_errors_are_relative_to_the_variance():
    generator = Generator("cond 1", 6, 24, 0)
    assert study._errors(generator, LATENTS, LATENTS) == {"nmse_z": 0.0, "nmse_x": 0.0}
    centre = study._errors(generator, LATENTS, torch.zeros_like(LATENTS))
    assert centre["nmse_z"] == pytest.approx(1, rel=0.15)


def test_search_ends_nearer_than_it_began():
    generator = Generator("cond 1", 6, 24, 0)
    start = torch.zeros_like(LATENTS)
    found, error = study._search(generator, LATENTS, start, 60)
    assert error.shape == (64,)
    before, after = (study._errors(generator, LATENTS, z)["nmse_x"] for z in (start, found))
    assert after < before / 20
    assert not any(p.requires_grad for p in generator.parameters())


def test_the_tiny_study_runs_resumes_and_repeats(tmp_path):
    settings = replace(study.TINY, steps=20, search_steps=5)
    rows = analysis.run(study.work(settings), tmp_path)
    more = replace(settings, seeds=2)
    known = {analysis._path(study.work(more), unit, tmp_path) for unit in study.work(more).units}
    assert sum(path.is_file() for path in known) == len(rows)  # more seeds keep the first
    assert len(rows) == 5 * (1 + len(settings.encoders))
    searches = [row for row in rows if row["width"] == 0]
    assert all(row["best_nmse_x"] <= row["random_nmse_x"] for row in searches)
    assert all(row["condition"] > 1 for row in searches)
    assert sum("encoder_nmse_z" in row for row in rows) == 5
    unit = Unit("cond 10", 0, 8, 1, False, settings)
    again = study.compute(unit)
    (first,) = [r for r in rows if (r["family"], r["width"]) == ("cond 10", 8)]
    assert first["nmse_z"] == pytest.approx(again["nmse_z"], rel=1e-4)
    assert len(study.claims(rows, settings)) == 7


def made_up(**over):
    """Return rows of errors as the original study found them, with some changed."""
    small, large = study.Settings().encoders[0], study.Settings().encoders[-1]
    rows = []
    for family, z, x in (("cond 1", 0.001, 0.0009), ("cond 10", 0.003, 0.0004),
                         ("cond 100", 0.03, 0.0003), ("one fold", 0.1, 0.08),
                         ("all folds", 0.62, 0.6)):  # fmt: skip
        for size, worse, better in ((small, 8, 0.7), (large, 1, 1)):
            rows.append({"family": family, "width": size[0], "depth": size[1], "nmse_z": worse * z,
                         "nmse_x": better * x, "encoder_nmse_z": 0.8 * z})  # fmt: skip
        fails = family != "cond 1"
        rows.append({"family": family, "width": 0, "random_nmse_z": 10 * z if fails else z / 10,
                     "random_nmse_x": 1e-5, "best_nmse_z": z if fails else z / 20})  # fmt: skip
    for row in rows:
        row.update(over.get(row["family"].replace(" ", "_"), {}))
    return rows


def test_claims_hold_on_the_published_pattern_and_fail_without_it():
    settings = study.Settings()
    assert all(claim.holds for claim in study.claims(made_up(), settings))
    broken = study.claims(made_up(cond_100={"nmse_x": 1.0}), settings)
    assert [claim.holds for claim in broken] == [True, True, False, True, True, True, True]
    assert broken[2].evidence == pytest.approx({"cond_100": 1.0, "cond_1": 0.0009})
    assert not any(math.isnan(v) for claim in broken for v in claim.evidence.values())
