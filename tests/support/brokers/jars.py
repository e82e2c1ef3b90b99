"""The jars of a Kafka broker: pinned in `kafka-jars.txt`, fetched once, kept in the user's cache, checked by digest.

Maven fetches them by its own settings. Where BEZANT_TEST_MAVEN_URL names a repository they are read from there.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import platformdirs

LIST = Path(__file__).with_name("kafka-jars.txt")
REPOSITORY_VARIABLE = "BEZANT_TEST_MAVEN_URL"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"
_TIMEOUT_S = 600


class Jar(NamedTuple):
    """One pinned artifact."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Below a repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def pinned() -> list[Jar]:
    """What the list says."""
    jars: list[Jar] = []
    for line in LIST.read_text().splitlines():
        if not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def kafka_jars(cache: Path | None = None) -> Path:
    """The folder with every jar, complete and checked."""
    cache = cache or Path(platformdirs.user_cache_dir("bezant-tests", appauthor=False))
    name = hashlib.sha256(LIST.read_bytes()).hexdigest()[:12]
    folder = cache / f"kafka-{name}"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "kafka.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as draft:
                _fetch(pinned(), Path(draft))
                Path(draft).rename(folder)
                Path(draft).mkdir()
    return folder


def _fetch(jars: list[Jar], folder: Path) -> None:
    if repository := os.environ.get(REPOSITORY_VARIABLE):
        for jar in jars:
            with urllib.request.urlopen(f"{repository.rstrip('/')}/{jar.path}", timeout=60) as answer:
                (folder / jar.file_name).write_bytes(answer.read())
    elif shutil.which("mvn"):
        _by_maven(jars, folder)
    else:
        raise RuntimeError(f"Kafka's jars are fetched by Maven: install `mvn`, or set {REPOSITORY_VARIABLE}.")
    for jar in jars:
        found = hashlib.sha256((folder / jar.file_name).read_bytes()).hexdigest()
        if found != jar.sha256:
            raise RuntimeError(f"{jar.file_name} is not the one that is pinned: its SHA-256 is {found}.")


def _by_maven(jars: list[Jar], folder: Path) -> None:
    """A project that depends on exactly these."""
    alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "".join(
        f"<dependency><groupId>{escape(j.group)}</groupId><artifactId>{escape(j.artifact)}</artifactId>"
        f"<version>{escape(j.version)}</version>{alone}</dependency>"
        for j in jars
    )
    with tempfile.TemporaryDirectory() as project:
        pom = Path(project) / "pom.xml"
        pom.write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            "<groupId>dev.bezant</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>"
            f"<dependencies>{dependencies}</dependencies></project>"
        )
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(pom), _COPY, f"-DoutputDirectory={folder}"],
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not fetch Kafka's jars:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
