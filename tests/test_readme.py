"""The commands and the Python lines of the README, and the notebook, run word for word."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
pytestmark = [
    pytest.mark.long,
    pytest.mark.blender,
    pytest.mark.skipif(not README.is_file(), reason="only a checkout has the README"),
]


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    for command in commands():
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return folder


def test_readme_has_the_three_things_people_do() -> None:
    assert [c[1] for c in commands()] == ["render", "dataset", "score", "score", "board"]


def test_result_files_hold_what_the_commands_asked_for(ran: Path) -> None:
    results = [json.loads(p.read_text()) for p in (ran / "runs/toy-results").glob("*.json")]
    assert {r["method"]["id"] for r in results} == {"supervised", "mean-colour"}
    for result in results:
        assert result["seeds"] == [0, 1]
        assert result["scores"]["ooc_test"]["n_cells"] == 8
        assert result["checks"]["finite"] is True


def test_floor_stays_a_floor(ran: Path) -> None:
    (path,) = (ran / "runs/toy-results").glob("mean-colour*.json")
    factors = json.loads(path.read_text())["scores"]["ooc_test"]["per_factor"]
    # Mean colour often tells grass from parquet, but it cannot tell a star from a pumpkin.
    assert factors["background.environment"]["estimate"] > 0.2
    assert factors["object.shape"]["estimate"] < 0.5


def test_page_links_every_result(ran: Path) -> None:
    page = (ran / "runs/toy-site/index.html").read_text()
    assert "Supervised slot encoder" in page
    assert "MeanColour" in page


def test_scoring_again_finds_the_runs(ran: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns for p in (ran / "runs/toy-results/runs").rglob("seed-*.safetensors")
    }
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    command = next(c for c in commands() if c[1] == "score")
    done = subprocess.run(
        command, cwd=ran, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "2 of 2 runs found of an earlier call, kept" in done.stderr
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_the_python_lines_run(ran: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    own = [line for line in blocks[1].splitlines() if line]
    assert len(own) <= 12
    code = "\n".join([*blocks, "print(mine)", "print(rc.compare(base, floor))"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ran, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "OOC %" in done.stdout
    assert "95 % interval" in done.stdout
    assert (ran / "runs/site/index.html").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs(ran: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(ran)}})
    client.execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    assert sum("<table>" in data.get("text/html", "") for data in shown) == 3
    assert any("image/png" in data.get("text/html", "") for data in shown)
