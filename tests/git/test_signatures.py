"""Branches that take signed commits only: real keys, real ssh-keygen, and what is refused of whom."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import SurroundingsError, UsageError
from lockbot.git.clone import Clone
from lockbot.git.commits.signatures import SignatureError, check_signers, require_branch
from lockbot.git.publish import Moved, publish
from lockbot.git.source import LocalSource
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import Authorship, Signing, SigningFormat, recommit, try_signing
from tests.git.world import LOCKBOT, WHEN, World


def keygen(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


class Signed:
    """A world whose branch takes signed commits: `ann` may sign, `eve` may not; lockbot has a key of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = {name: keygen(world.root / name) for name in ("ann", "eve", "bot")}
        self.file = world.root / "allowed signers"
        self.allow("ann", "bot")

    def allow(self, *names: str, options: str = "") -> None:
        keys = [self.keys[name].with_suffix(".pub").read_text() for name in names]
        self.file.write_text("# who may\n\n" + "".join(f"{LOCKBOT.email} {options} {key}" for key in keys))

    def user(self, subject: str, key: str | None) -> str:
        """A commit of the user's, signed by a key (None: by none)."""
        world = self.world
        (world.user / "file").write_text(subject)
        world.git(world.user, "add", "--all")
        signing = [*_by(self.keys[key]), "commit", "-S"] if key else ["commit"]
        world.git(world.user, *signing, "--quiet", "-m", subject)
        return world.tip(world.user, "HEAD")

    def open(self) -> Clone:
        return replace(self.world.open(), signers=self.file)

    def synced(self) -> tuple[Clone, Base]:
        clone = self.open()
        return clone, sync(clone, self.source)

    def verify(self) -> int:
        clone, base = self.synced()
        return require_branch(clone, base.branch, base.commit, remember=True)

    @property
    def source(self) -> LocalSource:
        return self.world.source()

    def signing(self, name: str) -> Signing:
        return Signing(SigningFormat.SSH, str(self.keys[name]))


def _by(key: Path) -> list[str]:
    return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}"]


@pytest.fixture
def signed(world: World) -> Signed:
    return Signed(world)


def test_only_the_head_is_verified_at_first_and_then_all_that_is_new(signed: Signed) -> None:
    signed.user("one", "ann")  # below it lies the world's first commit, which nobody signed
    assert signed.verify() == 1
    assert signed.verify() == 1, "the head, each time"
    for subject in ("two", "three"):
        signed.user(subject, "ann")
    assert signed.verify() == 2


def test_a_head_that_nobody_signed_is_refused(signed: Signed) -> None:
    made = signed.user("one", None)
    with pytest.raises(SignatureError) as caught:
        signed.verify()
    assert caught.value.message.startswith(f"commit {made[:12]} by ")
    assert caught.value.message.endswith(
        f" ('one') is not signed by a key in {signed.file}: it carries no signature"
    )
    assert f"git show {made[:12]}" in caught.value.hint


def test_a_commit_below_a_signed_head_is_refused(signed: Signed) -> None:
    signed.user("one", "ann")
    signed.verify()
    unsigned = signed.user("two", None)
    signed.user("three", "ann")
    for _ in range(2):  # what was refused is not taken for verified
        with pytest.raises(SignatureError, match=f"commit {unsigned[:12]} .*carries no signature"):
            signed.verify()


def test_a_key_that_is_not_allowed(signed: Signed) -> None:
    signed.user("one", "eve")
    with pytest.raises(SignatureError, match=r"its key, SHA256:.*, is not there, or was not valid"):
        signed.verify()
    signed.allow("ann", "eve")
    assert signed.verify() == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ('valid-before="20200101"', "was not valid on the commit's date"),
        ('valid-after="20990101"', "was not valid on the commit's date"),
        ('namespaces="file"', "is not meant for git"),
    ],
)
def test_what_a_key_may_not_sign(signed: Signed, options: str, why: str) -> None:
    signed.user("one", "ann")
    signed.allow("ann", options=options)
    with pytest.raises(SignatureError, match=why):
        signed.verify()
    signed.allow("ann", options='namespaces="git,file",valid-after="20200101"')
    assert signed.verify() == 1


def test_whose_key_was_taken_away_has_no_head_any_more(signed: Signed) -> None:
    signed.user("one", "ann")
    signed.verify()
    signed.allow("bot")
    with pytest.raises(SignatureError):
        signed.verify()


def test_a_branch_that_goes_back_does_not_get_by(signed: Signed) -> None:
    unsigned = signed.user("one", None)
    signed.user("two", "ann")
    signed.verify()
    signed.world.git(signed.world.user, "reset", "--quiet", "--hard", unsigned)
    with pytest.raises(SignatureError, match="carries no signature"):
        signed.verify()


