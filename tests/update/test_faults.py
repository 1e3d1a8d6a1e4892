"""Killed at any instant, or with its surroundings failing: the next run heals, and nobody is wrongly blamed."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests import nixes
from tests.sampling import some
from tests.update.test_cycle import worked
from tests.update.world import World, finish

# -- kill -9 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    some([" lockbot-fast-forward ", " push ", " worktree add ", " flake update ", " eval ", " --realise "], 3),
)
def test_killed_while_a_child_works(one_nix: nixes.Nix, tmp_path: Path, step: str) -> None:
    """The child is ended at whatever it is; if it came to its end, the next run copes with that, too."""
    world = World.create(one_nix, tmp_path, kind="remote")
    new = world.upstreams["a"].commit("newer")
    for program in ("git", "nix", "nix-store"):
        world.wrap(
            program,
            f'case " $* " in *"{step}"*) mkdir $here/once 2>/dev/null && kill -9 $PPID && sleep 0.3;; esac\n'
            'exec $real "$@"',
        )
    process = world.start()
    assert finish(process).code == -signal.SIGKILL
    run = world.update()
    assert run.code == 0 and world.locked() == new, (run.document, run.stderr)
    worked(world.update(), "unchanged")
    world.check_repository()
    world.check_state()


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_a_torn_merge_is_finished(one_nix: nixes.Nix, tmp_path: Path, kind: str) -> None:
    """git dies together with lockbot, when the files are written and the branch has not moved."""
    world = World.create(one_nix, tmp_path, kind=kind)
    world.upstreams["a"].commit("newer")
    world.wrap(
        "git",
        """
        case " $* " in *" lockbot-fast-forward "*)
            for commit; do :; done
            $real -C "$2" read-tree -m -u HEAD $commit
            kill -9 $PPID; exit 1;;
        esac
        exec $real "$@"
        """,
    )
    assert finish(world.start()).code == -signal.SIGKILL
    world.unwrap()
    assert world.git("status", "--porcelain") == "M  flake.lock\n"
    new = world.upstreams["a"].commit("newer still: the half-written lock is nobody's wish any more")
    worked(world.update())
    assert world.locked() == new
    assert [run["outcome"] for run in world.runs()] == ["published", "published"]
    world.check()


def killed_after_the_move(world: World) -> None:
    """The branch has moved; nothing is recorded yet."""
    base = world.head()
    world.observed(" lockbot-fast-forward ")
    assert world.head() != base and world.runs()[-1]["outcome"] is None


def test_the_record_of_a_killed_run_is_completed(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    killed_after_the_move(world)
    run, commit = world.runs()[-1]["id"], world.head()
    # the user goes on with something else meanwhile
    world.git("checkout", "--quiet", "-b", "other")
    world.fleet.commit({"file": "other"}, "other")
    world.settings["repository"] = 'branch = "main"'
    worked(world.update(), "unchanged")
    shown = world.show(run)
    assert (shown["outcome"], shown["commit"]) == ("published", commit)
    assert [change["input"] for change in shown["changes"]] == ["a"]
    (host,) = shown["hosts"]
    assert (host["name"], host["status"]) == ("web", "built")
    assert host["out"] in {str(link.resolve()) for link in (world.place / "roots").glob(f"????????/{run}/*")}


def test_a_killed_run_is_looked_for_on_its_own_branch(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    base = world.head()
    killed_after_the_move(world)
    run = world.runs()[-1]["id"]
    world.git("checkout", "--quiet", "-b", "other", base)
    worked(world.update())  # this time it is about `other`
    assert world.show(run)["outcome"] == "published"


def test_a_killed_run_of_another_branch_is_left_to_it_where_its_commit_is_not_seen(
    one_nix: nixes.Nix, tmp_path: Path
) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    base = world.head()
    killed_after_the_move(world)
    run = world.runs()[-1]["id"]
    world.git("reset", "--quiet", "--hard", base)  # it may be on a remote that the other's configuration lacks
    world.git("checkout", "--quiet", "-b", "other")
    worked(world.update())
    assert world.show(run)["outcome"] is None
    world.git("checkout", "--quiet", "main")
    worked(world.update())
    assert world.show(run)["outcome"] == "interrupted"
    assert world.head() == world.runs()[-1]["published"]


# -- the surroundings ----------------------------------------------------------------------------------------


def test_a_fetch_that_fails_once_is_tried_again(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path, inputs="ab")
    new = [world.upstreams[name].commit("newer") for name in "ab"]
    # the first time all together, and the first time alone
    world.wrap(
        "nix",
        """
        if [ "$1 $2" = "flake update" ] && { mkdir $here/one || { [ "$3" = b ] && mkdir $here/two; }; } 2>/dev/null
        then echo "error: unable to download 'https://example.org/b': Could not resolve host" >&2; exit 1; fi
        exec $real "$@"
        """,
    )
    run = worked(world.update())
    assert [world.locked(name) for name in "ab"] == new and run.held == []
    assert (tmp_path / "wrappers/two").exists()
    world.check()


def test_a_push_that_dies_after_the_move_counts(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    world.upstreams["a"].commit("newer")
    world.wrap(
        "git",
        """
        case " $* " in
        *" push "*) $real "$@" >/dev/null 2>&1; echo "fatal: the remote end hung up" >&2; exit 128;;
        esac
        exec $real "$@"
        """,
    )
    run = worked(world.update())
    assert run["pushed"]
    world.check()


def test_a_remote_that_is_away(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    assert world.remote is not None
    base = world.head()
    world.upstreams["a"].commit("newer")
    away = world.remote.with_name("away")
    world.remote.rename(away)
    run = worked(world.update(), "failed", 3)
    assert "origin" in run["error"] and world.head() == base
    away.rename(world.remote)
    # it goes just before the push: nothing has moved anywhere, and the next run starts over
    world.wrap("git", f'case " $* " in *" push "*) mv {world.remote} {away};; esac\nexec $real "$@"')
    run = worked(world.update(), "failed", 3)
    assert run["commit"] is None and world.head() == base
    away.rename(world.remote)
    world.unwrap()
    worked(world.update())
    world.check()


def test_a_refused_push_leaves_everything(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    assert world.remote is not None
    base = world.head()
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected, sorry >&2\nexit 1\n")
    hook.chmod(0o755)
    world.upstreams["a"].commit("newer")
    run = worked(world.update(), "failed", 3)
    assert "protected, sorry" in run["error"] and run["commit"] is None and world.head() == base
    world.check()
    hook.unlink()
    worked(world.update())
    world.check()


def test_collected_between_evaluation_and_build(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path)
    new = world.upstreams["a"].commit("newer")
    world.wrap(
        "nix-store",
        """
        case "$*" in *--keep-going*.drv*)
            if mkdir $here/once 2>/dev/null; then
                for word; do case "$word" in *.drv) $real --delete --ignore-liveness "$word" >&2;; esac; done
            fi;;
        esac
        exec $real "$@"
        """,
    )
    worked(world.update())
    assert (tmp_path / "wrappers/once").exists() and world.locked() == new
    world.check()


def test_a_store_that_is_away(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")
    socket = tmp_path / "no-socket"
    run = worked(world.update(NIX_REMOTE=f"unix://{socket}"), "failed", 3)
    assert "socket" in run["error"] and run.held == [] and world.head() == base
    worked(world.update())
    world.check()


def test_a_store_that_goes_away_in_the_middle(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")
    world.wrap(
        "nix-store",
        """
        case "$*" in *--keep-going*)
            echo "error: Nix daemon disconnected unexpectedly (maybe it crashed?)" >&2; exit 1;;
        esac
        exec $real "$@"
        """,
    )
    run = worked(world.update(), "unjudged", 1)
    assert run["commit"] is None and world.head() == base
    assert [(host["answer"], host["evidence"]) for host in run["hosts"]] == [("unjudged", "daemon")]
    world.unwrap()
    worked(world.update())
    world.check()


def test_too_little_room_is_said_before_anything_starts(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base = world.head()
    world.upstreams["a"].commit("newer")
    world.settings["state"] = 'min_free = "900T"'
    run = worked(world.update(), "failed", 3)
    assert "floor" in run["error"] and world.head() == base
    assert [record["outcome"] for record in world.runs()] == ["failed"]


def test_a_damaged_history_is_put_aside(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    worked(world.update())
    path = tmp_path / "state/lockbot/history.sqlite"
    path.write_bytes(b"not a database" + path.read_bytes()[14:])
    world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert any("damaged" in note for note in run["notes"])
    world.check_repository()
    assert [record["published"] for record in world.runs()] == [world.head()]


def test_a_damaged_clone_is_made_anew(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    worked(world.update())
    for path in (world.place / "clone.git/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")
    world.upstreams["a"].commit("newer")
    run = worked(world.update())
    assert any("made anew" in note for note in run["notes"])
    world.check()


def test_damage_that_only_a_late_step_reads_is_healed(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    world.fleet.commit({"README": "words"}, "words")
    world.upstreams["a"].commit("newer")
    worked(world.update())
    new = world.upstreams["a"].commit("newer still")
    # what the last commit that is not lockbot's was made on: looked at where a candidate is judged, not before
    tree = world.head("refs/heads/main~2^{tree}")
    found = world.place / "clone.git/objects" / tree[:2] / tree[2:]
    found.chmod(0o600)
    found.write_bytes(bytes(byte ^ 0x5A for byte in found.read_bytes()))
    run = worked(world.update())
    assert any("clone was damaged" in note and "the run began anew" in note for note in run["notes"])
    assert world.locked() == new
    world.check()


def test_the_clock_goes_backwards(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """A day passes between two runs, the wrong way round: the order of the records is wrong, nothing else."""
    world = World.create(one_nix, tmp_path)
    world.upstreams["a"].commit("newer")
    worked(world.update())
    with closing(sqlite3.connect(tmp_path / "state/lockbot/history.sqlite")) as connection:
        connection.execute("UPDATE runs SET started = '2099-01-01T00:00:00+00:00', finished = started")
        connection.commit()
    new = world.upstreams["a"].commit("newer")
    worked(world.update())
    assert world.locked() == new
    world.check()
    worked(world.update(), "unchanged")


def test_a_clock_that_is_set_back_while_lockbot_runs(nix: nixes.Nix, tmp_path: Path) -> None:
    """What Nix has just seen it saw in ten years: upstream is asked all the same."""
    world = World.create(nix, tmp_path, inputs="ab")
    world.upstreams["a"].commit("newer")
    worked(world.update())
    new = [world.upstreams[name].commit("newer still") for name in "ab"]
    cache = Path(world.nix.environment["XDG_CACHE_HOME"], "nix")
    world.wrap(
        "nix",
        f"""
        case "$*" in *"#look "*)
            $real "$@"; code=$?
            find {cache}/gitv* -type f -exec touch -d '+10 years' {{}} + && : >$here/once
            exit $code;;
        esac
        exec $real "$@"
        """,
    )
    worked(world.update())
    assert (tmp_path / "wrappers/once").exists() and [world.locked(name) for name in "ab"] == new
    world.check()
