"""Every section and key of the configuration: type, default, limits, meaning. Durations are seconds, sizes bytes.

The README's table and the annotated example are made of this. Where values come from is not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from lockbot.config.options import NixOptions
from lockbot.config.types import (
    ApiUrl,
    AttributePath,
    Branch,
    Count,
    Duration,
    Flag,
    GitUrl,
    Identity,
    Local,
    Person,
    QuietHours,
    Remote,
    Secret,
    Sign,
    Size,
    Strategy,
    SubDirectory,
    Subject,
    Text,
    Timeout,
    TimeZone,
    Timing,
    duration,
    duration_text,
    size,
)
from lockbot.forge.place import Account, Kind
from lockbot.model import Gate
from lockbot.policy.rules import InputRules, PolicyAction, Revisions

Directory = Annotated[Path, Local()]
Names = tuple[Text, ...]


def _key(default: Any, meaning: str, *, absent: str = "", example: Any = None, **limits: Any) -> Any:
    """A key. Where the default is None, `absent` says what happens then, and `example` what could be written."""
    return Field(default, description=meaning, json_schema_extra={"absent": absent, "example": example}, **limits)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Repository(Section):
    """The flake's git repository: give `path` or `url`, or neither to use the one around the current directory."""

    path: Directory | None = _key(
        None,
        "A local git repository. `~` is your home; a relative path starts at this file's directory.",
        absent="the one around the current directory",
        example="/etc/nixos",
    )
    url: GitUrl | None = _key(
        None,
        "A repository to clone instead: file://, ssh://, https:// or git@HOST:PATH. Never with a password in it.",
        absent="none",
        example="ssh://git@example.org/nixos.git",
    )
    branch: Branch | None = _key(
        None, "The branch to keep up to date.", absent="the one checked out, or the URL's default", example="main"
    )
    remote: Remote | None = _key(
        None,
        "With `path`: the git remote that the branch is fetched from and pushed to; empty: none.",
        absent="the branch's upstream, else origin where it exists",
        example="origin",
    )
    push: Flag = _key(True, "Push what was accepted, where there is a remote.")
    flake_dir: SubDirectory = _key("", "The directory of flake.nix inside the repository; empty: its root.")

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
    keep_days: Count = _key(90, "For how many days runs and their logs are kept.", ge=1, le=36500)
    keep_results: Count = _key(
        3, "How many accepted commits' builds are safe from garbage collection.", ge=0, le=1000
    )
    min_free: Size = _key(size("2G"), "Below this much free disk (Nix store, state) no run starts; 0: never mind.")
    log_limit: Size = _key(size("4M"), "How much of each build log is kept: its beginning and its end.", ge=4096)


class Hosts(Section):
    """Which of the flake's nixosConfigurations, darwinConfigurations and homeConfigurations must build."""

    include: Names = _key(
        ("*",), "Shell-style patterns on the name (`web*`) or the attribute (`homeConfigurations.*`)."
    )
    exclude: Names = _key((), "Patterns of those to leave out.")
    attributes: tuple[AttributePath, ...] = _key(
        (),
        'Other attributes that must build, such as `packages.x86_64-linux.tool` or `checks.x86_64-linux."a.b"`.',
    )
    evaluate_only: Names = _key((), "Patterns of those that only have to evaluate, and are not built.")
    unbuildable: Names = _key((), "Patterns of those that nothing here can build: evaluated, never judged good.")

    @model_validator(mode="after")
    def _not_nothing(self) -> Hosts:
        if not self.include and not self.attributes:
            why = ValueError("is empty, and attributes too: nothing would be built before it is published")
            error = InitErrorDetails(type="value_error", loc=("include",), input=None, ctx={"error": why})
            raise ValidationError.from_exception_data("hosts", [error], hide_input=True)
        return self


class Eval(Section):
    """Evaluation: Nix reading the flake, before anything is built."""

    workers: Count | None = _key(
        None,
        "How many hosts are evaluated at the same time.",
        absent="one for each core",
        example=2,
        ge=1,
        le=1024,
    )
    memory: Size | None = _key(
        None,
        "What all evaluations together may use of memory.",
        absent="half of the machine's",
        example="8G",
        ge=16 * 1024**2,
    )
    timeout: Timeout = _key(duration("30m"), "The longest that one host's evaluation may take.")
    import_from_derivation: Flag = _key(True, "Let an evaluation build what it wants to read.")
    access_tokens: Secret | None = _key(
        None,
        "Nix's access-tokens (`github.com=TOKEN …`) for private inputs and rate limits. A secret: "
        "in this file only as `{ file = … }`, else the environment or the credential `eval.access_tokens`.",
        absent="none",
        example={"file": "/run/secrets/nix-access-tokens"},
    )


