"""Whose a project directory is, and who else could change it under a search."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from aiotune.errors import ProjectError

__all__ = ("foreign_link", "owner_of", "refuse_shared", "writers_of")

_MOST_LINKS = 40  # as many as the kernel follows


def refuse_shared(project: Path) -> None:
    """Refuse a directory that others own, may write to, or have led us to.

    Raises:
        ProjectError: Says which of the three, and what to do.
    """
    owner, writers, link = owner_of(project), writers_of(project), foreign_link(project)
    override = "Or pass allow_shared=True, if you trust them as you trust yourself."
    if owner is not None:
        raise ProjectError(
            f"The project directory {project} belongs to {owner}, who could replace its files under the "
            "search.",
            hint=f"Choose another directory, or a copy of your own. {override}",
        )
    if writers is not None:
        who, right = writers
        raise ProjectError(
            f"The project directory {project} may be written to by {who}, who could "
            "replace its files under the search.",
            hint=f"Take that right away (chmod {right} {project}), or choose another directory. {override}",
        )
    if link is not None:
        raise ProjectError(
            f"The way to the project directory {project} leads through {link}, a link of "
            f"{_name(link.lstat().st_uid)}, who could let it lead elsewhere under the search.",
            hint=f"Name the directory itself. {override}",
        )


def owner_of(path: Path) -> str | None:
    """Return the name of the user whose directory it is; ``None`` if it is ours."""
    uid = path.stat().st_uid
    return None if uid == os.geteuid() else _name(uid)


def writers_of(path: Path) -> tuple[str, str] | None:
    """Return who else may write to a directory, and the mode that ends it; ``None``: nobody."""
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        return "every user of this machine", "go-w" if mode & stat.S_IWGRP else "o-w"
    if mode & stat.S_IWGRP:
        return "its group", "g-w"
    return None


def foreign_link(path: Path) -> Path | None:
    """Return the first link on the way to a path that is neither ours nor the system's."""
    trusted = {0, os.geteuid()}
    at, todo, links = Path("/"), [*reversed(path.absolute().parts[1:])], 0
    while todo and links < _MOST_LINKS:
        name = todo.pop()
        if name == "..":
            at = at.parent
            continue
        step = at / name
        info = step.lstat()
        if not stat.S_ISLNK(info.st_mode):
            at = step
            continue
        if info.st_uid not in trusted:
            return step
        links += 1
        target = step.readlink()
        if target.is_absolute():
            at = Path("/")
        todo += [part for part in reversed(target.parts) if part != "/"]
    return None


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user number {uid}"
