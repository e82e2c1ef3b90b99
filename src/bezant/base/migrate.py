"""The schema's version: `migrations/NNNN_what.sql`, applied in order, each in a transaction of its own.

Each transaction takes an advisory lock before it looks at what is applied, so any number of processes may migrate at
once, also through a transaction pooler. A migration waits a few seconds for a table's lock, then lets traffic pass and
tries again, so that it never holds up payments behind itself. An applied file must never change: its checksum is
recorded.

Written here because pogo-core, the kept library for plain SQL files over asyncpg, takes no lock, does not notice a file
that changed, and names the schema `public`.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from bezant.base.db import Connection
from bezant.base.errors import OperatorError

if TYPE_CHECKING:
    from asyncpg import Connection as DriverConnection

_FILE_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ADVISORY_LOCK: Final = 0x62657A616E74  # "bezant"
_CONNECT_TIMEOUT_S: Final = 10.0
_TURN_TIMEOUT: Final = "10min"  # for the other process's longest migration
_TABLE_LOCK_TIMEOUT: Final = "4s"
_TABLE_LOCK_TRIES: Final = 5
_PAUSE_S: Final = 2.0

_CREATE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(msgspec.Struct, frozen=True):
    """One file of `migrations/`."""

    version: int
    name: str
    sql: str

    def checksum(self) -> str:
        """What is recorded of the text, to notice a change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


async def migrate(url: str, folder: Path | None = None) -> list[str]:
    """Bring the database to the newest schema; the names of what was applied, none if it was there already."""
    migrations = load(folder)
    applied: list[str] = []
    async with _connected(url) as connection:
        tries = 0
        while True:
            try:
                name = await _apply_next(connection, migrations)
            except asyncpg.LockNotAvailableError as error:
                tries += 1
                if tries >= _TABLE_LOCK_TRIES:
                    raise OperatorError(
                        f"A migration could not get its table lock in {tries} tries: a long transaction holds it "
                        "(see pg_stat_activity). Nothing is half done; repeat `bezant migrate`."
                    ) from error
                await asyncio.sleep(_PAUSE_S)
                continue
            if name is None:
                return applied
            applied.append(name)
            tries = 0


async def require_current(url: str, folder: Path | None = None) -> None:
    """Raise OperatorError unless the database has exactly this program's schema."""
    migrations = load(folder)
    async with _connected(url) as connection:
        version = await schema_version(connection)
        if version:
            _refuse_foreign(await _applied(connection), migrations)
    newest = migrations[-1].version
    if version < newest:
        state = "is empty" if version == 0 else f"has schema {version:04d}, this program needs {newest:04d}"
        raise OperatorError(f"The database {state}: run `bezant migrate`.")


async def schema_version(connection: Connection) -> int:
    """The newest applied migration, 0 for an empty database."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations"))


def load(folder: Path | None = None) -> list[Migration]:
    """The migrations in `folder` (default: those shipped with this program) in order, numbered without a gap."""
    folder = folder or _shipped()
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match.group(1)) != len(migrations) + 1:
            raise OperatorError(f"{path}: migrations are named NNNN_what.sql and numbered from 0001 without a gap.")
        migrations.append(Migration(int(match.group(1)), path.stem, path.read_text("utf-8")))
    if not migrations:
        raise OperatorError(f"There are no migrations in {folder}: the installation is incomplete.")
    return migrations


def _shipped() -> Path:
    package = Path(str(files("bezant")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


async def _apply_next(connection: "DriverConnection", migrations: list[Migration]) -> str | None:
    """Apply the first migration that is missing, in one transaction; its name, or None if none is."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{_TURN_TIMEOUT}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_LOCK)
        await connection.execute(f"SET LOCAL lock_timeout = '{_TABLE_LOCK_TIMEOUT}'")
        await connection.execute(_CREATE_TABLE)
        applied = await _applied(connection)
        _refuse_foreign(applied, migrations)
        pending = next((migration for migration in migrations if migration.version not in applied), None)
        if pending is None:
            return None
        try:
            await connection.execute(pending.sql)
        except asyncpg.LockNotAvailableError:
            raise
        except asyncpg.PostgresError as error:
            raise OperatorError(f"Migration {pending.name} failed and was rolled back: {error}") from error
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
            pending.version,
            pending.name,
            pending.checksum(),
        )
        return pending.name


async def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    return {version: (name, checksum) for version, name, checksum in rows}


def _refuse_foreign(applied: dict[int, tuple[str, str]], migrations: list[Migration]) -> None:
    """Stop at a database that is newer than this program or was made from other files."""
    known = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in applied.items():
        migration = known.get(version)
        if migration is None:
            raise OperatorError(
                f"This program is older than the database, which has {name}; this one knows up to "
                f"{migrations[-1].name}. Run the newer version of Bezant."
            )
        if migration.checksum() != checksum:
            raise OperatorError(
                f"Migration {migration.name} was changed after it was applied to this database. An applied migration "
                "must stay as it is: put the change into a new file."
            )


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator["DriverConnection"]:
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_TIMEOUT_S,
            statement_cache_size=0,  # works through a transaction pooler
            server_settings={"application_name": "bezant migrate"},
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or type(error).__name__
        raise OperatorError(f"The database cannot be reached: {reason}. Is BEZANT_DATABASE_URL right?") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