class Build(Section):
    """Building the hosts, and what counts as good."""

    gate: Gate = _key(
        Gate.NO_REGRESSION, "`no-regression`: hosts that were broken before do not block; `all-green`: they do."
    )
    timeout: Timeout = _key(duration("6h"), "The longest that one derivation's build may take.")
    silence: Timeout = _key(duration("1h"), "The longest that a build may go without printing anything.")
    jobs: Count | None = _key(
        None,
        "How many derivations are built here at the same time; 0: only on remote builders.",
        absent="Nix's own setting",
        example=2,
        ge=0,
        le=1000,
    )
    cores: Count | None = _key(
        None, "How many cores one build may use; 0: all.", absent="Nix's own setting", example=4, ge=0, le=10000
    )
    retries: Count = _key(3, "How often to try again when network, daemon or builder fail.", ge=0, le=100)
    retry_delay: Duration = _key(duration("5s"), "The wait before the first of these; it doubles each time.")
    options: NixOptions = _key({}, "Further Nix settings, as in nix.conf.", example={"sandbox": True})

    @field_validator("silence")
    @classmethod
    def _silence_within(cls, silence: float, info: ValidationInfo) -> float:
        timeout = info.data.get("timeout", silence)
        if silence > timeout:
            raise ValueError(f"must not be longer than build.timeout, which is {duration_text(timeout)}")
        return silence


class RunLimits(Section):
    """Limits of one whole run."""

    deadline: Timeout = _key(duration("24h"), "The longest that a whole run may take.")
    publish_tries: Count = _key(
        3, "How often to start over on the new base when the branch moved meanwhile.", ge=1, le=100
    )
    fetch_timeout: Timeout = _key(duration("10m"), "The longest that fetching a repository or one input may take.")


class Commit(Section):
    """The commit that lockbot makes."""

    author: Identity = _key(Person("lockbot", "lockbot@localhost"), "Its author, as `Name <mail>`.")
    committer: Identity | None = _key(
        None, "Its committer.", absent="the author", example="lockbot <lockbot@example.org>"
    )
    signing_key: Text | None = _key(
        None,
        "The key to sign with: for gpg its id, for ssh the absolute path of a key.",
        absent="gpg: the committer's own",
        example="/var/lib/lockbot/.ssh/id_ed25519",
    )
    sign: Sign = _key(Sign.NO, "`no`, `gpg` or `ssh`.")
    subject: Subject = _key(
        "flake.lock: update {inputs}", "Its first line. Known are {inputs}, {count}, {date} and {hosts}."
    )

    @field_validator("sign")
    @classmethod
    def _has_key(cls, sign: Sign, info: ValidationInfo) -> Sign:
        key = info.data.get("signing_key", "/")
        if sign is Sign.SSH and (key is None or not key.startswith(("/", "key::"))):
            raise ValueError("ssh needs commit.signing_key, the absolute path of a key (or key::…)")
        return sign


class Policy(Section):
    """What may move at all. A table [input.NAME] holds the same keys for one input (quoted for a nested one)."""

    minimum_age: Duration = _key(
        duration("0"), "How long lockbot must have known a revision before it is taken; 0: not at all."
    )
    revisions: Revisions | None = _key(
        None,
        "Which revisions are tried: `tips`, those the branch was seen at, or `commits`, all of them.",
        absent="tips for channels of nixpkgs and for tarballs, else commits",
        example="tips",
    )
    backwards: PolicyAction = _key(
        PolicyAction.HOLD,
        "When the newest revision is older than the locked one, or no successor of it: `allow` it, `hold` the "
        "input until `lockbot accept INPUT`, or `refuse` it as long as this says so.",
    )
    origin: PolicyAction = _key(
        PolicyAction.HOLD,
        "When an input, or one that it brings along, comes from elsewhere though flake.nix is as it was: `allow`, "
        "`hold` or `refuse`.",
    )
    new_input: PolicyAction = _key(
        PolicyAction.ALLOW,
        "When an input brings along another that it did not before: `allow`, `hold` or `refuse`.",
    )
    new_path: PolicyAction = _key(
        PolicyAction.REFUSE, "When that would be read from this machine's files: `allow`, `hold` or `refuse`."
    )
    max_builds: Count | None = _key(
        None,
        "With more derivations to compile than this, of which each host has some of its own, an input waits for a "
        "cache.",
        absent="no limit",
        example=200,
        ge=0,
    )
    never_compile: Names = _key(
        (),
        "Patterns of derivations' names that an input waits for a cache to have; with `!` in front: exceptions.",
        example=["linux-*", "!linux-*-modules*", "webkitgtk*", "chromium*"],
    )
    wait_for_cache: Duration = _key(
        duration("3d"), "How long an input waits for a cache at most; then it is compiled here after all."
    )
    stale_after: Timeout = _key(
        duration("14d"), "Without a successful attempt, or held, for longer than this, an input raises an alarm."
    )
    upstream_checks: Flag = _key(
        False,
        "Take only revisions whose checks are green upstream, on GitHub, GitLab, Forgejo or Gitea; where there "
        "are no checks, that is said. [forge.HOST] tells of hosts and tokens.",
    )

    def rules(self) -> InputRules:
        return InputRules(**self.model_dump())


