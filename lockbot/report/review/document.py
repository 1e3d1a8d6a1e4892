"""What an update means for hosts, as JSON. Names and meanings here only ever grow (see `report.document`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from lockbot.model import ClosureSize, Difference, PackageChange, SwitchEffects, UpstreamChanges
from lockbot.report.words import iso_seconds

Document: TypeAlias = dict[str, object]


def difference_documents(differences: Sequence[Difference]) -> list[Document]:
    """The list `differences` of `lockbot show --json` and `lockbot diff --json`."""
    return [_difference(one) for one in differences]


def upstream_documents(upstream: Sequence[UpstreamChanges]) -> list[Document]:
    """The list `upstream` of `lockbot show --json`."""
    return [_upstream(one) for one in upstream]


def _difference(one: Difference) -> Document:
    return {
        "hosts": list(one.hosts),
        "packages": [_package(package) for package in one.packages],
        "configuration": {
            "added": one.configuration.added,
            "removed": one.configuration.removed,
            "changed": one.configuration.changed,
        },
        "closure": _closure(one.closure),
        "switch": {"known": one.switch is not None, **_switch(one.switch or SwitchEffects())},
        "warnings": {"new": list(one.warnings.new), "gone": list(one.warnings.gone)},
        "unknown": one.unknown,
    }


def _closure(closure: ClosureSize | None) -> Document:
    """The same shape where nothing is known."""
    if closure is None:
        return {"size": [None, None], "paths": [None, None]}
    return {"size": list(closure.size), "paths": list(closure.paths)}


def _package(package: PackageChange) -> Document:
    return {
        "name": package.name,
        "old": list(package.old),
        "new": list(package.new),
        "change": package.change,
        "size": list(package.size),
        "selected": package.selected,
    }


def _switch(effects: SwitchEffects) -> Document:
    return {
        "reboot": list(effects.reboot),
        "restart": list(effects.restart),
        "reload": list(effects.reload),
        "stop": list(effects.stop),
        "start": list(effects.start),
        "keep": list(effects.keep),
        "users_gone": list(effects.users_gone),
        "groups_gone": list(effects.groups_gone),
        "notes": list(effects.notes),
    }


def _upstream(one: UpstreamChanges) -> Document:
    return {
        "input": one.input,
        "commits": one.count,
        "chosen": one.chosen,
        "shown": [
            {
                "revision": commit.revision,
                "subject": commit.subject,
                "author": commit.author,
                "date": iso_seconds(commit.date),
            }
            for commit in one.commits
        ],
        "link": one.link,
        "note": one.note,
    }
