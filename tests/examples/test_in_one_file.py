"""Methods in one file: short, on their own, and scored by the command line, at tiny size."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from recombine.benchmark.results.result import Result
from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import ResourceError
from tests.renderer.drawn_fixture import drawn_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = {
    "supervised:Supervised": "steps: int = 2",
    "autoencoder_replay:AutoencoderReplay": "encoder_steps: int = 2\n    decoder_steps: int = 2\n"
    "    replay_steps: int = 2",
    "typed_vae:TypedVaeReplay": "steps: int = 2\n    replay_steps: int = 2",
}
PROTOCOL = {"MethodCard", "RunLog", "SlotOutput", "SplitSpec", "TrainBudget"}
SERVED = {"Batch", "TrainData"}  # what `fit` is handed, for annotations only
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs a checkout")


@pytest.mark.parametrize("name", sorted({key.partition(":")[0] for key in TINY}))
def test_a_file_is_short_and_needs_the_protocol_only(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 250
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots = {alias.name.partition(".")[0] for alias in node.names}
            assert roots <= {"torch", "numpy", *sys.stdlib_module_names}
        elif isinstance(node, ast.ImportFrom):
            names, module = {alias.name for alias in node.names}, node.module or ""
            if module == "recombine":
                assert names <= PROTOCOL
            elif module.startswith("recombine."):
                assert (module, names <= SERVED) == ("recombine.benchmark.serving.data", True)
            else:
                assert module.partition(".")[0] in {"torch", "numpy", *sys.stdlib_module_names}
    (guard,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(guard.test) == "TYPE_CHECKING"


@pytest.mark.long
def test_the_command_line_trains_and_scores_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, own = tmp_path / "data", tmp_path / "own"
    drawn_dataset(data, scale=0.07)
    assert verify(data).passed
    own.mkdir()
    methods = []
    for key, settings in TINY.items():
        name, _, kind = key.partition(":")
        tiny = f"\n\n@dataclass(frozen=True)\nclass Tiny({kind}):\n    {settings}\n"
        (own / f"{name}_{kind}.py").write_text((EXAMPLES / f"{name}.py").read_text() + tiny)
        methods.append(f"{own / f'{name}_{kind}.py'}:Tiny")
    options = ["--data", str(data), "--out", str(tmp_path / "out"), "--seeds", "1", "--json"]
    options += ["--workers", "1", "--readout-labels", "48", "--steps", "0", "2"]
    try:
        require_bwrap()
    except ResourceError:
        options.append("--trust-local")
    assert main(["score", *methods, *options]) == 0
    results = [Result.load(path) for path in json.loads(capsys.readouterr().out)]
    found = {(r.method.id, r.method.inference): r for r in results}
    assert set(found) == {
        ("supervised-example", "direct"),
        ("autoencoder-replay-example", "replay"),
        ("autoencoder-replay-example", "replay+search"),
        ("typed-vae-masks-replay-example", "replay"),
        ("typed-vae-masks-replay-example", "replay+search"),
    }
    for (name, inference), result in found.items():
        assert result.trust == "retrained"
        assert result.checks.batch_invariance.passed
        assert result.checks.repeatability.passed
        assert result.track.supervision == ("weak" if name.startswith("typed") else "supervised")
        # Two steps of replay make 2 x 48 images; nothing else generates any.
        generated = result.training.generated_images_seen
        assert generated == (96 if inference.startswith("replay") else 0)
