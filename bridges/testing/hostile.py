"""Hostile peers: what a server must bear beside an honest game, a small coroutine each.

`attack` lets one of each kind come again and again until the time is over. What the server does to them is its own
business; that they can do nothing to others is what the benchmark measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from bridges.protocol.frames import HEADER
from bridges.testing import hostile_pictures as pictures
from bridges.testing.attack import (
    SPEC,
    Attack,
    flood,
    forever,
    read_all,
    text_message,
    websocket_frame,
)
from bridges.testing.stub_policy import FAILS

PAUSE_S = 0.2
"""Before a peer comes again."""


# --- messages ---


async def braces(attack: Attack) -> None:
    await attack.flood(forever("{"), 5000)


async def deep_json(attack: Attack) -> None:
    await attack.flood(forever("[" * 200_000, '{"type":' * 30_000), 4)


async def large_json(attack: Attack) -> None:
    numbers = text_message("event", junk=[0.1] * 40_000)
    objects = text_message("event", junk=[{"a": {}}] * 20_000)
    await attack.flood(forever(numbers, objects), 20)


async def unknown_types(attack: Attack) -> None:
    await attack.flood(text_message(f"surprise{n}", id=n) for n in count())


async def wrong_numbers(attack: Attack) -> None:
    texts = (
        '{"type":"event","reward":NaN}',
        '{"type":"event","reward":1e999}',
        '{"type":"event","reward":' + "9" * 5000 + "}",
        '{"type":"instruct","text":"\\ud800"}',
        '{"type":"query","id":1e308}',
        '{"type":"event","episode":-1}',
        '{"type":null}',
        "\0",
    )
    await attack.flood(forever(*texts))


async def hellos(attack: Attack) -> None:
    await attack.flood(forever(attack.hello()))


async def queries(attack: Attack) -> None:
    await attack.flood(text_message("query", id=n, kind="why") for n in count())


async def events(attack: Attack) -> None:
    async with attack.game() as game:
        for n in count():
            await game.send(pictures.small())
            end = text_message("event", terminated=True, reward=1e15, episode=n)
            await flood(game, iter([end, text_message("instruct", text=f"{n}" * 50)] * 20), 40)


async def pings(attack: Attack) -> None:
    async with attack.game() as game:
        while not game.transport.is_closing():
            game.transport.write(websocket_frame(b"ping", 9) * 500)
            await asyncio.sleep(0.05)


async def fragments(attack: Attack) -> None:
    """A message in pieces of one byte that never ends."""

    async def pieces() -> AsyncIterator[str]:
        for _ in range(100_000):
            yield "{"
            await asyncio.sleep(0)

    async with attack.game() as game:
        await game.send(pieces())


# --- pictures ---


async def mutated_pictures(attack: Attack) -> None:
    rng, originals = attack.rng, (pictures.small(), pictures.small_png())
    data = (pictures.mutated(rng.choice(originals), rng, HEADER.size) for _ in count())
    await attack.send_pictures(data, hz=200)


async def mutated_headers(attack: Attack) -> None:
    await attack.send_pictures(
        (pictures.mutated(pictures.small(), attack.rng) for _ in count()), 200
    )


async def random_bytes(attack: Attack) -> None:
    await attack.send_pictures((pictures.random_message(attack.rng) for _ in count()), 200)


async def damaged_in_turn(attack: Attack) -> None:
    """Every second picture is damaged, so that the failures are never in a row."""
    data = (pictures.small() if n % 2 else pictures.damaged(attack.rng) for n in count())
    await attack.send_pictures(data, hz=50)


async def failing(attack: Attack) -> None:
    """Every second picture is for an instruction on which the policy raises."""
    async with attack.game() as game:
        for n in count():
            await game.send(text_message("instruct", text=("walk", FAILS)[n % 2]))
            await game.send(pictures.small())
            await asyncio.sleep(0.05)


async def noise(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.png_of_noise()), hz=20)


async def png_bombs(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.png_bomb()), hz=20)


async def jpeg_bombs(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.jpeg_bomb()), hz=20)


async def lies(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.png_with_a_lie()), hz=20)


async def too_large(attack: Attack) -> None:
    await attack.send_pictures((pictures.too_large(attack.rng) for _ in count()), hz=20)


async def raw_pictures(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.raw_bgra()), hz=20)


async def tiny_pictures(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.message(0, (1, 1), b"123")), hz=900)


async def metas(attack: Attack) -> None:
    """Pictures with as much JSON as may come with one."""
    texts = (
        b"{" * 65_000,
        b"[" * 65_000,
        b"\xff" * 65_000,
        b'{"a":1e999}',
        b'"\\ud800"',
        b"[]" * 30_000,
    )
    data = (pictures.message(0, (1, 1), b"123", meta) for meta in forever(*texts))
    await attack.send_pictures(data, hz=100)


async def lockstep_floods(attack: Attack) -> None:
    await attack.send_pictures(forever(pictures.small()), hz=1e6, mode="lockstep")


# --- specs and hellos ---


async def _say(attack: Attack, **hello: Any) -> None:
    """Say hello, see what happens, and leave."""
    async with attack.connection() as game:
        await game.send(attack.hello(**hello))
        await game.recv()
        await game.send(pictures.small())
        await asyncio.sleep(0.1)


async def large_specs(attack: Attack) -> None:
    """As many controls and tokens as a spec may have."""
    bins = [float(n) for n in range(-8, 8)]
    camera = {"kind": "camera", "pitch_bins": bins, "yaw_bins": bins}
    sticks = [
        {"kind": "stick", "name": f"s{n}", "rotation_bins": 1024, "magnitude_bins": 3}
        for n in range(7)
    ]
    specs = (
        [{**camera, "name": f"c{n}"} for n in range(256)],
        [{"kind": "button", "name": f"b{n}"} for n in range(256)],
        sticks,
    )
    controls = attack.rng.choice(specs)
    names = [control["name"] for control in controls]
    exclusive = [names[:2]] * 256 if controls[0]["kind"] == "button" else []
    hints = ["x" * 500] * 100
    await _say(attack, spec={**SPEC, "controls": controls, "exclusive": exclusive, "hints": hints})


async def wrong_specs(attack: Attack) -> None:
    """Beyond each limit of a spec."""
    sticks = [
        {"kind": "stick", "name": f"s{n}", "rotation_bins": 1024, "magnitude_bins": 256}
        for n in range(256)
    ]
    specs: tuple[dict[str, Any], ...] = (
        {"controls": sticks},
        {"controls": [{"kind": "axis", "name": "x", "low": -1.7e308, "high": 1.7e308}]},
        {"controls": [{"kind": "axis", "name": "x", "low": 0, "high": 1, "token": "{:>20000000}"}]},
        {"controls": [{"kind": "axis", "name": "x", "low": 0, "high": 1, "token": "{x}"}]},
        {"controls": [{"kind": "button", "name": f"b{n}"} for n in range(8000)]},
        {"step_hz": 1e-306},
        {"frame": {"height": 1, "width": 1 << 40}},
        {"id": "x" * 100_000},
        {"hints": ["x"] * 50_000},
    )  # fmt: skip
    await _say(attack, spec={**SPEC, **attack.rng.choice(specs)})


async def wrong_hellos(attack: Attack) -> None:
    hellos: tuple[dict[str, Any], ...] = (
        {"seed": -1},
        {"seed": 1 << 80},
        {"version": 99},
        {"version": "x" * 100_000},
        {"role": "king"},
        {"tasks": ["x"] * 50_000},
        {"instruction": "x" * 200_000},
    )
    await _say(attack, **attack.rng.choice(hellos))


async def wrong_tokens(attack: Attack) -> None:
    token = attack.rng.choice(("", "x", "x" * 200_000, None, 7, ["x"]))
    await _say(attack, token=token)


async def storms(attack: Attack) -> None:
    """Games that attach, send a picture and are gone."""
    for _ in range(20):
        async with attack.connection() as game:
            await game.send(attack.hello())
            await game.send(pictures.small())


# --- connections ---


async def _tcp(attack: Attack, data: bytes, hold_s: float) -> None:
    """A TCP connection that sends this and no more."""
    parts = urlsplit(attack.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        await asyncio.sleep(hold_s)
    finally:
        writer.transport.abort()


async def half_open(attack: Attack) -> None:
    """Connections that say nothing, or half of a request."""
    data = attack.rng.choice((b"", b"GET /v1 HTTP/1.1\r\n", b"\x16\x03\x01"))
    await asyncio.gather(*(_tcp(attack, data, 3) for _ in range(10)))


async def wrong_requests(attack: Attack) -> None:
    """What is no websocket handshake."""
    host = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    requests = (
        attack.rng.randbytes(2000),
        b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        host % (b"/" + b"a" * 20_000, b""),
        host % (b"//[", b""),
        host % (b"/v1", b"X: y\r\n" * 500),
        host % (b"/v1", upgrade + b"Sec-WebSocket-Key: no\r\n"),
        host % (b"/v1", upgrade + b"Origin: http://evil.example\r\n"),
        host % (b"/console.js", b""),
        host % (b"/metrics", b""),
    )
    await asyncio.gather(*(_tcp(attack, request, 0.2) for request in requests))


async def never_reads(attack: Attack) -> None:
    """A game that sends and does not read, from its welcome on."""
    async with attack.connection(max_queue=1) as game:
        await game.send(attack.hello())
        await game.recv()
        while True:
            await game.send(pictures.small())
            await asyncio.sleep(0.01)


async def blind_watchers(attack: Attack) -> None:
    """Consoles that never read."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            console = await stack.enter_async_context(attack.connection(max_queue=1))
            await console.send(attack.hello(role="watch", spec=None))
        await asyncio.sleep(20)


