"""Player's process: one Node process for each player, watched, that leaves nothing running.

Its options go in as a line of JSON, and its events come out, a line of JSON each. It ends when its input does: however
this process ends, the player, its browser and its server end too. What it says otherwise goes to a log.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal

from bridges.errors import BridgeError
from bridges.minecraft.packages import SCRIPTS, Requirements
from games import GameSpec

SILENCE_S = 20.0
"""A player says at least once a second that it lives."""
CLOSING_S = 6.0
ENDED_ITSELF = (0, 1, 130)
"""Exit codes of a player that ended what it had started."""
MAX_LINE = 1 << 16
LOG_TAIL = 2_000
Event = dict[str, Any]


class MinecraftError(BridgeError):
    """A live player cannot start or go on; one line says why."""


@dataclass(frozen=True)
class World:
    """One episode on the embedded server."""

    task: str
    seed: int
    words: Literal["own", "none", "swapped"] = "own"
    """The instruction: the task's own, none, or another task's."""


@dataclass(frozen=True)
class PlayerOptions:
    """What one player does. `host` None starts the embedded server; `url` is the server of the policy or recorder."""

    spec: GameSpec
    url: str | None = None
    role: str = "play"
    """play: a policy acts; record: a program's play is recorded; none: a program plays, and nobody hears of it."""
    player: str = "agent"
    """agent, or scripted."""
    host: str | None = None
    port: int = 25565
    name: str = "AI_iafm"
    token: str | None = None
    instruction: str | None = None
    """None: that of each of the embedded server's tasks."""
    tasks: tuple[str, ...] = ()
    episodes: int | None = None
    seed: int = 0
    worlds: tuple[World, ...] = ()
    """Of the embedded server, one episode each; empty: `tasks` in turn from `seed` on."""
    noise_prob: float = 0.0
    """Chance per step that the scripted player does something random for 3 to 10 steps."""
    agent_url: str | None = None
    """Server of a policy that plays while the program only says what would be right (role record)."""
    seconds: float | None = None

    def message(self, needed: Requirements) -> dict[str, Any]:
        """The options as the process reads them."""
        frame = self.spec.frame
        return {
            **{name: value for name, value in asdict(self).items() if name != "spec"},
            "spec": self.spec.model_dump(mode="json"),
            "size": {"width": frame.width, "height": frame.height},
            "embedded": self.host is None,
            "packages": str(needed.packages),
            "chromium": str(needed.chromium),
        }


class PlayerProcess:
    """A running player; its block ends it."""

    def __init__(self, options: PlayerOptions, needed: Requirements) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [needed.node, SCRIPTS / "player.js"], start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            )  # fmt: skip
        except OSError as error:
            self._log.close()
            raise MinecraftError(f"{needed.node} does not start: {error.strerror}") from None
        self._browser: int | None = None
        self._buffer = b""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(options.message(needed)).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Of the Node process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code of the Node process; None while it runs."""
        return self._process.returncode

    def events(self) -> Iterator[Event]:
        """What happens until the player is done, and `alive` with its figures once a second.

        Raises `MinecraftError` where it fails, dies or is silent.
        """
        for line in self._lines():
            event = self._read(line)
            match event.get("event"):
                case "failed":
                    raise MinecraftError(str(event.get("message", "the player failed")))
                case "started":
                    self._browser = event.get("browser")
            yield event
            if event.get("event") in ("done", "stopped"):
                return
        raise MinecraftError(f"the player's process ended{self._last_words()}")

    def _read(self, line: bytes) -> Event:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise MinecraftError("the player's process says something that is no event")
        return event

    def _lines(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(number, selectors.EVENT_READ)
            while True:
                while b"\n" in self._buffer:
                    line, _, self._buffer = self._buffer.partition(b"\n")
                    yield line
                if len(self._buffer) > MAX_LINE:
                    raise MinecraftError("the player's process says too much at once")
                if not selector.select(SILENCE_S):
                    raise MinecraftError(f"the player has been silent for {SILENCE_S:.0f} s")
                data = os.read(number, MAX_LINE)
                if not data:
                    return
                self._buffer += data

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_TAIL))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        errors = [line for line in lines if "Error" in line] or lines[-1:]
        return f": {errors[0].strip()[:300]}" if errors else ""

    def close(self) -> None:
        """End the player with all that it started; waits for it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(CLOSING_S)
        if process.returncode not in ENDED_ITSELF:
            for group in (process.pid, self._browser):
                if group is not None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(group, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self._log.close()

    def __enter__(self) -> PlayerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
