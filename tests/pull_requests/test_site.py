"""One repository on its forge, as it is looked at more than once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockbot.forge.clients import Clients
from lockbot.forge.http import Patience
from lockbot.forge.place import Account, Kind, Place
from lockbot.forge.pull_requests.forges import REQUESTS_AT
from lockbot.forge.responses import Refused
from lockbot.model import Landing
from lockbot.process import CancelToken
from lockbot.pull_requests.settings import RequestSettings
from lockbot.pull_requests.site import Site
from tests.pull_requests.forges import NAME, TOKEN, OnGitHub, host_of


def test_an_archive_is_one_however_often_it_is_looked_at(tmp_path: Path) -> None:
    with host_of(tmp_path) as host, CancelToken() as cancel:
        OnGitHub(host).there.archived = True
        place = Place(Kind.GITHUB, host.host, ("owner", NAME.partition("/")[2]))
        accounts = {host.host: Account(Kind.GITHUB, f"{host.url}/api/v3", TOKEN)}
        _, api = Clients(accounts, cancel, lambda: datetime.now(UTC), Patience()).of(place, "repository")
        site = Site(place, REQUESTS_AT[Kind.GITHUB], api, RequestSettings(Landing.PEOPLE, "me@x.org"), writes=True)
        for _ in range(2):
            with pytest.raises(Refused, match="owner/flake is archived"):
                _ = site.repository
        assert len(host.calls) == 1