async def busy_watcher(attack: Attack) -> None:
    """A console that changes its mind all the time."""
    texts = (
        text_message("instruct", text="jump"),
        text_message("subscribe", session="nobody"),
        text_message("subscribe"),
        text_message("query", kind="caption"),
        text_message("query", kind="why", session="nobody"),
    )
    async with attack.connection() as console:
        await console.send(attack.hello(role="watch", spec=None))
        reading = asyncio.create_task(read_all(console))
        try:
            await flood(console, forever(*texts), 100)
        finally:
            reading.cancel()


PEERS: tuple[Callable[[Attack], Awaitable[None]], ...] = (
    braces, deep_json, large_json, unknown_types, wrong_numbers, hellos, queries, events, pings, fragments,
    mutated_pictures, mutated_headers, random_bytes, damaged_in_turn, failing, noise, png_bombs, jpeg_bombs, lies,
    too_large, raw_pictures, tiny_pictures, metas, lockstep_floods, large_specs, wrong_specs, wrong_hellos,
    wrong_tokens, storms, half_open, wrong_requests, never_reads, blind_watchers, busy_watcher,
)  # fmt: skip
"""Every kind of hostile peer."""


def attack(
    url: str, token: str | None, seconds: float, seed: int, kinds: Iterable[str] | None = None
) -> dict[str, Any]:
    """Run one peer of each kind (or of these) at once; blocks for `seconds`.

    Returns `frames`, the wrong pictures that were sent, and `visits`, how often each kind came.
    """
    names = None if kinds is None else set(kinds)
    peers = [peer for peer in PEERS if names is None or peer.__name__ in names]
    return asyncio.run(_attack(url, token, seconds, seed, peers))


async def _attack(
    url: str,
    token: str | None,
    seconds: float,
    seed: int,
    peers: list[Callable[[Attack], Awaitable[None]]],
) -> dict[str, Any]:
    attacks = [Attack(url, token, Random(1000 * seed + n)) for n in range(len(peers))]
    until = time.monotonic() + seconds
    visits = await asyncio.gather(
        *(_come_again(*pair, until) for pair in zip(peers, attacks, strict=True))
    )
    names = [peer.__name__ for peer in peers]
    return {
        "frames": sum(attack.frames for attack in attacks),
        "visits": dict(zip(names, visits, strict=True)),
    }


async def _come_again(
    peer: Callable[[Attack], Awaitable[None]], attack: Attack, until: float
) -> int:
    """The peer again and again; returns how often. What the server does to it is no fault."""
    visits = 0
    refusals = (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError, EOFError)
    while (left_s := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left_s):
                await peer(attack)
        except refusals:  # a timeout is an OSError
            pass
        visits += 1
        await asyncio.sleep(PAUSE_S)
    return visits
