"""GitHub's runner in small: the steps of a workflow, in order, on local repositories.

`run:` steps run as they stand, by the shell and the options that GitHub uses. Some actions are
played. `python -m pip install` and `sudo` are stand-ins on the PATH: the first leaves the files
behind that building leaves, and "installs" the code under test; the second only notes its words.
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
SUDO = """#!/bin/bash
echo "$*" >> "$SHIMS/sudo.log"
"""


def git(folder, *args):
    """Run git and return what it prints."""
    done = subprocess.run(
        ["git", *NAME, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@dataclass
class Runner:
    """The jobs of one workflow, each on a machine of its own, below the empty ``workspace``."""

    workflow: Path
    repository: Path
    workspace: Path
    event: dict[str, str]
    """Value of every expression that the workflow may use and that no step gives."""
    overrides: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    deployed: list[Path] = field(default_factory=list)
    log: str = ""

    def run(self) -> int:
        """Run every job in order, and every step of it until one fails; return the exit code."""
        plan = load(self.workflow)
        self.shims.mkdir(parents=True)
        for name, text in (("python", PYTHON), ("sudo", SUDO)):
            (self.shims / name).write_text(text)
            (self.shims / name).chmod(0o755)
        skipped: set[str] = set()
        for name, job in plan["jobs"].items():
            if not self._holds(job.get("if", "")) or job.get("needs") in skipped:
                skipped.add(name)
                continue
            self.place = self.workspace / name
            self.place.mkdir()
            for step in job["steps"]:
                if not self._holds(step.get("if", "")):
                    continue
                self.done.append(step.get("name") or step.get("uses") or step["run"])
                code = self._uses(step) if "uses" in step else self._run(step, plan.get("env", {}))
                if code:
                    return code
            for key, value in job.get("outputs", {}).items():
                self.event[f"needs.{name}.outputs.{key}"] = self._filled(value)
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
        output = self.shims / "output"
        output.write_text("")
        environment = {
            "PATH": f"{self.shims}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.shims),
            "SHIMS": str(self.shims),
            "INTERPRETER": sys.executable,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.place),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(output),
            **env,
            **{name: self._filled(value) for name, value in step.get("env", {}).items()},
            **self.overrides,
        }
        ran = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=self.place / step.get("working-directory", "."),
            env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.log += ran.stdout
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.event[f"steps.{step['id']}.outputs.{key}"] = value
        return ran.returncode

    def _uses(self, step):
        action, options = step["uses"].split("@")[0], step.get("with", {})
        return getattr(self, "_" + action.split("/")[1].replace("-", "_"))(options)

    def _checkout(self, options):
        place = self.place / options.get("path", ".")
        git(self.repository, "init", "--quiet", str(place))
        if options["persist-credentials"]:  # only then can a job push
            git(place, "remote", "add", "origin", str(self.repository))
        if options.get("fetch-depth") == 0:
            git(place, "fetch", "--quiet", str(self.repository), "refs/heads/*:refs/remotes/all/*")
        ref = self._filled(options.get("ref", self.event.get("github.ref", "")))
        git(place, "fetch", "--quiet", str(self.repository), ref)
        git(place, "checkout", "--quiet", "FETCH_HEAD")

    def _setup_python(self, _options):
        return 0

    def _upload_artifact(self, options):
        found = self.place / options["path"]
        if not found.exists():
            return int(options["if-no-files-found"] == "error")
        self.artifacts[options["name"]] = self.shims / options["name"]
        shutil.copytree(found, self.artifacts[options["name"]])
        return 0

    def _download_artifact(self, options):
        shutil.copytree(self.artifacts[options["name"]], self.place / options["path"])

    def _upload_pages_artifact(self, options):
        shutil.copytree(self.place / options["path"], self.shims / "github-pages")

    def _deploy_pages(self, _options):
        self.deployed.append(self.shims / "github-pages")

    def _filled(self, text):
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: self.event.get(match[1], ""), text)

    def _holds(self, condition):
        """Evaluate what the workflows use: comparisons with words, joined by `or`."""
        for part in condition.split(" || ") if condition else ():
            name, _, word = part.partition(" == ")
            if self.event.get(name, "") == word.strip("'"):
                return True
        return not condition


def load(workflow: Path):
    """Return a workflow as plain data."""
    return yaml.safe_load(workflow.read_text())
