"""The repositories that are shown: each one's configuration, and what its pages are made with.

Knows configuration files, and nothing of HTTP. What one repository's pages wait for does not hold up another's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockbot import oserrors, surroundings
from lockbot.app import App, Place, flake_around
from lockbot.config import Settings, load
from lockbot.config.sections import Web
from lockbot.daemon import plan
from lockbot.errors import UsageError
from lockbot.history.texts import storable
from lockbot.model import silent
from lockbot.process import CancelToken, Deadline
from lockbot.web.remembered import Remembered
from lockbot.web.view import Frame, View, quoted

LONGEST = 30.0
"""Seconds that one page may take: git and Nix are ended then."""
PLACE_SECONDS = 10.0
"""For so long it is remembered where a repository is, and on which branch."""
_SECTION = "r"
"""Below which each repository lies, where there are several."""


@dataclass(frozen=True)
class Site:
    """One repository. `config`: the file that says so; `stop`: ends whatever its pages wait for."""

    label: str
    settings: Settings
    config: Path | None
    environ: Mapping[str, str]
    stop: CancelToken
    root: str = ""
    is_only: bool = True
    remembered: Remembered = field(default_factory=Remembered)

    @property
    def frame(self) -> Frame:
        app = self._app(self.stop)
        if self.is_only:
            return Frame(app.clock(), self.root, self.root)
        base = f"{self.root}/{_SECTION}/{quoted(self.label)}"
        return Frame(app.clock(), self.root, base, self.label)

    @contextlib.contextmanager
    def view(self) -> Iterator[View]:
        """As one request sees it. Raises LockbotError where it can't be looked at."""
        with oserrors.explaining(), CancelToken(Deadline(LONGEST, "this page"), self.stop) as token:
            app, frame = self._app(token), self.frame
            place: Place = self.remembered.get("place", PLACE_SECONDS, app.place)
            with app.history(place) as history:
                base = frame.base or ""
                yield View(app, place, history, frame.now, base, frame.label, frame.root, self.remembered)

    def _app(self, token: CancelToken) -> App:
        return App(self.settings, self.environ, token, silent, read_only=True, config=self.config)


@dataclass(frozen=True)
class Sites:
    """`listen`, `hosts` and `root` are the same for all."""

    each: tuple[Site, ...]
    listen: str
    hosts: tuple[str, ...]
    root: str

    @property
    def only(self) -> Site | None:
        return self.each[0] if len(self.each) == 1 else None

    @property
    def frame(self) -> Frame:
        """Of what is about no repository, or about all."""
        return self.each[0].frame if self.only else replace(self.each[0].frame, base=None, label="")

    def below(self, parts: tuple[str, ...]) -> Site | None:
        """The repository that an address (its parts) is about, where there are several; None: no such one."""
        if len(parts) < 2 or parts[0] != _SECTION:
            return None
        return next((site for site in self.each if storable(site.label) == parts[1]), None)


def read(paths: Sequence[Path], environ: Mapping[str, str], listen: str | None, stop: CancelToken) -> Sites:
    """Files, and directories of *.toml; with none, the defaults. Raises UsageError: every file's mistakes.

    No secret is read: whoever only shows things has no use for one, and can't lose it.
    """
    if not paths:
        return _together([("", load(None, environ, secrets=False), None)], environ, listen, stop)
    found = plan.configurations(paths, environ, secrets=False)
    labels = plan.labels(found)
    named = [(_reachable(labels[path], path), _located(one, path), path) for path, one in found.items()]
    return _together(named, environ, listen, stop)


def _reachable(label: str, path: Path) -> str:
    """`.` and `..` are directories to a browser."""
    return label if label.strip(".") else path.stem


def _located(settings: Settings, path: Path) -> Settings:
    """A configuration that names no repository is about the one that it lies in, as for the daemon."""
    repository = settings.repository
    if repository.url is not None or repository.path is not None:
        return settings
    here = repository.model_copy(update={"path": flake_around(path.parent)})
    return settings.model_copy(update={"repository": here})


def _together(
    found: Sequence[tuple[str, Settings, Path | None]],
    environ: Mapping[str, str],
    listen: str | None,
    stop: CancelToken,
) -> Sites:
    webs = [settings.web for _, settings, _ in found]
    where = listen or _same("listen", webs)
    base = _same("base_path", webs)
    root = "" if base == "/" else base
    usable, _ = surroundings.with_temporary_directory(environ)
    sites = (
        Site(
            label,
            _bare(one),
            config,
            surroundings.with_home(usable, one.state.directory),
            stop,
            root,
            len(found) == 1,
        )
        for label, one, config in found
    )
    hosts = tuple(dict.fromkeys(host for web in webs for host in web.hosts))
    return Sites(tuple(sites), where, hosts, root)


def _bare(settings: Settings) -> Settings:
    """Without the tokens that Nix would be given: nothing is fetched."""
    return settings.model_copy(update={"eval": settings.eval.model_copy(update={"access_tokens": None})})


def _same(key: str, webs: Sequence[Web]) -> str:
    """What all configurations say; those that leave it at the default go along."""
    default = str(getattr(Web(), key))
    told = {str(getattr(web, key)) for web in webs} - {default}
    if len(told) > 1:
        raise UsageError(
            f"web.{key} is not the same in all configurations: {', '.join(sorted(told))}",
            "one service shows them all: set it in one of them",
        )
    return next(iter(told), default)