def test_what_a_merge_brings_is_verified_on_both_sides(signed: Signed) -> None:
    world = signed.world
    signed.user("one", "ann")
    signed.verify()
    world.git(world.user, "checkout", "--quiet", "-b", "side")
    foreign = signed.user("on the side", "eve")
    world.git(world.user, "checkout", "--quiet", "main")
    world.git(world.user, *_by(signed.keys["ann"]), "commit", "-S", "--quiet", "--allow-empty", "-m", "two")
    world.git(world.user, *_by(signed.keys["ann"]), "merge", "-S", "--quiet", "--no-ff", "-m", "merge", "side")
    with pytest.raises(SignatureError, match=f"commit {foreign[:12]} "):
        signed.verify()
    signed.allow("ann", "eve")
    assert signed.verify() == 3


def test_a_person_can_take_the_branch_as_it_is(signed: Signed) -> None:
    signed.user("one", "ann")
    signed.verify()
    signed.user("two", None)
    with pytest.raises(SignatureError) as caught:
        signed.verify()
    command = caught.value.hint.rpartition(": ")[2]
    subprocess.run(["sh", "-c", command], env=signed.world.environ, check=True)
    assert signed.verify() == 0
    signed.user("three", "ann")
    assert signed.verify() == 1
    signed.user("four", None)
    with pytest.raises(SignatureError, match="carries no signature"):
        signed.verify()


def test_the_users_own_trust_has_no_say(signed: Signed) -> None:
    everybody = signed.world.root / "everybody"
    everybody.write_text(f"* {signed.keys['eve'].with_suffix('.pub').read_text()}")
    for scope in ("--global", "--local"):
        signed.world.git(signed.world.user, "config", scope, "gpg.ssh.allowedSignersFile", str(everybody))
    signed.user("one", "eve")
    with pytest.raises(SignatureError):
        signed.verify()


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_gpg_does_not_count_whoever_is_in_the_keyring(signed: Signed) -> None:
    world = signed.world
    home = Path("/tmp") / f"lockbot-gpg-{world.root.name}"  # noqa: S108  # the agent's socket needs a short path
    home.mkdir(mode=0o700)
    world.environ["GNUPGHOME"] = str(home)
    try:
        options = ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", LOCKBOT.email]
        subprocess.run(["gpg", *options], env=world.environ, check=True, capture_output=True)
        world.git(world.user, "commit", f"-S{LOCKBOT.email}", "--quiet", "--allow-empty", "-m", "by gpg")
        world.git(world.user, "verify-commit", "HEAD")
        with pytest.raises(SignatureError, match="its signature is none of SSH's"):
            signed.verify()
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=world.environ, check=False)
        shutil.rmtree(home, ignore_errors=True)


def test_without_ssh_keygen_nothing_counts(signed: Signed) -> None:
    signed.user("one", "ann")
    few = signed.world.root / "few"
    few.mkdir()
    for name in ("env", "git", "sh"):
        (few / name).symlink_to(str(shutil.which(name)))
    signed.world.environ["PATH"] = str(few)
    with pytest.raises(SurroundingsError, match="ssh-keygen is not on PATH"):
        signed.verify()


def test_a_signature_moved_to_another_commit_is_bad(signed: Signed) -> None:
    world = signed.world
    made = signed.user("one", "ann")
    text = world.git(world.user, "cat-file", "commit", made) + "\n"
    forged = text.replace("\n\none", "\n\nother")
    assert forged != text
    hashed = ["git", "-C", str(world.user), "hash-object", "-t", "commit", "-w", "--stdin"]
    found = subprocess.run(hashed, input=forged, env=world.environ, capture_output=True, text=True, check=True)
    world.git(world.user, "update-ref", "refs/heads/main", found.stdout.strip())
    with pytest.raises(SignatureError, match="its signature is BAD"):
        signed.verify()


