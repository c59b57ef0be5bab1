"""GitHub's runner in small: the steps of a workflow, in order, on local repositories.

`run:` steps run as they stand, by the shell and the options that GitHub uses. Four actions are
played. `python -m pip install` and `curl` are stand-ins on the PATH: the first leaves the files
behind that building leaves, and "installs" the code under test; the second copies from a folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

NAME = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
PYTHON = """#!/bin/bash
echo "$*" >> "$SHIMS/pip.log"
test "$1 $2 $3" = "-m pip install" || exit 9
last=${@: -1}
source=${last%%[*}
test -d "$source" || exit 0
mkdir -p "$source/build/lib" "$source/recombine.egg-info"
touch "$source/build/lib/x.py" "$source/recombine.egg-info/PKG-INFO"
printf '#!/bin/bash\\nexec "%s" -m recombine.cli.main "$@"\\n' "$INTERPRETER" > "$SHIMS/recombine"
chmod +x "$SHIMS/recombine"
"""
CURL = """#!/bin/bash
while [ $# -gt 1 ]; do test "$1" = --output && out=$2; shift; done
cp "$STORE/$(basename "$1")" "$out"
"""


def git(folder, *args):
    """Run git and return what it prints."""
    done = subprocess.run(
        ["git", *NAME, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@dataclass
class Runner:
    """One job on one machine; ``workspace`` is its empty working folder."""

    workflow: Path
    repository: Path
    workspace: Path
    event: dict[str, str]
    """Value of every ``github.`` expression that the workflow may use."""
    store: Path | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    log: str = ""

    def run(self) -> int:
        """Run every step until one fails; return the last exit code."""
        plan = load(self.workflow)
        (job,) = plan["jobs"].values()
        self.shims.mkdir(parents=True)
        for step in job["steps"]:
            self.done.append(step.get("name") or step.get("uses") or step["run"])
            code = self._uses(step) if "uses" in step else self._run(step, plan.get("env", {}))
            if code:
                return code
        return 0

    @property
    def shims(self) -> Path:
        """Return the folder that stands first on the PATH."""
        return self.workspace.parent / f"{self.workspace.name}-shims"

    @property
    def summary(self) -> Path:
        """Return what GitHub shows below the run."""
        return self.shims / "summary.md"

    def _run(self, step, env):
        assert "${{" not in step["run"], "a stranger's words must not become a script"
        environment = {
            "PATH": f"{self.shims}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.shims),
            "SHIMS": str(self.shims),
            "STORE": str(self.store),
            "INTERPRETER": sys.executable,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            **env,
            **step.get("env", {}),
            **self.overrides,
        }
        place = self.workspace / step.get("working-directory", ".")
        ran = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=place, env=environment, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.log += ran.stdout
        return ran.returncode

    def _uses(self, step):
        action, options = step["uses"].split("@")[0], step.get("with", {})
        return getattr(self, "_" + action.split("/")[1].replace("-", "_"))(options)

    def _checkout(self, options):
        assert options["persist-credentials"] is False
        place = self.workspace / options.get("path", ".")
        git(self.repository, "init", "--quiet", str(place))
        ref = self._filled(options.get("ref", self.event.get("github.ref", "")))
        git(place, "fetch", "--quiet", str(self.repository), ref)
        git(place, "checkout", "--quiet", "FETCH_HEAD")

    def _setup_python(self, _options):
        for name, text in (("python", PYTHON), ("curl", CURL)):
            (self.shims / name).write_text(text)
            (self.shims / name).chmod(0o755)

    def _cache(self, options):
        assert (self.workspace / "base" / "leaderboard" / "data.lock").is_file()
        assert options["path"] == "data"

    def _upload_artifact(self, options):
        found = [self.workspace / name for name in options["path"].split()]
        found = [path for path in found if path.exists()]
        if not found:
            return int(options["if-no-files-found"] == "error")
        target = self.artifacts[options["name"]] = self.shims / options["name"]
        for path in found:  # one folder is unpacked as it is, several under their names
            shutil.copytree(path, target / path.name if len(found) > 1 else target)
        return 0

    def _filled(self, text):
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: self.event[match[1]], text)


def load(workflow: Path):
    """Return a workflow as plain data."""
    return yaml.safe_load(workflow.read_text())
