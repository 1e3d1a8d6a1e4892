"""Requests for a branch that takes signed commits only."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.pull_requests.conftest import Make, by_turns
from tests.pull_requests.test_weeks import EACH, A, steps


@by_turns("forgejo")
def test_a_request_from_before_is_signed_anew_before_it_lands(nights: Make, tmp_path: Path) -> None:
    here = nights(publish='merge = "when-checks-pass"', more=EACH)
    here.forge.require_check()
    here.upstream("a")
    assert steps(here.night()) == {A: "opened"}
    unsigned, main = here.tip(A), here.tip()
    here.forge.check(unsigned, "success")

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "bot"], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"bot@x {(tmp_path / 'bot.pub').read_text()}")
    here.world.settings["commit"] = f'sign = "ssh"\nsigning_key = "{tmp_path}/bot"\nverify = "{signers}"'
    refused = here.night(ends=3)
    assert refused["error"].endswith("it carries no signature"), "nobody signed what is on main"
    take = refused["hint"].rpartition(": ")[2]
    subprocess.run(["sh", "-c", take], env=here.world.environment, check=True)

    assert here.settle()["landed"] is None
    (waiting,) = here.listed()
    assert waiting["waits"].startswith(f"commit {unsigned[:12]} by ")
    assert steps(here.night())[A] == "updated"
    assert here.tip() == main, "its checks have passed, and it is not signed"
    signed = here.tip(A)
    assert signed != unsigned
    here.forge.check(signed, "success")
    assert steps(here.night()) == {A: "landed"}
    assert here.tip() == signed
    here.check()