def test_many_commits_are_asked_in_turns(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockbot.git.commits.signatures._AT_ONCE", 2)
    signed.user("one", "ann")
    signed.verify()
    unsigned = signed.user("two", None)
    for subject in ("three", "four", "five"):
        signed.user(subject, "ann")
    with pytest.raises(SignatureError, match=f"commit {unsigned[:12]} "):
        signed.verify()


def test_names_and_subjects_of_any_kind_hide_nobody(signed: Signed) -> None:
    world = signed.world
    signed.user("one", "ann")
    signed.verify()
    evil = "x\x01%G?\tG\u2028é"
    world.git(world.user, "-c", f"user.name={evil}", "commit", "--quiet", "--allow-empty", "-m", f"{evil}\n\nG\n")
    signed.user("two", "ann")
    with pytest.raises(SignatureError, match="carries no signature"):
        signed.verify()


# -- what lockbot itself commits ----------------------------------------------------------------------------------


def test_what_lockbot_signs_is_published(signed: Signed) -> None:
    signed.user("one", "ann")
    clone, base = signed.synced()
    made = signed.world.candidate(clone, signed.source, base, sign=signed.signing("bot"))
    assert publish(clone, signed.source, base, made, run="r1") == Moved(pushed=False)
    assert signed.world.tip(signed.world.user) == made


def test_a_key_of_lockbots_that_is_not_allowed_is_told_when_it_first_signs(signed: Signed) -> None:
    signed.user("one", "ann")
    clone, base = signed.synced()
    with pytest.raises(SignatureError, match="its key, SHA256:"):
        signed.world.candidate(clone, signed.source, base, sign=signed.signing("eve"))
    assert clone.kept() == {}
    with pytest.raises(SignatureError):
        try_signing(clone, Authorship(LOCKBOT, sign=signed.signing("eve")), WHEN)
    try_signing(clone, Authorship(LOCKBOT, sign=signed.signing("bot")), WHEN)
    assert clone.kept() == {}


@pytest.mark.parametrize("key", [None, "eve"])
def test_nothing_is_published_that_no_allowed_key_signed(signed: Signed, key: str | None) -> None:
    signed.user("one", "ann")
    world = signed.world.with_remote()
    clone, base = signed.synced()
    sign = signed.signing(key) if key else None
    made = world.candidate(replace(clone, signers=None), signed.source, base, sign=sign)
    with pytest.raises(SignatureError):
        publish(clone, signed.source, base, made, run="r1")
    assert world.tip(world.user) == world.tip(world.remote) == base.commit
    # Nor what lies between: the last of a series.
    told = recommit(replace(clone, signers=None), made, "lower\n\nLockbot-Run: r1\n", name="r1", sign=sign)
    lower = Base(told, base.branch, base.local, base.remote, push_allowed=True)
    upper = world.candidate(clone, signed.source, lower, "upper", sign=signed.signing("bot"))
    with pytest.raises(SignatureError, match=f"commit {told[:12]} "):
        publish(clone, signed.source, base, upper, run="r1")
    assert world.tip(world.user) == world.tip(world.remote) == base.commit


# -- the file of allowed signers ----------------------------------------------------------------------------------

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKIW7GTtuX5uT5b4yzcUzkjzZ4x2BVH1XyDiGsjQmBUI"


@pytest.mark.parametrize(
    "line",
    [
        f"a@x {KEY}",
        f"  a@x,*@y,!z@y {KEY} a comment",
        f'a@x namespaces="git, file",valid-before="20300101Z" {KEY}',
        f"*@x cert-authority {KEY}",
        f'a@x Valid-After="20200101",cert-authority {KEY}',
    ],
)
def test_lines_of_allowed_signers(tmp_path: Path, line: str) -> None:
    file = tmp_path / "signers"
    file.write_text(f"\n# {line}\n{line}\n")
    assert check_signers(file) == 1


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("a@x", "that is no line of allowed signers"),
        (KEY, "that is no line of allowed signers"),
        (f"a@x {KEY[:-7]}", "no whole key stands there"),
        (f"a@x {KEY.replace('ed25519', 'rsa')}", "no whole key stands there"),
        (f"a@x valid-until=x {KEY}", "unknown option valid-until=x"),
        (f"a@x namespaces=git {KEY}", "unknown option namespaces=git"),
        ("a@x ssh-ed25519 !!!!", "no whole key stands there"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "no whole key stands there"),
    ],
)
def test_mistakes_in_it_are_told_with_the_line(tmp_path: Path, line: str, wrong: str) -> None:
    file = tmp_path / "signers"
    file.write_text(f"a@x {KEY}\n{line}\n")
    with pytest.raises(UsageError) as caught:
        check_signers(file)
    assert caught.value.message == f"{file}:2: {wrong}"
    assert "ALLOWED SIGNERS" in caught.value.hint


def test_a_file_that_lets_nobody_sign(signed: Signed) -> None:
    signed.user("one", "ann")
    signed.file.write_text("# nobody yet\n")
    with pytest.raises(UsageError, match="names no key"):
        signed.verify()
    signed.file.unlink()
    with pytest.raises(UsageError, match=r"cannot read .*: No such file or directory"):
        signed.verify()
    signed.file.mkdir()
    with pytest.raises(UsageError, match="is no file"):
        signed.verify()
    signed.file.rmdir()
    os.mkfifo(signed.file)
    with pytest.raises(UsageError, match="is no file"):
        signed.verify()
    signed.file.unlink()
    signed.file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        signed.verify()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(signed: Signed) -> None:
    signed.user("one", "ann")
    signed.file.chmod(0)
    with pytest.raises(UsageError, match="Permission denied"):
        signed.verify()
