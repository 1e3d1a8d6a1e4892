"""What is published is what was judged, also of hosts that know what the commit is called."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from lockbot.report import events
from tests import nixes
from tests.update.site import Site, fine

_FLAKE = """\
{ inputs.a = { url = "git+file://@SITE@/a"; flake = false; };
  inputs.b = { @OF_B@ };
  outputs = { self, a, b }: let
    host = name: text: { config.system.build.toplevel = derivation {
      inherit name text; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo $text >$out" ];
      part = toString (import "${a}/part.nix" { plain = name: script: more: script; root = ./.; });
      site = "@SITE@";
    }; };
  in { nixosConfigurations = { plain = host "plain" "text"; named = host "named" (@NAME@); }; };
}
"""
_ASKS = '{ inputs.parent.url = "git+file://@SITE@/a"; outputs = { self, parent }: { name = parent.rev; }; }'
_BESIDE = "{ outputs = { self }: { name = self.rev; }; }"
_PLAIN = 'url = "git+file://@SITE@/b"; flake = false;'

WAYS = {
    "it is asked": (_PLAIN, "self.rev", {}),
    "an input follows the flake": (
        'url = "git+file://@SITE@/b"; inputs.parent.follows = "";',
        "b.name",
        {"flake.nix": _ASKS},
    ),
    "an input lies in the flake": ('url = "path:./beside";', "b.name", {}),
    "git archive writes it": (_PLAIN, "builtins.readFile ./name", {}),
}
"""How a host comes to know it: where input b is, the expression, b's files."""


@pytest.mark.parametrize("way", WAYS)
def test_what_is_published_is_what_was_judged(nix: nixes.Nix, tmp_path: Path, way: str) -> None:
    of_b, name, files = WAYS[way]
    with ExitStack() as cleanup:
        site = Site(nix, tmp_path, cleanup)
        cleanup.callback(site.server.close)
        site.commit("a", fine(1))
        site.commit_files("b", {path: text.replace("@SITE@", str(site)) for path, text in files.items()})
        flake = _FLAKE.replace("@OF_B@", of_b).replace("@NAME@", name).replace("@SITE@", str(site))
        attributes = {".gitattributes": "name export-subst\n"} if "git archive" in way else {}
        (tmp_path / "flake" / "beside").mkdir(parents=True)
        site.git("flake", "init", "--quiet", "--initial-branch=main")
        (tmp_path / "flake" / "beside" / "flake.nix").write_text(_BESIDE)
        site.commit_files("flake", {"flake.nix": flake, "name": "$Format:%H$", **attributes})
        nix.run("nix", "flake", "lock", cwd=tmp_path / "flake")
        site.commit_files("flake", {})
        site.commit("a", fine(2))
        code, run = site.lockbot("update")
        assert code == 0
        assert run["commit"] == run["candidate"] == site.head
        drvs = "builtins.mapAttrs (_: host: host.config.system.build.toplevel.drvPath)"
        asked = nix.run(
            *("nix", "eval", "--json", f"git+file://{site}/flake?rev={site.head}#nixosConfigurations"),
            *("--apply", drvs),
            cwd=tmp_path,
        )
        assert json.loads(asked.stdout) == {host["name"]: host["drv"] for host in run["hosts"]}
        nix.run("nix-store", "--check-validity", *(host["out"] for host in run["hosts"]))
        if nix.version == nixes.discover()[-1].version:  # what a message claims, no version of Nix decides
            _check_claims(site)


def _check_claims(site: Site) -> None:
    """Another lockbot, which looks at the commit alone, finds that it is as claimed."""
    code, found = site.lockbot("verify", site.head)
    assert (code, found["findings"], found["unjudged"]) == (0, [], [])
    claims = {row["host"]: row["claimed"] for row in found["hosts"]}
    assert claims["named"] == "built names-commit"


def test_a_good_update_is_evaluated_once(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """What is known of a host holds for the commit that tells of it, unless its derivation depends on that."""
    with ExitStack() as cleanup:
        site = Site(one_nix, tmp_path, cleanup)
        cleanup.callback(site.server.close)
        site.write(fine(1))
        site.commit("a", fine(2))
        _, run = site.lockbot("update")
        log = tmp_path / "state" / "logs" / run["run"] / events.FILE
        told = [json.loads(line) for line in log.read_text().splitlines()]
        seen = [(one["host"], one["at"]) for one in told if one["event"] == "evaluating"]
        assert sorted(seen) == [(host, at) for host in ("alpha", "beta") for at in ("base", "candidate")]
