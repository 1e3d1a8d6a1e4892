"""What may move, which of it is tried, and who is asked about it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from lockbot.config.sections.section import Names, Section, key
from lockbot.config.types import (
    ApiUrl,
    Count,
    Duration,
    Flag,
    Secret,
    Strategy,
    Text,
    Timeout,
    Timing,
    duration,
)
from lockbot.forge.place import Account, Kind
from lockbot.policy.rules import InputRules, PolicyAction, RevisionKind


class Policy(Section):
    """What may move at all. A table [input.NAME] holds the same keys for one input (quoted for a nested one)."""

    minimum_age: Duration = key(
        duration("0"), "How long lockbot must have known a revision before it is taken; 0: not at all."
    )
    revisions: RevisionKind | None = key(
        None,
        "Which revisions are tried: `tips`, those the branch was seen at, or `commits`, all of them.",
        absent="tips for channels of nixpkgs and for tarballs, else commits",
        example="tips",
    )
    backwards: PolicyAction = key(
        PolicyAction.HOLD,
        "When the newest revision is older than the locked one, or no successor of it: `allow` it, `hold` the "
        "input until `lockbot accept INPUT`, or `refuse` it as long as this says so.",
    )
    origin: PolicyAction = key(
        PolicyAction.HOLD,
        "When an input, or one that it brings along, comes from elsewhere though flake.nix is as it was: `allow`, "
        "`hold` or `refuse`.",
    )
    new_input: PolicyAction = key(
        PolicyAction.ALLOW,
        "When an input brings along another that it did not before: `allow`, `hold` or `refuse`.",
    )
    new_path: PolicyAction = key(
        PolicyAction.REFUSE, "When that would be read from this machine's files: `allow`, `hold` or `refuse`."
    )
    max_builds: Count | None = key(
        None,
        "With more derivations to compile than this, of which each host has some of its own, an input waits for a "
        "cache.",
        absent="no limit",
        example=200,
        ge=0,
    )
    never_compile: Names = key(
        (),
        "Patterns of derivations' names that an input waits for a cache to have; with `!` in front: exceptions.",
        example=["linux-*", "!linux-*-modules*", "webkitgtk*", "chromium*"],
    )
    wait_for_cache: Duration = key(
        duration("3d"), "How long an input waits for a cache at most; then it is compiled here after all."
    )
    stale_after: Timeout = key(
        duration("14d"), "Without a successful attempt, or held, for longer than this, an input raises an alarm."
    )
    upstream_checks: Flag = key(
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

    strategy: Strategy = key(
        Strategy.BEST,
        "For inputs in no group. `best`: as many and as new as build; `together`: all or none; `each`: by itself.",
    )
    probes: Count = key(40, "How many candidates a run may judge.", ge=1, le=100000)
    time: Timeout = key(duration("4h"), "How long a run may search; then the best that was found is published.")
    one_commit_per_input: Flag = key(False, "Make a commit for each input, each of them judged.")
    remember_failures: Duration = key(
        duration("7d"), "For how long a derivation that failed is taken to fail again; 0: not at all."
    )


class ForgeAccount(Section):
    """A forge that is asked about inputs' commits, or for pull requests: its host, as it stands in addresses."""

    kind: Kind | None = key(
        None,
        "Which API it has: `github`, `gitlab` or `forgejo` (Gitea's is the same).",
        absent="by the input's type, or by the host where it is well known",
        example="forgejo",
    )
    url: ApiUrl | None = key(
        None,
        "Where its API begins; with a token only https://, or this machine.",
        absent="where its kind has it: https://HOST/api/v1, for instance",
        example="https://git.example.org/api/v1",
    )
    token: Secret | None = key(
        None,
        "A token that may read commits' checks and pull requests, for private repositories and rate limits, and "
        "open pull requests with [publish] mode = request (docs/forges.md); sent to this host. A secret: in this "
        "file only as `{ file = … }`, else the credential `forge.HOST.token`.",
        absent="none",
        example={"file": "/run/secrets/forge-token"},
    )

    git: Flag = key(
        False,
        "Give the token to git, too, when it fetches the flake's repository from this host or pushes to it over "
        "https://; otherwise git finds credentials as it is configured to.",
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
        return Account(self.kind, self.url, token, self.git)


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
    schedule: Timing | None = key(
        None,
        "When to update it, as in [schedule]; then it is left out of the runs of `schedule.when`.",
        absent="with every run",
        example="0 4 * * 1",
    )
    strategy: Strategy = key(
        Strategy.BEST,
        "`best`: as many and as new as build; `together`: all or none; `each`: one commit for each input.",
    )

    @field_validator("inputs")
    @classmethod
    def _distinct(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(inputs)) < len(inputs):
            raise ValueError("names an input twice")
        return inputs
