"""Which module knows which forge's pull requests."""

from __future__ import annotations

from collections.abc import Mapping

from lockbot.forge.place import Kind
from lockbot.forge.requests.forgejo import ForgejoRequests
from lockbot.forge.requests.github import GitHubRequests
from lockbot.forge.requests.gitlab import GitLabRequests
from lockbot.forge.requests.interface import RequestForge

REQUESTS_AT: Mapping[Kind, RequestForge] = {
    Kind.GITHUB: GitHubRequests(),
    Kind.GITLAB: GitLabRequests(),
    Kind.FORGEJO: ForgejoRequests(),
}
