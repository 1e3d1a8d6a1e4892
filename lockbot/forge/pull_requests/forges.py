"""Which module knows which forge's pull requests."""

from __future__ import annotations

from collections.abc import Mapping

from lockbot.forge.place import Kind
from lockbot.forge.pull_requests.forgejo import ForgejoRequests
from lockbot.forge.pull_requests.github import GitHubRequests
from lockbot.forge.pull_requests.gitlab import GitLabRequests
from lockbot.forge.pull_requests.interface import RequestForge

REQUESTS_AT: Mapping[Kind, RequestForge] = {
    Kind.GITHUB: GitHubRequests(),
    Kind.GITLAB: GitLabRequests(),
    Kind.FORGEJO: ForgejoRequests(),
}
