"""The jars that a Kafka broker is made of: exactly those that are pinned, wherever they come from."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.brokers.jars import REPOSITORY_VARIABLE, kafka_jars, pinned


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository on this machine with what is pinned."""
    kept = kafka_jars()
    folder = tmp_path / "repository"
    for jar in pinned():
        (folder / jar.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept / jar.file_name, folder / jar.path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(REPOSITORY_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def test_jars_come_from_the_repository_that_is_named_and_only_once(repository: Path, tmp_path: Path) -> None:
    folder = kafka_jars(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted(jar.file_name for jar in pinned())
    shutil.rmtree(repository)
    assert kafka_jars(tmp_path / "cache") == folder


def test_jar_that_is_another_one_is_refused_and_nothing_of_it_is_kept(repository: Path, tmp_path: Path) -> None:
    jar = pinned()[7]
    with (repository / jar.path).open("ab") as file:
        file.write(b"more")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"{jar.artifact}.*is not the one that is pinned"):
            kafka_jars(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kafka.lock"]
