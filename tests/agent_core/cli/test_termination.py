"""SIGTERM leaves a command by an exception, and only while it runs."""

import os
import signal
import threading
from pathlib import Path

import pytest

from agent_core.__main__ import main
from agent_core.cli.termination import leaves_on_sigterm


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_an_exception_while_the_context_lasts() -> None:
    with pytest.raises(SystemExit) as left, leaves_on_sigterm():
        terminate()
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with leaves_on_sigterm():
            terminate()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert heard == [signal.SIGTERM]


def test_other_threads_change_nothing() -> None:
    done = threading.Event()

    def run() -> None:
        with leaves_on_sigterm():
            done.set()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done.is_set()


@pytest.mark.parametrize("command", [["replay"], ["episodes", "import"]])
def test_what_was_imported_for_a_replay_goes_with_it(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terminated while it reads recordings of others."""

    def read(*args: object, **options: object) -> None:
        terminate()

    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "m.npz").touch()
    monkeypatch.setattr("agent_core.recording.episodes.import_episodes", read)
    monkeypatch.setattr("agent_core.recording.matches.import_episodes", read)
    with pytest.raises(SystemExit, match="143"):
        main(
            [
                *command,
                str(tmp_path / "m.npz"),
                *["--out", str(tmp_path / "o")] * ("import" in command),
            ]
        )
    assert not list((tmp_path / "tmp").iterdir())
