"""Every bad submission is refused here, each for its documented reason."""

import pytest
from attack_corpus import CORPUS
from attack_world import DrawnData, make_world

from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.leaderboard.submissions.bundle import open_bundle
from recombine.renderer.core.errors import RecombineError, ResourceError

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("honest"))


def isolated():
    """Skip attacks by code where they could not be shut in: they never run outside of isolation."""
    try:
        require_bwrap()
    except ResourceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("attack", CORPUS, ids=[f"{one.kind}-{one.name}" for one in CORPUS])
def test_every_attack_is_refused_for_its_reason(attack, world, tmp_path):
    if attack.kind == "code":
        isolated()
    with pytest.raises(RecombineError) as refused:
        attack.run(world, tmp_path)
    assert attack.reason in str(refused.value), attack.idea


def test_the_corpus_is_large_and_documented():
    assert len(CORPUS) >= 50
    assert len({one.name for one in CORPUS}) == len(CORPUS)
    assert all(one.reason and one.idea for one in CORPUS)
    kinds = {one.kind for one in CORPUS}
    assert kinds == {"predictions", "result", "data", "bundle", "proposal", "code"}
    assert all(one.reason.startswith("[") for one in CORPUS if one.kind == "code")


def test_the_honest_submission_is_accepted(world):
    assert open_bundle(world.bundle).manifest.identity == DrawnData().identity
