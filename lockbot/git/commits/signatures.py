"""Signed commits: whether a key of the user's file of allowed signers made each of them.

Only SSH's signatures count, by keys in that one file: no keyring and no setting of the user's has a say. Knows
git's answers and the file's form (ssh-keygen(1), ALLOWED SIGNERS); must not know what the commits hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot.errors import LockbotError, SurroundingsError, UsageError
from lockbot.git.clone import Clone
from lockbot.git.command import Git

VERIFIED = "refs/lockbot/verified/"
"""By a digest of the branch's name: up to where its commits were verified."""
ACCEPTED = "refs/lockbot/accepted/"
"""The same: up to where a person takes what is there for good. lockbot never writes it."""

_AT_ONCE = 200
"""Commits that one git is asked of: what it prints is kept to a bound."""
_LARGEST = 1024 * 1024


class SignatureError(LockbotError):
    """A commit that is to be built on, or published, is not signed by an allowed signer."""


def require_branch(clone: Clone, branch: str, head: str, *, remember: bool) -> int:
    """Verify a branch's head, and all that is new in it since it was last verified; how many commits that were.

    The first time that is the head alone: whoever signed it signed what lies below by its id. Raises
    SignatureError; UsageError where the file of allowed signers can't be used; SurroundingsError without
    ssh-keygen.
    """
    if clone.signers is None:
        return 0
    accepted = clone.git.resolve(_ref(ACCEPTED, branch))
    verified = clone.git.resolve(_ref(VERIFIED, branch))
    known = [f"^{commit}" for commit in (accepted, verified) if commit is not None]
    new = clone.git.ask("rev-list", head, *known).split() if known else []
    commits = list(dict.fromkeys([*([head] if head != accepted else []), *new]))
    try:
        _require(clone, clone.signers, commits)
    except SignatureError as error:
        raise SignatureError(error.message, f"{error.hint}; {_how_to_accept(clone, branch, head)}") from None
    if remember:
        clone.git.run("update-ref", _ref(VERIFIED, branch), head)
    return len(commits)


def require(clone: Clone, commit: str, since: str | None = None) -> None:
    """Verify a commit of lockbot's, and all that lies between it and `since`. Raises as `require_branch` does."""
    if clone.signers is not None:
        new = clone.git.ask("rev-list", commit, f"^{since}").split() if since is not None else []
        _require(clone, clone.signers, list(dict.fromkeys([commit, *new])))


def is_allowed(clone: Clone, commit: str) -> bool:
    """Whether an allowed signer signed it, or nobody need have. Raises UsageError as `require_branch` does."""
    try:
        require(clone, commit)
    except SignatureError:
        return False
    return True


def _ref(kind: str, branch: str) -> str:
    return kind + hashlib.sha256(branch.encode(errors="surrogateescape")).hexdigest()[:16]


def _how_to_accept(clone: Clone, branch: str, head: str) -> str:
    command = shlex.join(["git", "-C", str(clone.directory), "update-ref", _ref(ACCEPTED, branch), head])
    return f"or, having looked at all that is new, take the branch as it is: {command}"


# -- git's answer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Signature:
    """What git says of a commit's signature. `answer`: a letter, as of `%G?`."""

    commit: str
    answer: str
    key: str
    author: str
    subject: str


_FORM = "%H%x00%G?%x00%GK%x00%<(200,trunc)%an%x00%<(200,trunc)%ae%x00%<(200,trunc)%s"


def _require(clone: Clone, file: Path, commits: Sequence[str]) -> None:
    check_signers(file)
    if shutil.which("ssh-keygen", path=clone.environ.get("PATH")) is None:  # git would call every signature bad
        raise SurroundingsError(
            "signatures can't be checked: ssh-keygen is not on PATH", "install OpenSSH's client"
        )
    git = _git(clone, file)
    for start in range(0, len(commits), _AT_ONCE):
        some = commits[start : start + _AT_ONCE]
        found = {one.commit: one for one in _signatures(git, some)}
        for commit in some:
            # `U`, a good signature by whomever, is enough for `git verify-commit` with a GPG key: not here.
            if found[commit].answer != "G":
                raise _unsigned(git, file, found[commit])


