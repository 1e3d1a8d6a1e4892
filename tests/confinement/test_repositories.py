"""All that a local repository consists of, as git makes it."""

from __future__ import annotations

from pathlib import Path

from lockbot.confine.repositories import with_what_it_needs
from tests.upstream import run_git


def repository(path: Path, environment: dict[str, str]) -> Path:
    path.mkdir()
    run_git(path, environment, "init", "--quiet")
    (path / "file").write_text("x")
    run_git(path, environment, "add", "--all")
    run_git(path, environment, "commit", "--quiet", "--message=first")
    return path


def test_alone_it_is_all_there_is(git_environment: dict[str, str], tmp_path: Path) -> None:
    plain = repository(tmp_path / "plain", git_environment)
    assert set(with_what_it_needs([plain])) == {plain}
    assert set(with_what_it_needs([tmp_path / "none", plain / "file"])) == {tmp_path / "none", plain / "file"}


def test_objects_that_it_borrows(git_environment: dict[str, str], tmp_path: Path) -> None:
    plain = repository(tmp_path / "plain", git_environment)
    run_git(tmp_path, git_environment, "clone", "--quiet", "--shared", str(plain), "one")
    run_git(tmp_path, git_environment, "clone", "--quiet", "--bare", "--shared", "one", "two.git")
    found = set(with_what_it_needs([tmp_path / "two.git"]))
    assert found >= {tmp_path / "two.git", tmp_path / "one/.git/objects", plain / ".git/objects"}


def test_a_linked_worktree(git_environment: dict[str, str], tmp_path: Path) -> None:
    plain = repository(tmp_path / "plain", git_environment)
    run_git(plain, git_environment, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    found = set(with_what_it_needs([tmp_path / "linked"]))
    assert found == {tmp_path / "linked", plain / ".git/worktrees/linked", plain / ".git"}


def test_where_its_submodules_come_from(git_environment: dict[str, str], tmp_path: Path) -> None:
    module, plain = (repository(tmp_path / name, git_environment) for name in ("module", "plain"))
    allowed = ("-c", "protocol.file.allow=always")
    run_git(plain, git_environment, *allowed, "submodule", "--quiet", "add", str(module), "inner")
    assert module in set(with_what_it_needs([plain]))


def test_what_only_gitmodules_says_is_not_let_in(git_environment: dict[str, str], tmp_path: Path) -> None:
    """A repository that was cloned says there what a stranger wrote."""
    plain = repository(tmp_path / "plain", git_environment)
    (plain / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = /home/u/private\n')
    assert set(with_what_it_needs([plain])) == {plain}
