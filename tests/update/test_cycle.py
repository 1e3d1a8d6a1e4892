"""Whole cycles: the outcomes, the commit that is made, and a user who works while lockbot builds.

Every test runs the real `lockbot update --json` as a child process, on real git and real Nix.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import nixes
from tests.fleet import Fleet, HostSpec, Upstream
from tests.update.world import Result, World, finish, wait_for
from tests.upstream import run_git


def worked(result: Result, outcome: str = "published", code: int = 0) -> Result:
    assert (result.document.get("outcome"), result.code) == (outcome, code), (result.document, result.stderr)
    return result


# -- outcomes ------------------------------------------------------------------------------------------------


def test_what_was_built_is_what_lands(nix: nixes.Nix, tmp_path: Path) -> None:
    rev = HostSpec("rev", ["a"], uses_self_rev=True)
    hosts = [
        HostSpec("web", ["a"]),
        HostSpec("same", ["b"]),
        HostSpec("old", ["a"], failure="build"),
        HostSpec("arm", ["a"], system="aarch64-linux"),
        rev,
    ]
    world = World.create(nix, tmp_path, inputs="ab", hosts=hosts)
    base, new = world.head(), world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert (run["base"], run["commit"], world.locked()) == (base, world.head(), new)
    assert [(change["input"], change["new"]) for change in run["changes"]] == [("a", new)]
    assert run.statuses == {
        "web": "built",
        "same": "unchanged",
        "old": "broken-before",
        "arm": "not-buildable-here",
        "rev": "built",
    }
    assert world.git("diff", "--name-only", base, "main").split() == ["flake.lock"]
    told = world.git("log", "-1", "--format=%(trailers:key=Lockbot-Host,valueonly)", "main").splitlines()
    for name, status in run.statuses.items():
        assert any(line.split()[0].strip('"') == name and status in line for line in told), (name, status, told)
    drv = world.fleet.derivation(rev, world.head())
    out = nix.run("nix-store", "--query", "--outputs", drv).stdout.strip()
    assert out == next(host["out"] for host in run["hosts"] if host["name"] == "rev")
    nix.run("nix-store", "--check-validity", out)
    world.check()
    worked(world.update(), "unchanged")
    world.check()


def test_the_time_of_every_phase_is_on_record(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """That of the last one, too, within which the record is closed."""
    world = World.create(one_nix, tmp_path, hosts=[HostSpec("web", ["a"])])
    world.upstreams["a"].commit("second")
    shown = world.show(worked(world.update())["run"])
    assert list(shown["seconds"]) == ["sync", "propose", "judge", "publish"]
    assert min(shown["seconds"].values()) > 0


def test_a_dead_input_holds_back_only_itself(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path, inputs="abc")
    before = world.locked("b")
    new = world.upstreams["a"].commit("newer")
    world.upstreams["c"].commit("newer")
    shutil.rmtree(world.upstreams["b"].path)  # it is in Nix's cache still: the answer is stale, with rc 0
    run = worked(world.update(), "partly published")
    assert run.held == ["b"]
    assert run["held"][0]["revision"] == before == world.locked("b")
    assert world.locked("a") == new
    assert "b" in world.git("log", "-1", "--format=%B", "main")
    world.check()
    for name in "ac":
        shutil.rmtree(world.upstreams[name].path)
    head = world.head()
    run = worked(world.update(), "failed", 3)
    assert run["error"] and run["commit"] is None and world.head() == head
    world.check()


def test_a_bad_update_leaves_the_branch(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].break_build(text="it hurts")
    run = worked(world.update(), "rejected", 1)
    assert (run["commit"], world.head(), run.statuses) == (None, base, {"web": "failed"})
    (host,) = run["hosts"]
    assert host["failure"] == "build" and host["culprit"]
    world.check()
    world.upstreams["a"].fix()
    worked(world.update())
    world.check()


def test_all_green_blocks_what_was_broken_before(one_nix: nixes.Nix, tmp_path: Path) -> None:
    hosts = [HostSpec("web", ["a"]), HostSpec("old", ["a"], failure="throw")]
    world = World.create(one_nix, tmp_path, hosts=hosts)
    world.upstreams["a"].commit("newer")
    world.settings["build"] += '\ngate = "all-green"'
    run = worked(world.update(), "rejected", 1)
    assert run.statuses == {"web": "built", "old": "broken-before"}
    world.settings["build"] = world.settings["build"].replace("all-green", "no-regression")
    worked(world.update())
    world.check()


def test_a_dry_run_publishes_nothing_and_says_what_it_would_have(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    base = world.head()
    world.upstreams["a"].commit("newer")
    run = worked(world.update("--dry-run"))
    assert run["dry_run"] and run["commit"] is None and world.head() == base
    assert any("would publish" in note for note in run["notes"])
    world.check()
    real = worked(world.update())
    assert real["pushed"] and real["commit"] == world.head()
    world.check()


def test_no_push_moves_the_local_branch_only(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    assert world.remote is not None
    base = world.head()
    world.upstreams["a"].commit("newer")
    run = worked(world.update("--no-push"))
    assert not run["pushed"] and run["commit"] == world.head()
    assert run_git(world.remote, one_nix.environment, "rev-parse", "main").strip() == base
    world.check_repository()
    # what lockbot made and did not push is not in its own way later
    world.upstreams["a"].commit("newer still")
    run = worked(world.update())
    assert run["commit"] == world.head()
    world.check_repository()


@pytest.mark.parametrize("kind", ["remote", "bare"])
def test_other_repositories(one_nix: nixes.Nix, tmp_path: Path, kind: str) -> None:
    world = World.create(one_nix, tmp_path, kind=kind)
    new = world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert run["commit"] == world.head() and world.locked() == new
    assert run["pushed"] == (kind == "remote")
    world.check()


def test_a_repository_at_a_url(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="bare", flake_dir="machines/all")
    assert world.bare is not None
    world.settings["repository"] = f'url = "file://{world.bare}"\nflake_dir = "machines/all"'
    new = world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert run["pushed"] and run["commit"] == world.head() and world.locked() == new
    assert world.git("diff", "--name-only", run["base"], "main").split() == ["machines/all/flake.lock"]
    world.check()


def test_a_flake_in_a_sub_directory(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path, flake_dir="machines/all")
    new = world.upstreams["a"].commit("newer")
    inside = world.fleet.flake / "deeper"
    inside.mkdir()
    argv = world.argv("update", "--json")
    del argv[3:5]  # no configuration: found from the current directory
    run = worked(finish(world.start(argv=argv, cwd=inside, LOCKBOT_STATE__MIN_FREE="0")))
    assert world.locked() == new and run.statuses == {"web": "built"}
    inside.rmdir()
    world.check()


def test_hosts_are_chosen(one_nix: nixes.Nix, tmp_path: Path) -> None:
    hosts = [HostSpec(name, ["a"]) for name in ("web1", "web2", "db")]
    hosts += [HostSpec("tool", ["a"], kind="package"), HostSpec("alice", ["a"], kind="home")]
    world = World.create(one_nix, tmp_path, hosts=hosts)
    world.settings["hosts"] = (
        'include = ["web*", "homeConfigurations.*"]\nexclude = ["web2"]\nevaluate_only = ["alice"]\n'
        'attributes = ["packages.x86_64-linux.tool"]'
    )
    world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert run.statuses == {"web1": "built", "alice": "evaluated", "packages.x86_64-linux.tool": "built"}
    assert not {"host-web2", "host-db", "host-alice"} & set(world.fleet.built())
    world.check()


def test_a_flake_that_was_never_locked(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path, lock=False)
    run = worked(world.update())
    assert [(change["input"], change["kind"]) for change in run["changes"]] == [("a", "added")]
    assert run.statuses == {"web": "built"} or run.statuses == {"web": "unchanged"}
    world.check()
    worked(world.update(), "unchanged")


def test_nothing_to_update_or_to_judge(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, inputs="", hosts=[HostSpec("web")])
    worked(world.update(), "unchanged")
    world.check()
    world.fleet.declare(inputs=[Upstream.create(tmp_path, "late")], hosts=[])
    base = world.head()
    result = world.update()
    assert result.code == 2 and "no hosts" in result.stderr
    assert world.head() == base
    world.check()


def test_the_commit_is_as_configured(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    world.settings["commit"] = (
        'author = "Bot Ö <bot@example.org>"\ncommitter = "Comm <comm@example.org>"\n'
        f'sign = "ssh"\nsigning_key = "{key}"\nsubject = "flake: {{inputs}} ({{count}})"'
    )
    world.upstreams["a"].commit("newer")
    worked(world.update())
    shown = world.git("show", "-s", "--format=%an <%ae>|%cn <%ce>|%s", "main").strip()
    assert shown == "Bot Ö <bot@example.org>|Comm <comm@example.org>|flake: a (1)"
    allowed = tmp_path / "allowed"
    allowed.write_text(f"comm@example.org {(tmp_path / 'key.pub').read_text()}")
    world.git("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", "main")
    world.check()


def test_results_survive_collection_and_old_ones_go(fresh_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(fresh_nix, tmp_path)
    world.settings["state"] += "\nkeep_results = 2"
    made = []
    for _ in range(3):
        world.upstreams["a"].commit("newer")
        made.append(worked(world.update())["hosts"][0]["out"])
    fresh_nix.run("nix-store", "--gc")
    assert [Path(out).exists() for out in made] == [False, True, True]


def test_submodules_are_there_for_evaluation(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path)
    other = Upstream.create(tmp_path, "module")
    other.commit("file", files={"name.txt": "from the submodule"})
    world.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(other.path), "vendor/module")
    flake = world.fleet.flake / "flake.nix"
    flake.write_text(
        flake.read_text().replace(
            "import ./fleet.nix inputs",
            "builtins.seq (builtins.readFile ./vendor/module/name.txt) (import ./fleet.nix inputs)",
        )
    )
    world.fleet.commit({}, "a submodule that the hosts need")
    new = world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert run.statuses == {"web": "built"} and world.locked() == new
    world.check_repository()
    worked(world.update(), "unchanged")


def test_lfs_pointers_stay_pointers(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    world.fleet.commit({"picture.png": pointer}, "a pointer")
    world.fleet.commit({".gitattributes": "*.png filter=lfs diff=lfs merge=lfs -text\n"}, "lfs")
    with (Path(one_nix.environment["HOME"]) / ".gitconfig").open("a") as config:
        config.write(f'[filter "lfs"]\n\tsmudge = touch {tmp_path}/ran; false\n\tclean = cat\n\trequired = true\n')
    try:
        world.upstreams["a"].commit("newer")
        worked(world.update())
    finally:
        path = Path(one_nix.environment["HOME"]) / ".gitconfig"
        path.write_text(path.read_text().partition('[filter "lfs"]')[0])
    assert not (tmp_path / "ran").exists()
    world.check()


# -- a user at work while lockbot builds ---------------------------------------------------------------------


def test_a_commit_meanwhile_is_built_upon(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    new = world.upstreams["a"].commit("newer")
    theirs: list[str] = []
    run = worked(world.update_while(lambda: theirs.append(world.fleet.commit({"notes.txt": "mine"}, "mine"))))
    assert run["base"] == theirs[0] == world.head("main~1") and run["commit"] == world.head()
    assert world.locked() == new and (world.fleet.path / "notes.txt").read_text() == "mine"
    assert any("moved" in note for note in run["notes"])
    assert world.fleet.built().count("host-web") <= 2, "what did not change is not built again"
    world.check()


def test_a_lock_committed_meanwhile_is_the_new_base(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, inputs="ab")
    newer = world.upstreams["a"].commit("newer"), world.upstreams["b"].commit("newer")
    run = worked(world.update_while(lambda: world.fleet.update("a")))
    assert (world.locked("a"), world.locked("b")) == newer
    assert [change["input"] for change in run["changes"]] == ["b"]
    world.check()
    world.upstreams["a"].commit("newest")
    worked(world.update_while(lambda: world.fleet.update()), "unchanged")
    world.check()


@pytest.mark.parametrize("staged", [False, True], ids=["dirty", "staged"])
def test_a_dirty_lock_is_not_touched(one_nix: nixes.Nix, tmp_path: Path, staged: bool) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")
    path = world.fleet.flake / "flake.lock"
    before: list[str] = []

    def edit() -> None:
        path.write_text(path.read_text().replace("{", "{ ", 1))
        (world.fleet.flake / "new.txt").write_text("new")
        if staged:
            world.git("add", "flake.lock")
        before.append(snapshot(world))

    run = worked(world.update_while(edit), "stale", 1)
    assert snapshot(world) == before[0] and world.head() == base
    assert run["commit"] is None and run["parked"] == "lockbot/update-main"
    assert "flake.lock" in run["error"] and "stash" in run["hint"] and "merge" in run["hint"]
    assert world.head("lockbot/update-main~1") == base
    # the advice, followed to the letter
    for line in run["hint"].splitlines()[1:]:
        subprocess.run(shlex.split(line), check=True, env=world.fleet._environment, capture_output=True)
    assert world.head() == run["candidate"]


def snapshot(world: World) -> str:
    """The work tree and the index, byte for byte."""
    files = {
        str(path): path.read_bytes()
        for path in world.fleet.path.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    return repr((sorted(files.items()), world.git("ls-files", "--stage"), world.git("status", "--porcelain")))


def test_unrelated_changes_stay(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.fleet.commit({"one.txt": "one", "two.txt": "two"}, "files")
    new = world.upstreams["a"].commit("newer")

    def work() -> None:
        (world.fleet.path / "one.txt").write_text("dirty")
        (world.fleet.path / "two.txt").write_text("staged")
        world.git("add", "two.txt")
        (world.fleet.path / "three.txt").write_text("untracked")

    run = worked(world.update_while(work))
    assert run["commit"] == world.head() and world.locked() == new
    assert world.git("status", "--porcelain") == " M one.txt\nM  two.txt\n?? three.txt\n"
    assert [(world.fleet.path / f"{name}.txt").read_text() for name in ("one", "two", "three")] == [
        "dirty",
        "staged",
        "untracked",
    ]


def test_a_rebase_meanwhile_is_left_alone(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.fleet.commit({"file": "1"}, "one")
    base = world.fleet.commit({"file": "2"}, "two")
    world.upstreams["a"].commit("newer")
    run = worked(
        world.update_while(lambda: world.git("rebase", "--quiet", "--exec", "false", "HEAD~1", check=False)),
        "stale",
        1,
    )
    assert run["parked"] == "lockbot/update-main" and "rebase" in run["error"]
    world.git("rebase", "--abort")
    assert world.head() == base == world.head("lockbot/update-main~1")
    world.check_repository()


def test_a_deleted_branch_stays_deleted(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")

    def delete() -> None:
        world.git("checkout", "--quiet", "-b", "other")
        world.git("branch", "-D", "main")

    world.settings["repository"] = 'branch = "main"'
    run = worked(world.update_while(delete), "stale", 1)
    assert world.git("branch", "--list", "main") == "" and world.head("HEAD") == base
    assert run["parked"] == "lockbot/update-main" and "deleted" in run["error"]
    world.check_repository()
    result = world.update()
    assert result.code == 2 and "no branch" in (result.stderr + str(result.document))


def test_a_reset_branch_stays_reset(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    first = world.head()
    world.fleet.commit({"file": "regretted"}, "regretted")
    new = world.upstreams["a"].commit("newer")
    run = worked(world.update_while(lambda: world.git("reset", "--quiet", "--hard", first)))
    assert run["base"] == first == world.head("main~1") and world.locked() == new
    assert not (world.fleet.path / "file").exists()
    world.check()


def test_another_branch_checked_out_meanwhile(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.settings["repository"] = 'branch = "main"'
    base = world.head()
    new = world.upstreams["a"].commit("newer")
    run = worked(world.update_while(lambda: world.git("checkout", "--quiet", "-b", "other")))
    assert run["commit"] == world.head() and world.locked() == new
    assert world.head("HEAD") == base
    world.check()


def test_without_a_configured_branch_a_switch_does_not_change_what_is_meant(
    one_nix: nixes.Nix, tmp_path: Path
) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")

    def switch() -> None:
        world.git("checkout", "--quiet", "-b", "other")
        world.fleet.commit({"file": "other"}, "other")

    run = worked(world.update_while(switch))
    assert run["branch"] == "main" and run["commit"] == world.head() and run["base"] == base
    assert world.git("log", "--format=%s", "other").splitlines()[0] == "other"


def test_a_branch_that_keeps_moving_is_stale(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    move = f'git -C {world.fleet.path} commit --quiet --allow-empty -m "again"'
    world.wrap("nix", f'"$real" "$@"; code=$?; [ "$1 $2" = "flake update" ] && {move}; exit $code')
    world.settings["run"] = "publish_tries = 2"
    world.settings["security"] = f'readable = ["{tmp_path}"]'  # for the wrapper's git, in Nix's place
    run = worked(world.update(), "stale", 1)
    assert run["commit"] is None and run["parked"] is None
    assert world.git("log", "--format=%s", "main").splitlines() == ["again", "again", "first"]
    world.check()


def test_a_push_meanwhile_is_built_upon(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    colleague = tmp_path / "colleague"
    world.git("clone", "--quiet", str(world.remote), str(colleague))
    new = world.upstreams["a"].commit("newer")

    def push(*how: str) -> Callable[[], None]:
        def act() -> None:
            run_git(colleague, one_nix.environment, "pull", "--quiet", "--rebase")
            run_git(colleague, one_nix.environment, "commit", "--quiet", "--allow-empty", "-m", "theirs", *how)
            run_git(colleague, one_nix.environment, "push", "--quiet", "--force")

        return act

    run = worked(world.update_while(push()))
    assert run["pushed"] and world.locked() == new
    assert world.git("log", "--format=%s", "main").splitlines()[1:] == ["theirs", "first"]
    world.check()
    # a force-push: the user's local branch has what the remote lost; nobody's commit is thrown away
    world.upstreams["a"].commit("newest")
    mine, remote = world.head(), world.remote
    assert remote is not None
    run = world.update_while(push("--amend"))
    assert world.git("merge-base", "--is-ancestor", mine, "main", check=False) == ""
    theirs = run_git(colleague, one_nix.environment, "rev-parse", "HEAD").strip()
    assert run_git(remote, one_nix.environment, "merge-base", "--is-ancestor", theirs, "main") == ""
    assert run["outcome"] in ("published", "stale") and not run["pushed"]
    assert any("diverged" in note for note in run["notes"])
    world.check_repository()


# -- being stopped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stopped_in_a_build(one_nix: nixes.Nix, tmp_path: Path, number: signal.Signals) -> None:
    world = World.create(one_nix, tmp_path, hosts=[HostSpec("web", ["a"], seconds=600)])
    base = world.head()
    world.upstreams["a"].commit("newer")
    process = world.start()
    wait_for(lambda: world.fleet.built() or process.poll() is not None)
    process.send_signal(number)
    run = worked(finish(process), "interrupted", 130)
    assert number.name in run["error"] and world.head() == base
    world.check()


def test_git_variables_of_a_hook_do_not_lead_astray(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    decoy = Fleet.create(tmp_path / "decoy", one_nix)
    before = decoy.head(), decoy.git("status", "--porcelain")
    world.upstreams["a"].commit("newer")
    run = worked(
        world.update(
            GIT_DIR=str(decoy.path / ".git"),
            GIT_WORK_TREE=str(decoy.path),
            GIT_INDEX_FILE=str(decoy.path / ".git/index"),
            GIT_OBJECT_DIRECTORY=str(decoy.path / ".git/objects"),
        )
    )
    assert run["commit"] == world.head() and (decoy.head(), decoy.git("status", "--porcelain")) == before
    world.check()


def test_hooks_do_not_run(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    hooks = world.fleet.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "post-checkout", "post-merge", "reference-transaction", "post-commit", "pre-push"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    world.upstreams["a"].commit("newer")
    worked(world.update())
    assert not (tmp_path / "ran").exists()
    for hook in hooks.iterdir():
        hook.unlink()
    world.check()
