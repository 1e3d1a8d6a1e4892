"""How a release is tagged (CONTRIBUTING.md) and verified (SECURITY.md): by the commands that stand there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lockbot.git.commits.signatures import check_signers
from tests.docs.pages import Page
from tests.nixes import PROJECT

TAGGING = Page(PROJECT / "CONTRIBUTING.md").section("Releases")
VERIFYING = Page(PROJECT / "SECURITY.md").section("Verifying a release")


def commands(section: str) -> list[str]:
    """Those of git's in its block."""
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [line for line in block.splitlines() if line.startswith("git ")]


class Project:
    """A repository of a maintainer's, with a version that is tagged already."""

    def __init__(self, root: Path) -> None:
        self.root, self.repository = root, root / "lockbot"
        kept = {name: os.environ[name] for name in ("PATH",)}
        self.environment = {**kept, "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
        (root / ".ssh").mkdir()
        self.keygen("id_ed25519")
        self.run("git config --global user.name ann; git config --global user.email ann@x", root)
        self.run("git init -q --bare origin.git; git init -q -b main lockbot", root)
        key = (root / ".ssh" / "id_ed25519.pub").read_text()
        (self.repository / ".allowed_signers").write_text(f'ann@x namespaces="git" {key}')
        self.run("git remote add origin ../origin.git; git add .; git commit -q -m one; git tag v1.1.0")

    def keygen(self, name: str) -> None:
        (self.root / ".ssh" / name).unlink(missing_ok=True)
        self.run(f"ssh-keygen -q -t ed25519 -N '' -f .ssh/{name}", self.root)

    def run(self, command: str, where: Path | None = None) -> str:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=where or self.repository,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def test_a_release_is_tagged_and_verified_as_the_pages_say(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for command in commands(TAGGING):
        project.run(command)
    project.run("git clone -q origin.git user; git -C lockbot push -q origin main v1.1.0", tmp_path)
    project.run("git fetch -q --tags", tmp_path / "user")
    said = [project.run(command, tmp_path / "user") for command in commands(VERIFYING)]
    assert any('Good "git" signature for ann@x' in one for one in said)


@pytest.mark.parametrize("how", ["another key", "no signature"])
def test_a_tag_that_nobody_of_them_made_is_refused(tmp_path: Path, how: str) -> None:
    project = Project(tmp_path)
    tag, verify, *_ = commands(TAGGING)
    if how == "another key":
        project.keygen("other")
        tag = tag.replace("id_ed25519", "other")
    else:
        tag = "git tag --annotate --message x v1.2.0"
    project.run(tag)
    for command in (verify, " ; ".join(commands(VERIFYING)[:2])):
        with pytest.raises(AssertionError, match=r"No principal matched|no signature found"):
            project.run(command)


def test_the_file_of_those_who_may_tag_is_one() -> None:
    file = PROJECT / ".allowed_signers"
    if any(not line.startswith("#") for line in file.read_text().splitlines()):  # nobody may yet
        assert check_signers(file) > 0
