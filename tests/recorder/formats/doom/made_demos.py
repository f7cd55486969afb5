"""Made demos and WADs, and a stand-in for dsda-doom that draws numbered pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

HEADER = bytes([109, 3, 1, 15, 0, 0, 0, 0, 0, 1, 0, 0, 0])
TICS = 12


def tic(forward: int = 0, side: int = 0, turn: int = 0, buttons: int = 0) -> bytes:
    return bytes([forward % 256, side % 256, turn % 256, buttons])


def demo(tics: Iterable[bytes]) -> bytes:
    return HEADER + b"".join(tics) + b"\x80"


def numbered_demo(count: int = TICS) -> bytes:
    """Each tic turns right by its number."""
    return demo(tic(turn=-number) for number in range(count))


def wad(path: Path, lumps: dict[str, bytes], kind: bytes = b"IWAD") -> Path:
    body, rows = b"", b""
    for name, content in lumps.items():
        place = (12 + len(body)).to_bytes(4, "little") + len(content).to_bytes(4, "little")
        rows += place + name.encode().ljust(8, b"\0")
        body += content
    head = kind + len(lumps).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little")
    path.write_bytes(head + body + rows)
    return path


def stand_in(path: Path, pictures: int, last_words: str = "", spare_bytes: int = 0) -> Path:
    """A program that passes so many pictures to the configured command, each of brightness 20 times its number."""
    path.write_text(f"""#!{sys.executable}
import re, subprocess, sys
config = open(sys.argv[sys.argv.index("-config") + 1]).read()
command = re.search('cap_videocommand "(.*)"', config)[1]
pipe = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, close_fds=False)
for number in range({pictures}):
    pipe.stdin.write(bytes([20 * number % 256]) * (640 * 480 * 3))
pipe.stdin.write(bytes({spare_bytes}))
pipe.stdin.close()
pipe.wait()
print({last_words!r})
""")
    path.chmod(0o755)
    return path
