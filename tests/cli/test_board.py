"""`board`: build, check, diff and serve from the command line."""

import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from recombine.cli.board import server
from recombine.cli.main import main
from recombine.leaderboard.board.entries import load_entry
from recombine.leaderboard.ledger.records import record_tier
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


def put(folder, *indices):
    """Write sample results and their lines of the ledger."""
    results = [sample(index) for index in indices]
    record_tier(folder, results, "retrained", "2026-01-01T00:00:00Z")
    return [result.save(folder) for result in results]


def test_one_bad_file_is_a_warning_of_a_build_and_a_failure_of_a_check(tmp_path, capsys):
    put(tmp_path / "r", 0)
    (tmp_path / "r" / "bad\x1b[2J.json").write_text('{"a": 1, "a": 2}')
    args = ["board", "build", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "s")]
    assert main(args) == 0
    said = capsys.readouterr().err
    assert "warning: refused, and on no board" in said
    assert "every key stands once" in said
    assert "\x1b" not in said
    assert main([*args, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["refused"]) == 1
    assert main(["board", "check", str(tmp_path / "r")]) == 3
    assert main(["board", "diff", str(tmp_path / "r"), str(tmp_path / "r")]) == 0


def test_a_result_is_disputed_and_settled(tmp_path, capsys):
    (path,) = put(tmp_path, 0)
    mark = ["board", "mark", str(path), "--state"]
    assert main([*mark, "disputed", "--reason", "Two seeds are equal."]) == 0
    assert "is disputed since" in capsys.readouterr().out
    assert not load_entry(path).confirmed
    assert main([*mark, "disputed", "--reason", " "]) == 2
    assert main([*mark, "settled", "--reason", "They are not."]) == 0
    assert load_entry(path).confirmed


def test_a_published_head_shows_a_ledger_written_anew(tmp_path, capsys):
    put(tmp_path, 0, 1)
    check = ["board", "check", str(tmp_path)]
    assert main(check) == 0
    head = capsys.readouterr().out.splitlines()[-1].rpartition(" ")[2]
    put(tmp_path, 2)
    assert main([*check, "--head", head]) == 0
    (tmp_path / "verified.jsonl").unlink()
    put(tmp_path, 2, 1, 0)
    assert main(check) == 0  # its hashes are right
    assert main([*check, "--head", head]) == 5


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="signs with a key of SSH")
def test_a_signed_tag_keeps_the_head(tmp_path, capsys):
    """The recipe of docs/submitting.md, with a key of SSH."""
    results, key = tmp_path / "repository" / "results", tmp_path / "key"
    put(results, 0)
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], **run)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"t@example.org {key.with_suffix('.pub').read_text()}")
    settings = {
        "user.name": "T", "user.email": "t@example.org", "gpg.format": "ssh",
        "user.signingkey": str(key), "gpg.ssh.allowedSignersFile": str(allowed),
    }  # fmt: skip
    named = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def git(*args):
        done = subprocess.run(["git", *named, *args], cwd=results.parent, **run)
        return done.stdout

    git("init", "-q")
    git("add", "--all")
    git("commit", "-q", "-m", "x")
    assert main(["board", "check", str(results), "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["ledgers"][str(results)]
    git("tag", "-s", "board-1", "-m", head)
    git("verify-tag", "board-1")
    kept = git("tag", "-l", "--format=%(contents:subject)", "board-1").strip()
    assert main(["board", "check", str(results), "--head", kept]) == 0
    (results / "verified.jsonl").unlink()
    put(results, 0)
    assert main(["board", "check", str(results), "--head", kept]) == 0  # the same lines
    (results / "verified.jsonl").unlink()
    record_tier(results, [sample(0)], "rerun", "2026-01-01T00:00:00Z")
    assert main(["board", "check", str(results), "--head", kept]) == 5
