"""Where a path leads within one commit, through the symbolic links in it. Knows git's objects."""

from __future__ import annotations

from lockbot.git.command import Git

LINK = "120000"
_MOST_LINKS = 40
"""As many as Linux follows."""


def followed(git: Git, commit: str, path: str) -> str | None:
    """The path of what lies at a path; None: a link leads out of the commit, or nowhere, or in a circle."""
    ahead, found, links = path.split("/"), list[str](), 0
    while ahead:
        name = ahead.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            if not found:
                return None
            found.pop()
            continue
        found.append(name)
        mode, blob = entry(git, commit, "/".join(found)) or ("", "")
        if not mode:
            return None
        if mode == LINK:
            links += 1
            target = git.run("cat-file", "blob", blob).stdout
            if target.startswith("/") or links > _MOST_LINKS:
                return None
            found.pop()
            ahead = [*target.split("/"), *ahead]
    return "/".join(found)


def entry(git: Git, commit: str, path: str) -> tuple[str, str] | None:
    """The mode and the object's id of what lies at a path; None: there is nothing."""
    listed = git.ask("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path)
    fields = listed.partition("\t")[0].split()
    return (fields[0], fields[2]) if len(fields) == 3 else None