def _git(clone: Clone, file: Path) -> Git:
    """git that finds good what a key in the file signed, and nothing else."""
    return clone.with_keys.configured(
        ("gpg.ssh.allowedSignersFile", str(file)),
        ("gpg.program", "/bin/false"),
        ("gpg.x509.program", "/bin/false"),
    )


def _signatures(git: Git, commits: Sequence[str]) -> Iterator[_Signature]:
    asked = ("log", "--no-walk=unsorted", "--encoding=UTF-8", f"--format={_FORM}", "--stdin")
    told = git.run(*asked, stdin="\n".join(commits).encode()).stdout
    for line in told.removesuffix("\n").split("\n"):
        commit, answer, key, name, address, subject = (field.strip() for field in line.split("\0", 5))
        yield _Signature(commit, answer, key, f"{name} <{address}>", subject)


def _unsigned(git: Git, file: Path, found: _Signature) -> SignatureError:
    subject = f" ({found.subject!r})" if found.subject else ""
    who = f"commit {found.commit[:12]} by {found.author}{subject}"
    return SignatureError(
        f"{who} is not signed by a key in {file}: {_why(git, found)}",
        f"look at it (git show {found.commit[:12]}); have it signed anew, or its signer's key put into that file",
    )


def _why(git: Git, found: _Signature) -> str:
    header = git.ask("cat-file", "commit", found.commit).partition("\n\n")[0]
    signed = re.search(r"^gpgsig(?:-sha256)? (-----BEGIN [A-Z ]+-----)", header, re.MULTILINE)
    if signed is None:
        return "it carries no signature"
    if signed[1] != "-----BEGIN SSH SIGNATURE-----":
        return "its signature is none of SSH's, and no other kind counts"
    if found.answer == "U":
        return f"its key, {found.key}, is not there, or was not valid on the commit's date"
    if found.answer == "B":
        return "its signature is BAD, or its key is not meant for git (namespaces)"
    return "git can't check it: 2.34 is the first that can"


# -- the file ---------------------------------------------------------------------------------------------------

_FORM_OF_LINE = (
    "a line is `MAIL ssh-ed25519 AAAA…`, with options before the key's type: ssh-keygen(1), ALLOWED SIGNERS"
)
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPTION = re.compile(r'(cert-authority|(namespaces|valid-after|valid-before)="[^"]*")', re.IGNORECASE)


def check_signers(file: Path) -> int:
    """How many keys stand in a file of allowed signers. ssh-keygen passes over what it can't read: a key that is
    mistyped would be missed only when its commits are. Raises UsageError, with the file and the line."""
    try:
        if file.exists() and not file.is_file():  # a FIFO would never end
            raise UsageError(f"{file} is no file", "let `commit.verify` name a file of allowed signers")
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}",
            "let `commit.verify` name a file of allowed signers that lockbot's user can read",
        ) from None
    if len(data) > _LARGEST:
        raise UsageError(f"{file} is no file of allowed signers: it is larger than 1 MiB", _FORM_OF_LINE)
    count = 0
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            if (wrong := _mistake(_WORD.findall(line))) is not None:
                raise UsageError(f"{file}:{number}: {wrong}", _FORM_OF_LINE)
            count += 1
    if not count:
        raise UsageError(f"{file} names no key: nobody could sign anything", _FORM_OF_LINE)
    return count


def _mistake(words: Sequence[str]) -> str | None:
    """What is wrong with a line; None: nothing that can be seen."""
    if len(words) < 3:
        return "that is no line of allowed signers"
    if _is_key(words[1], words[2]):
        return None
    if len(words) > 3 and _is_key(words[2], words[3]):
        options = re.findall(r'(?:[^,"]|"[^"]*")+', words[1])
        unknown = [one for one in options if not _OPTION.fullmatch(one)]
        return f"unknown option {unknown[0]}" if unknown else None
    return "no whole key stands there"


def _is_key(kind: str, text: str) -> bool:
    """Whether it is a key of that type: its type stands in it once more."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    length = int.from_bytes(data[:4], "big")
    return len(data) > 4 + length and data[4 : 4 + length] == kind.encode(errors="replace")
