"""Downloads over HTTP: cut anywhere they go on, and what is written is one version of the file, whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.format.manifest import DiskFullError
from recorder.formats import web_file
from recorder.formats.web_file import GivenUpError, WebClient, WebError, finish, held_bytes
from tests.recorder.formats.faulty_server import Fault, FaultyServer, Served, faulty_server

CONTENT = bytes(range(256)) * 1024
PATH = "/a.mp4"


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.fixture
def server(running: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    monkeypatch.setenv("no_proxy", "*")
    running.files.clear()
    running.faults.clear()
    running.requests.clear()
    running.files[PATH] = Served(CONTENT)
    return running


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the client waited."""
    return []


@pytest.fixture
def client(waits: list[float]) -> WebClient:
    return WebClient(timeout_s=5, sleep=waits.append)


def get(client: WebClient, server: FaultyServer, target: Path, held: Any = lambda _: None) -> bytes:
    """Receive the file, and return what is there."""
    client.fetch(client.probe(server.url + PATH), target, held)
    finish(target)
    assert sorted(target.parent.iterdir()) == [target]
    return target.read_bytes()


def ranges(server: FaultyServer) -> list[str]:
    return [asked for method, _, asked in server.requests if method == "GET"]


def test_a_file(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    held: list[int] = []
    assert get(client, server, tmp_path / "a", held.append) == CONTENT
    assert (held[0], held[-1], held == sorted(held)) == (0, len(CONTENT), True)
    assert ranges(server) == [""]


def test_an_empty_file(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    server.files[PATH] = Served(b"")
    assert get(client, server, tmp_path / "a") == b""


def test_cut_connections_go_on(
    server: FaultyServer, client: WebClient, tmp_path: Path, waits: list[float]
) -> None:
    server.faults[PATH] = [Fault(cut=100_000), Fault(cut=0), Fault(cut=50_000)]
    assert get(client, server, tmp_path / "a") == CONTENT
    assert ranges(server) == ["", "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert waits == [1, 2, 4]


def test_a_server_without_ranges_begins_anew(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    server.faults[PATH] = [Fault(cut=100_000), Fault(no_range=True)]
    assert get(client, server, tmp_path / "a") == CONTENT


def stop_after(limit: int) -> Any:
    def held(size: int) -> None:
        if size >= limit:
            raise KeyboardInterrupt

    return held


def test_ctrl_c_loses_nothing(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    target = tmp_path / "a"
    server.faults[PATH] = [Fault(cut=100_000)]
    with pytest.raises(KeyboardInterrupt):
        get(client, server, target, stop_after(1))
    held = held_bytes(target)
    assert 0 < held <= 100_000
    assert not target.exists()
    assert get(client, server, target) == CONTENT
    assert ranges(server)[1:] == [f"bytes={held}-"]


@pytest.mark.parametrize("same_size", [True, False])
@pytest.mark.parametrize("is_mid_way", [True, False])
def test_a_changed_file_is_never_mixed(
    server: FaultyServer, client: WebClient, tmp_path: Path, same_size: bool, is_mid_way: bool
) -> None:
    other = Served(CONTENT[::-1] if same_size else CONTENT[:-7], '"2"')
    if is_mid_way:
        server.faults[PATH] = [Fault(cut=100_000, then=other)]
        assert get(client, server, tmp_path / "a") == other.content
        return
    server.faults[PATH] = [Fault(cut=100_000)]
    with pytest.raises(KeyboardInterrupt):
        get(client, server, tmp_path / "a", stop_after(1))
    server.files[PATH] = other
    assert get(client, server, tmp_path / "a") == other.content
    assert ranges(server)[1:] == [""]


def test_last_modified_tells_versions_apart(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    server.files[PATH] = Served(CONTENT, "", "Mon, 01 Jan 2024 00:00:00 GMT")
    other = Served(CONTENT[::-1], "", "Tue, 02 Jan 2024 00:00:00 GMT")
    server.faults[PATH] = [Fault(cut=100_000), Fault(cut=50_000, then=other)]
    assert get(client, server, tmp_path / "a") == other.content


def test_without_etag_and_date_a_part_is_not_trusted(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    server.files[PATH] = Served(CONTENT, "")
    server.faults[PATH] = [Fault(cut=100_000)]
    with pytest.raises(KeyboardInterrupt):
        get(client, server, tmp_path / "a", stop_after(1))
    assert get(client, server, tmp_path / "a") == CONTENT
    assert ranges(server)[1:] == [""]


def test_a_file_that_never_rests(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    versions = [Served(CONTENT, f'"{k}"') for k in range(2, 12)]
    server.faults[PATH] = [Fault(on=method, then=v) for v in versions for method in ("HEAD", "GET")]
    with pytest.raises(WebError, match="changes while it is received"):
        get(client, server, tmp_path / "a")


def test_a_file_that_grew(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    server.faults[PATH] = [Fault(on="HEAD", then=Served(CONTENT * 2, '"2"'))]
    with pytest.raises(WebError, match="grew from 262144 to 524288 bytes"):
        get(client, server, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_lies_about_sizes(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    longer = Fault(body=CONTENT + b"more than was said")
    server.faults[PATH] = [longer]
    assert get(client, server, tmp_path / "a") == CONTENT
    wrong = {"Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}
    server.faults[PATH] = [Fault(cut=100_000), Fault(headers=dict(wrong))]
    (tmp_path / "a").unlink()
    assert get(client, server, tmp_path / "b") == CONTENT


@pytest.mark.parametrize("length", [None, "-1", "x", "9" * 19])
def test_a_size_that_is_none(
    server: FaultyServer, client: WebClient, tmp_path: Path, length: str | None
) -> None:
    server.faults[PATH] = [Fault(on="HEAD", headers={"Content-Length": length})]
    with pytest.raises(WebError, match="does not say how large it is"):
        get(client, server, tmp_path / "a")


def test_a_range_that_is_refused_begins_anew(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    server.faults[PATH] = [Fault(cut=100_000), Fault(status=416)]
    assert get(client, server, tmp_path / "a") == CONTENT
    assert ranges(server) == ["", "bytes=100000-", ""]


def test_a_server_that_gives_and_takes_back(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    server.faults[PATH] = [Fault(cut=100_000), Fault(status=416)] * 10
    with pytest.raises(GivenUpError, match="6 times"):
        get(client, server, tmp_path / "a")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_refused_range_that_was_not_asked_for(
    server: FaultyServer, client: WebClient, tmp_path: Path, method: str
) -> None:
    server.faults[PATH] = [Fault(status=416, on=method)]
    with pytest.raises(WebError, match="answers 416"):
        get(client, server, tmp_path / "a")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refusals_are_final(
    server: FaultyServer, client: WebClient, tmp_path: Path, waits: list[float], status: int
) -> None:
    server.faults[PATH] = [Fault(status=status)]
    with pytest.raises(WebError, match=f"answers {status}"):
        get(client, server, tmp_path / "a")
    assert waits == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_errors_that_pass(
    server: FaultyServer, client: WebClient, tmp_path: Path, waits: list[float], status: int
) -> None:
    later = {"Retry-After": "7"}
    server.faults[PATH] = [Fault(status=status), Fault(status=status, headers=dict(later))]
    assert get(client, server, tmp_path / "a") == CONTENT
    server.faults[PATH] = [Fault(status=status, headers={"Retry-After": "100000"})] * 6
    with pytest.raises(GivenUpError, match=f"answers {status}, 6 times"):
        get(client, server, tmp_path / "b")
    assert waits == [1, 7, *[60.0] * 5]


def test_no_server(client: WebClient, server: FaultyServer, waits: list[float]) -> None:
    with faulty_server() as gone:
        address = gone.url
    with pytest.raises(GivenUpError, match="refused"):
        client.probe(address + PATH)
    assert waits == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("method", [405, 501])
def test_a_server_without_head(
    server: FaultyServer, client: WebClient, tmp_path: Path, method: int
) -> None:
    server.faults[PATH] = [Fault(on="HEAD", status=method)]
    assert get(client, server, tmp_path / "a") == CONTENT


def test_redirects(server: FaultyServer, client: WebClient, tmp_path: Path) -> None:
    there = {"Location": "/a.mp4"}
    server.faults["/b"] = [Fault(status=302, headers=dict(there), on=m) for m in ("HEAD", "GET")]
    server.faults[PATH] = [Fault(cut=100_000)]
    server.faults["/b"].append(Fault(status=302, headers=dict(there)))
    client.fetch(client.probe(server.url + "/b"), tmp_path / "a", lambda _: None)
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert [method for method, *_ in server.requests] == ["HEAD"] * 2 + ["GET"] * 4
    assert server.requests[-1] == ("GET", PATH, "bytes=100000-")


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "javascript:1", "//[::1"]
)
def test_redirects_to_elsewhere(
    server: FaultyServer, client: WebClient, tmp_path: Path, location: str
) -> None:
    server.faults[PATH] = [Fault(status=302, headers={"Location": location}, on="HEAD")]
    with pytest.raises(WebError):
        get(client, server, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_redirects_in_a_circle(server: FaultyServer, client: WebClient) -> None:
    server.faults[PATH] = [Fault(status=302, headers={"Location": PATH}, on="HEAD")] * 20
    with pytest.raises(WebError):
        client.probe(server.url + PATH)
    assert len(server.requests) < 12


@pytest.mark.parametrize("address", ["file:///etc/passwd", "data:,a", "ftp://127.0.0.1/a"])
def test_only_http_is_spoken(client: WebClient, address: str) -> None:
    with pytest.raises(WebError):
        client.probe(address)


def test_what_comes_compressed_is_refused(server: FaultyServer, client: WebClient) -> None:
    server.faults[PATH] = [Fault(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(WebError, match="compressed"):
        client.read(server.url + PATH, 1 << 20)


def test_small_files_in_memory(server: FaultyServer, client: WebClient) -> None:
    server.faults[PATH] = [Fault(cut=100), Fault(status=500)]
    assert client.read(server.url + PATH, len(CONTENT)) == CONTENT
    with pytest.raises(WebError, match="more than 1000 bytes"):
        client.read(server.url + PATH, 1000)


def test_a_full_disk(
    server: FaultyServer, client: WebClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web_file, "_copy", full)
    with pytest.raises(DiskFullError):
        get(client, server, tmp_path / "a")


def test_a_version_file_that_is_damaged(
    server: FaultyServer, client: WebClient, tmp_path: Path
) -> None:
    (tmp_path / "a.part").write_bytes(b"something else")
    (tmp_path / "a.part.json").write_bytes(b"\xff{")
    assert get(client, server, tmp_path / "a") == CONTENT
