"""`board`: build, check, diff and serve from the command line."""

import json
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from recombine.cli.board import server
from recombine.cli.main import main
from recombine.renderer.core.errors import ResourceError

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("leaderboard", "benchmark")]

from sample_board import sample, write_results  # noqa: E402 - the path comes first


def test_build_prints_where_the_page_is(tmp_path, capsys):
    write_results(tmp_path / "r", indices=[0])
    args = ["board", "build", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "s")]
    assert main([*args, "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["index"]).is_file()


def test_check_finds_an_edit(tmp_path, capsys):
    path = sample(0).save(tmp_path / "a.json")
    assert main(["board", "check", str(path)]) == 0
    assert "ok" in capsys.readouterr().out
    path.write_text(path.read_text().replace("Supervised", "Hypervised", 1))
    assert main(["board", "check", str(path)]) == 5


def test_diff_lists_changes_and_refuses_removal(tmp_path, capsys):
    write_results(tmp_path / "old", indices=[1])
    write_results(tmp_path / "new", indices=[1, 2])
    folders = [str(tmp_path / name) for name in ("old", "new")]
    assert main(["board", "diff", *folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "added"
    assert main(["board", "diff", *folders]) == 0
    assert main(["board", "diff", *folders[::-1]]) == 3
    assert "put the files back" in capsys.readouterr().out
    assert main(["board", "diff", folders[0], folders[0]]) == 0
    assert "no change" in capsys.readouterr().out


def test_entries_are_exported(tmp_path, capsys):
    write_results(tmp_path / "r", indices=[0, 1])
    args = ["board", "export", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "e")]
    assert main([*args, "--json"]) == 0
    records = [json.loads(Path(name).read_text()) for name in json.loads(capsys.readouterr().out)]
    assert {one["model_info"]["name"] for one in records} == {
        "Supervised slot encoder", "Autoencoder",
    }  # fmt: skip
    assert main([*args, "--format", "csv"]) == 0
    assert "1 files, csv" in capsys.readouterr().out
    assert (tmp_path / "e" / "results.csv").read_text().count("\n") == 3


@pytest.mark.parametrize("args", [["diff", "a"], ["build", "x"], ["export", "x"]])
def test_wrong_paths_are_a_usage_error(args, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["board", *args])
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_a_check_needs_files(capsys):
    assert main(["board", "check"]) == 2
    assert "expected result files or folders" in capsys.readouterr().err


def test_the_site_is_served_to_this_machine(tmp_path):
    (tmp_path / "index.html").write_text("hello")
    with server(tmp_path, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{running.server_port}/index.html"
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"hello"
        with pytest.raises(ResourceError, match=str(running.server_port)):
            server(tmp_path, running.server_port)
        running.shutdown()
        thread.join()


def test_no_results_say_what_to_do(tmp_path, capsys):
    assert main(["board", "build", "--results", str(tmp_path)]) == 2
    assert "recombine score" in capsys.readouterr().err