class InputPolicy(Policy):
    """What may move, for one input: a key that is not given is as in [policy]."""

    def over(self, policy: Policy) -> InputRules:
        """These keys where they are given, else those of [policy]."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return policy.model_copy(update=given).rules()


class Search(Section):
    """When not everything builds together: looking for the best lock that does."""

    strategy: Strategy = _key(
        Strategy.BEST,
        "For inputs in no group. `best`: as many and as new as build; `together`: all or none; `each`: by itself.",
    )
    probes: Count = _key(40, "How many candidates a run may judge.", ge=1, le=100000)
    time: Timeout = _key(duration("4h"), "How long a run may search; then the best that was found is published.")
    one_commit_per_input: Flag = _key(False, "Make a commit for each input, each of them judged.")
    remember_failures: Duration = _key(
        duration("7d"), "For how long a derivation that failed is taken to fail again; 0: not at all."
    )


class AfterUpdate(Section):
    """Commands that regenerate files from the new lock: what they change joins the commit, judged with it."""

    commands: tuple[Annotated[Names, Field(min_length=1)], ...] = _key(
        (),
        "Each a program and its arguments, run without a shell in the flake's directory of lockbot's work tree.",
        example=[["./scripts/regenerate", "--all"]],
    )
    paths: Names = _key(
        (),
        "Patterns of the files that they may change, from the repository's root; any other is an error.",
        example=["generated/*"],
    )
    timeout: Timeout = _key(duration("10m"), "The longest that one of them may take.")

    @model_validator(mode="after")
    def _declared(self) -> AfterUpdate:
        if self.commands and not self.paths:
            raise ValueError("commands are given, but paths, which says what they may change, is empty")
        return self


class ForgeAccount(Section):
    """A forge that is asked about inputs' commits: its host, as it stands in their addresses."""

    kind: Kind | None = _key(
        None,
        "Which API it has: `github`, `gitlab` or `forgejo` (Gitea's is the same).",
        absent="by the input's type, or by the host where it is well known",
        example="forgejo",
    )
    url: ApiUrl | None = _key(
        None,
        "Where its API begins; with a token only https://, or this machine.",
        absent="where its kind has it: https://HOST/api/v1, for instance",
        example="https://git.example.org/api/v1",
    )
    token: Secret | None = _key(
        None,
        "A token that may read commits' statuses and checks, for private repositories and rate limits; sent to "
        "this host only. A secret: in this file only as `{ file = … }`, else the credential `forge.HOST.token`.",
        absent="none",
        example={"file": "/run/secrets/forge-token"},
    )

    @field_validator("token")
    @classmethod
    def _not_in_the_clear(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = urlsplit(info.data.get("url") or "https://")
        if token is not None and url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("must not be sent over http://, where anybody may read it: make url https://")
        return token

    def account(self) -> Account:
        token = self.token.get_secret_value() if self.token is not None else None
        return Account(self.kind, self.url, token)


class Schedule(Section):
    """When `lockbot daemon` updates. What was missed, because the machine was off, is made up for once."""

    when: Timing | None = _key(
        None,
        "A line as in crontab(5) (`0 4 * * *`, @daily), or an interval from one run to the next (`6h`).",
        absent="only groups that have a schedule of their own are updated",
        example="0 4 * * *",
    )
    time_zone: TimeZone | None = _key(
        None, "The time zone of these lines and hours.", absent="the machine's", example="Europe/Berlin"
    )
    random_delay: Duration = _key(
        duration("0"),
        "Put off each line's runs by up to this long: by chance, but always the same on one machine.",
    )
    quiet_hours: QuietHours | None = _key(
        None,
        "Hours in which no run begins; what is due then is begun after them.",
        absent="none",
        example="22:00-06:00",
    )


class DaemonLimits(Section):
    """Limits of `lockbot daemon`."""

    max_runs: Count = _key(
        1,
        "How many repositories may be updated at the same time; of several files, the lowest counts.",
        ge=1,
        le=100,
    )


class Group(Section):
    """Inputs that are updated together, apart from the others."""

    name: Text = Field(
        description="What the group is called; no two have the same name.", json_schema_extra={"example": "system"}
    )
    inputs: Names = Field(
        min_length=1,
        description="The names of its inputs (`nixpkgs`, `home-manager/nixpkgs`).",
        json_schema_extra={"example": ["nixpkgs", "home-manager"]},
    )
    schedule: Timing | None = _key(
        None,
        "When to update it, as in [schedule]; then it is left out of the runs of `schedule.when`.",
        absent="with every run",
        example="0 4 * * 1",
    )
    strategy: Strategy = _key(
        Strategy.BEST,
        "`best`: as many and as new as build; `together`: all or none; `each`: one commit for each input.",
    )

    @field_validator("inputs")
    @classmethod
    def _distinct(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(inputs)) < len(inputs):
            raise ValueError("names an input twice")
        return inputs
