"""Live Minecraft: a player on the embedded server and on servers that fail, each in one line with nothing left running.

pytest -m minecraft tests/bridges/minecraft     (after `iafm minecraft install`)
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridges.minecraft.packages import Requirements, find_requirements
from bridges.minecraft.process import MinecraftError, PlayerOptions, PlayerProcess
from bridges.minecraft.tasks import TASKS, live_spec

pytestmark = pytest.mark.minecraft
LIMIT_S = 10.0
PROTOCOL = 754
"""Of Minecraft 1.16.5."""


@pytest.fixture(scope="module")
def needed() -> Requirements:
    return find_requirements()


def scripted(**changes: Any) -> PlayerOptions:
    options = PlayerOptions(live_spec(), role="none", player="scripted", tasks=TASKS)
    return replace(options, **changes)


def descendants(pid: int) -> set[int]:
    """A process with all that it started, as `ps` has them."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = {int(p): int(q) for p, q in map(str.split, listing.stdout.splitlines())}
    family = {pid}
    while more := {p for p, q in parents.items() if q in family} - family:
        family |= more
    return family


@contextmanager
def nothing_left(processes: Callable[[], set[int]]) -> Iterator[None]:
    """What `processes` names while the block runs has ended soon after it."""
    handles: list[int] = []
    yield
    for pid in processes():
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for handle in handles:
        ended = select.select([handle], [], [], LIMIT_S)[0]
        os.close(handle)
        assert ended


def failure(options: PlayerOptions, needed: Requirements) -> tuple[str, float]:
    """The one line of a player that cannot play, and how long it took from its first event on.

    All that it started has ended.
    """
    family: set[int] = set()
    with nothing_left(lambda: family), PlayerProcess(options, needed) as player:
        watcher = threading.Timer(1.5, lambda: family.update(descendants(player.pid)))
        watcher.start()
        events = player.events()
        next(events)
        begun = time.monotonic()
        with pytest.raises(MinecraftError) as caught:
            list(events)
        took_s = time.monotonic() - begun
        watcher.cancel()
    assert "\n" not in str(caught.value)
    return str(caught.value), took_s


# --- servers that fail ---


def varint(number: int) -> bytes:
    number &= 0xFFFFFFFF
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def packet(number: int, payload: bytes) -> bytes:
    body = varint(number) + payload
    return varint(len(body)) + body


def text(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return varint(len(data)) + data


@contextmanager
def fake_server(protocol: int, on_login: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that tells its status, and does as `on_login` says to whoever logs in; gives its port."""
    status = {"version": {"name": "9.9.9" if protocol != PROTOCOL else "1.16.5", "protocol": protocol},
              "players": {"max": 1, "online": 1}, "description": {"text": "fake"}}  # fmt: skip

    def serve(peer: socket.socket) -> None:
        with peer:
            handshake = peer.recv(4096)
            if handshake[handshake[0]] == 1 or handshake.endswith(b"\x01\x00"):
                peer.sendall(packet(0, text(status)))
                ping = peer.recv(64)
                peer.sendall(packet(1, ping[-8:].rjust(8, b"\0")))
            else:
                on_login(peer)

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def kick(reason: Any) -> Callable[[socket.socket], None]:
    return lambda peer: peer.sendall(packet(0, text(reason)))


def test_a_server_that_is_not_there(needed: Requirements) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    line, took_s = failure(scripted(host="127.0.0.1", port=port), needed)
    assert line == f"no Minecraft server at 127.0.0.1:{port}: nothing listens there"
    assert took_s < LIMIT_S


def test_a_server_that_never_answers(needed: Requirements) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        line, took_s = failure(scripted(host="127.0.0.1", port=port), needed)
    assert line == f"no Minecraft server at 127.0.0.1:{port}: it does not answer"
    assert took_s < LIMIT_S


@pytest.mark.parametrize(
    ("protocol", "on_login", "end"),
    [
        (9999, kick(""), "speaks Minecraft 9.9.9 (protocol 9999); this player knows 1.8.8 to 1.21.4"),
        (PROTOCOL, kick({"text": "no ", "extra": [{"text": "bots\n\x1b[31m"}]}), "the player: no bots [31m"),
        (PROTOCOL, kick({"translate": "multiplayer.disconnect.server_full"}), "the player: the server is full"),
        (PROTOCOL, lambda peer: None, "closed the connection"),
        (PROTOCOL, lambda peer: time.sleep(LIMIT_S), "answers, but lets the player not in within 4 s"),
    ],
    ids=["another version", "kicked", "full", "closes", "never lets in"],
)  # fmt: skip
def test_a_server_that_refuses(
    needed: Requirements, protocol: int, on_login: Callable[[socket.socket], None], end: str
) -> None:
    with fake_server(protocol, on_login) as port:
        line, took_s = failure(scripted(host="127.0.0.1", port=port), needed)
    assert line.endswith(end)
    assert took_s < LIMIT_S


def test_a_chromium_that_does_not_start(needed: Requirements, tmp_path: Path) -> None:
    false = tmp_path / "chromium"
    false.write_text("#!/bin/sh\nexit 3\n")
    false.chmod(0o755)
    line, took_s = failure(scripted(), replace(needed, chromium=false))
    assert line.startswith(f"Chromium ({false}) does not start: ")
    assert took_s < LIMIT_S


# --- play on the embedded server ---


@pytest.mark.parametrize(
    ("who", "how", "end"),
    [
        ("server", signal.SIGKILL, "closed the connection"),
        ("server", signal.SIGSTOP, "has been silent for 9 s"),
        ("browser", signal.SIGKILL, "Chromium ended"),
    ],
)
def test_a_server_or_browser_that_dies_in_play(
    needed: Requirements, who: str, how: signal.Signals, end: str
) -> None:
    with PlayerProcess(scripted(), needed) as player:
        family: set[int] = set()
        events = player.events()
        pids = next(event for event in events if event["event"] == "started")
        assert next(event for event in events if event["event"] == "ready")
        family |= descendants(player.pid)
        os.kill(pids[who], how)
        killed = time.monotonic()
        with nothing_left(lambda: family), pytest.raises(MinecraftError) as caught:
            list(events)
        assert time.monotonic() - killed < LIMIT_S + 2
        assert str(caught.value).endswith(end)


def test_nothing_outlives_a_parent_that_is_killed(needed: Requirements) -> None:
    script = (
        "from bridges.minecraft.packages import find_requirements as f\n"
        "from bridges.minecraft.process import *\nfrom bridges.minecraft.tasks import *\n"
        "o = PlayerOptions(live_spec(), role='none', player='scripted', tasks=TASKS)\n"
        "for e in PlayerProcess(o, f()).events(): print(e['event'], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        while parent.stdout.readline().strip() != "ready":
            assert parent.poll() is None
        family = descendants(parent.pid)
        assert len(family) > 5
        with nothing_left(lambda: family):
            parent.kill()


def test_the_scripted_player_does_every_task(needed: Requirements) -> None:
    with PlayerProcess(scripted(episodes=len(TASKS), seed=5), needed) as player:
        events = list(player.events())
    episodes = [event for event in events if event["event"] == "episode"]
    assert [(event["task"], event["success"]) for event in episodes] == [(t, True) for t in TASKS]
    assert events[-1]["disconnects"] == 0
