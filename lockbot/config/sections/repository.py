"""Where the flake lies, what is kept of its updates, and whose commits they are."""

from __future__ import annotations

from pathlib import Path

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from lockbot.config.sections.section import Directory, Section, key
from lockbot.config.types import (
    Branch,
    Count,
    Flag,
    GitUrl,
    Identity,
    Person,
    Remote,
    Sign,
    Size,
    SubDirectory,
    Subject,
    Text,
    size,
)
from lockbot.retention import KEEP_DAYS, KEEP_RESULTS, LOG_BYTES, NEWEST_RUNS


class Repository(Section):
    """The flake's git repository: give `path` or `url`, or neither to use the one around the current directory."""

    path: Directory | None = key(
        None,
        "A local git repository. `~` is your home; a relative path starts at this file's directory.",
        absent="the one around the current directory",
        example="/etc/nixos",
    )
    url: GitUrl | None = key(
        None,
        "A repository to clone instead: file://, ssh://, https:// or git@HOST:PATH. Never with a password in it.",
        absent="none",
        example="ssh://git@example.org/nixos.git",
    )
    branch: Branch | None = key(
        None, "The branch to keep up to date.", absent="the one checked out, or the URL's default", example="main"
    )
    remote: Remote | None = key(
        None,
        "With `path`: the git remote that the branch is fetched from and pushed to; empty: none.",
        absent="the branch's upstream, else origin where it exists",
        example="origin",
    )
    push: Flag = key(True, "Push what was accepted, where there is a remote.")
    flake_dir: SubDirectory = key("", "The directory of flake.nix inside the repository; empty: its root.")

    @field_validator("url")
    @classmethod
    def _one_place(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and info.data.get("path") is not None:
            raise ValueError("must not be given together with repository.path: keep one of the two")
        return url

    @field_validator("remote")
    @classmethod
    def _needs_path(cls, remote: str | None, info: ValidationInfo) -> str | None:
        if remote is not None and info.data.get("url") is not None:
            raise ValueError("must not be given together with repository.url, which says it already")
        return remote


class State(Section):
    """What lockbot keeps: its clone, history, logs and garbage-collection roots."""

    directory: Directory = Field(
        description="Where lockbot keeps its clone, history and logs.",
        json_schema_extra={
            "absent": "$STATE_DIRECTORY (systemd), else ~/.local/state/lockbot",
            "example": "/var/lib/lockbot",
        },
    )
    keep_days: Count = key(
        KEEP_DAYS,
        f"For how many days runs and their logs are kept; the newest {NEWEST_RUNS} of each flake stay longer.",
        ge=1,
        le=36500,
    )
    keep_results: Count = key(
        KEEP_RESULTS, "How many accepted commits' builds are safe from garbage collection.", ge=0, le=1000
    )
    min_free: Size = key(size("2G"), "Below this much free disk (Nix store, state) no run starts; 0: never mind.")
    log_limit: Size = key(LOG_BYTES, "How much of each build log is kept: its beginning and its end.", ge=4096)


class Commit(Section):
    """The commit that lockbot makes."""

    author: Identity = key(Person("lockbot", "lockbot@localhost"), "Its author, as `Name <mail>`.")
    committer: Identity | None = key(
        None, "Its committer.", absent="the author", example="lockbot <lockbot@example.org>"
    )
    signing_key: Text | None = key(
        None,
        "The key to sign with: for gpg its id, for ssh the absolute path of a key.",
        absent="gpg: the committer's own",
        example="/var/lib/lockbot/.ssh/id_ed25519",
    )
    sign: Sign = key(Sign.NO, "`no`, `gpg` or `ssh`.")
    verify: Directory | None = key(
        None,
        "A file of allowed signers, as `gpg.ssh.allowedSignersFile` of git's: nothing is built on, and nothing "
        "published, that no SSH key in it has signed.",
        absent="signatures are not looked at",
        example="/etc/lockbot/allowed_signers",
    )
    subject: Subject = key(
        "flake.lock: update {inputs}", "Its first line. Known are {inputs}, {count}, {date} and {hosts}."
    )

    @field_validator("sign")
    @classmethod
    def _has_key(cls, sign: Sign, info: ValidationInfo) -> Sign:
        key = info.data.get("signing_key", "/")
        if sign is Sign.SSH and (key is None or not key.startswith(("/", "key::"))):
            raise ValueError("ssh needs commit.signing_key, the absolute path of a key (or key::…)")
        return sign

    @field_validator("verify")
    @classmethod
    def _signs_itself(cls, verify: Path | None, info: ValidationInfo) -> Path | None:
        if verify is not None and info.data.get("sign", Sign.SSH) is not Sign.SSH:
            raise ValueError(
                'needs commit.sign = "ssh": what lockbot commits must be signed by a key in that file'
            )
        return verify
