"""A search whose budget ends goes on in the next run from what it found out, and asks nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockbot.judge.verdict_cache import VerdictCache
from lockbot.model import Host, Outcome, Phase, PhaseStarted
from lockbot.process import CancelToken
from lockbot.retention import MOST_VERDICTS
from lockbot.search.interface import Response
from tests import nixes
from tests.fleet import HostSpec
from tests.update.inside import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86400.0
WEB, DB = (Host(name, ("nixosConfigurations", name)) for name in ("web", "db"))


def judgements(world: World) -> int:
    """How many candidates were judged since this was asked last."""
    count = sum(isinstance(event, PhaseStarted) and event.phase is Phase.JUDGE for event in world.events)
    world.events.clear()
    return count


def test_run_by_run_a_small_budget_comes_to_the_same_end(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    hosts = [HostSpec("web", ["a", "b"]), HostSpec("db", ["c"])]
    world = World(one_nix, tmp_path, cancel, hosts, "abc", {"LOCKBOT_SEARCH__PROBES": "4"})
    upstream = world.upstreams["a"]
    upstream.history([f"fine {n}" for n in range(3)])
    culprit = upstream.break_build(hosts=["web"])
    upstream.history([f"later {n}" for n in range(3)])
    spent: list[int] = []
    while len(spent) < 8 and spent[-1:] != [1]:
        world.update()
        spent.append(judgements(world))
    assert world.moved() == {"a": "5", "b": "2", "c": "2"}
    assert len(spent) > 2
    assert max(spent) <= 5, "the budget, and what is published is judged with its message"
    assert spent[-1] == 1, "all is known: only everything together is looked at"
    bad = world.state("a").culprit
    assert bad is not None
    assert (bad.revision, bad.exact) == (culprit, True)
    assert world.update(retry_failed=True).outcome is Outcome.REJECTED
    assert judgements(world) > 1


def test_a_verdict_is_found_again_for_the_same_lock_host_and_context(tmp_path: Path) -> None:
    red = Response(frozenset({"web"}), at_evaluation=frozenset({"web"}), suspects={"web": ("b", "a")})
    kept = VerdictCache(tmp_path / "answers", "here", NOW, DAY)
    kept.learn(b"lock", [WEB, DB], red)

    def find(lock: bytes = b"lock", context: str = "here", after: float = 0.0) -> Response | None:
        again = VerdictCache(tmp_path / "answers", context, NOW + timedelta(seconds=after), DAY)
        return again.find(lock, [WEB, DB])

    assert find() == red
    assert find(after=DAY - 1) == red
    assert find(after=DAY) is None
    assert find(after=-1) is None, "the clock was ahead"
    assert find(lock=b"other") is None
    assert find(context="there") is None


def test_what_could_not_be_judged_is_not_kept(tmp_path: Path) -> None:
    kept = VerdictCache(tmp_path / "answers", "", NOW, DAY)
    kept.learn(b"", [WEB, DB], Response(unknown=frozenset({"web"})))
    assert kept.find(b"", [WEB]) is None
    assert kept.find(b"", [DB]) == Response()


def test_who_was_built_was_evaluated_too(tmp_path: Path) -> None:
    kept = VerdictCache(tmp_path / "answers", "", NOW, DAY)
    kept.learn(b"", [WEB], Response(frozenset({"web"})))
    looked_at = replace(WEB, evaluate_only=True)
    assert kept.find(b"", [looked_at]) == Response()


def test_a_file_that_is_damaged_is_none(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    for text in ("", "{", "[]", '{"a": 1}', '{"a": [1, 2, 3, 4]}', "\ud800"):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert VerdictCache(path, "", NOW, DAY).find(b"", [WEB]) is None
    nowhere = VerdictCache(tmp_path / "nowhere" / "answers", "", NOW, DAY)
    nowhere.learn(b"", [WEB], Response())
    assert nowhere.find(b"", [WEB]) == Response()


def test_it_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    kept = VerdictCache(path, "", NOW, DAY)
    hosts = [Host(f"h{n}", (f"h{n}",)) for n in range(MOST_VERDICTS)]
    kept.learn(b"", hosts, Response())
    size = path.stat().st_size
    kept.learn(b"more", hosts, Response())
    assert path.stat().st_size == size
