"""Commands over the wire, against a server in this process."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from agent_core.__main__ import main
from agent_core.cli.serve import announce
from agent_core.cli.serving import connection_remarks, watched_actions
from bridges.client import BridgeClient, connect
from bridges.policy import Decision, Policy, PolicyRequest, PolicySession
from bridges.protocol.messages import SessionState, State
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from games.voxel import SPEC

GOAL = "climb [/x] and [bold]"


@contextmanager
def serving(policy: Policy | None = None, token: str | None = None) -> Iterator[BridgeServer]:
    """A server (of the random policy where None) in a thread of its own."""
    loop, listening, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    server = BridgeServer(policy or RandomPolicy(), port=0, token=token)

    async def serve() -> None:
        async with server:
            listening.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert listening.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


@contextmanager
def playing(url: str, token: str | None = None) -> Iterator[BridgeClient]:
    """A game that sends frames until the block ends; gives the client."""
    ended = threading.Event()
    with connect(url, SPEC, instruction=GOAL, token=token) as client:

        def play() -> None:
            while not ended.wait(0.02):
                client.act(np.zeros((SPEC.frame.height, SPEC.frame.width, 3), np.uint8))

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield client
        finally:
            ended.set()
            thread.join(10)


@pytest.fixture(scope="module")
def attached() -> Iterator[tuple[str, BridgeClient]]:
    with serving() as server, playing(server.url) as client:
        yield server.url, client


class BracketPolicy(RandomPolicy):
    """Its words and answers would be markup of rich."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [decision.model_copy(update={"words": GOAL}) for decision in super().act(requests)]

    def ask(self, player: PolicySession, question: str) -> str:
        return GOAL


def test_words_with_brackets_are_text_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(BracketPolicy()) as server, playing(server.url) as client:
        assert main(["instruct", GOAL, "--url", server.url]) == 0
        assert main(["ask", "why", "--url", server.url]) == 0
        assert main(["watch", "--url", server.url, "--count", "3"]) == 0
    session = client.welcome.session
    assert capsys.readouterr().out == f"{session}: {GOAL}\n{GOAL}\n  0%  {GOAL}\n"


def test_serve_announces_its_address_for_people_and_scripts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving() as server:
        announce(server, as_json=True)
    out, err = capsys.readouterr()
    address = json.loads(out)
    assert address["url"] == f"ws://127.0.0.1:{address['port']}/v1"
    assert f"serving at {address['url']}, console at {address['console_url']}" in err


def test_an_instruction_reaches_the_game(
    attached: tuple[str, BridgeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    url, client = attached
    session = client.welcome.session
    assert main(["instruct", "dig", "--url", url, "--session", session, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"session": session, "text": "dig"}
    updated = client._connection.updated
    with updated:
        assert updated.wait_for(lambda: client.instruction == "dig", 10)
    assert main(["instruct", "x" * 100_000, "--url", url]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_answers_as_json(
    attached: tuple[str, BridgeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    url, client = attached
    assert main(["ask", "--url", url, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["question"] == "next_action"
    assert report["text"].endswith("(drawn at random)")
    assert main(["watch", "--url", url, "--count", "2", "--json"]) == 0
    acts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [act["session"] for act in acts] == [client.welcome.session] * 2


@pytest.mark.parametrize("command", [["watch"], ["ask", "why"], ["instruct", "dig"]])
def test_an_unknown_session_is_named_with_the_known_ones(
    command: list[str], attached: tuple[str, BridgeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    url, client = attached
    assert main([*command, "--url", url, "--session", "nosuch"]) == 2
    error = capsys.readouterr().err
    assert "no session 'nosuch'" in error
    assert client.welcome.session in error
    assert error.count("\n") == 1


def session_state(name: str) -> SessionState:
    return SessionState(
        session=name, game="voxel-v0", instruction="", tasks=(), episodes=0, successes=0, hz=0.0,
        dropped=0,
    )  # fmt: skip


def state(*names: str) -> State:
    return State(policy="random", sessions=tuple(map(session_state, names)))


def test_watch_says_once_that_no_game_is_attached(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(watched_actions([state(), state(), state("a"), state("a")])) == []
    assert capsys.readouterr().err.count("no game is attached yet") == 1


def test_watch_ends_with_its_session(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        with playing(server.url) as client:
            argv = ["watch", "--url", server.url, "--session", client.welcome.session]
            watching = threading.Thread(target=main, args=(argv,))
            watching.start()
            while not server.watchers:
                threading.Event().wait(0.01)
        watching.join(10)
        assert not watching.is_alive()
    assert f"session {client.welcome.session} has ended\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{port}/", "ws://127.0.0.1:{port}", "127.0.0.1:{port}"]
)
def test_every_form_of_the_address_is_taken(
    form: str, attached: tuple[str, BridgeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    url = form.format(port=attached[0].rpartition(":")[2].partition("/")[0])
    assert main(["ask", "why", "--url", url]) == 0


def test_a_token_file_opens_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "other").write_text("guess\n")
    with serving(token="secret") as server, playing(server.url, token="secret"):
        argv = ["--url", server.url, "--token-file", str(tmp_path / "token")]
        assert main(["ask", *argv]) == 0
        assert main(["watch", "--count", "1", *argv]) == 0
        assert main(["instruct", "dig", *argv]) == 0
        assert main(["play", "frozen-lake", "--json", *argv]) == 0
        capsys.readouterr()
        argv[-1] = str(tmp_path / "other")
        for command in (["ask"], ["watch"], ["instruct", "dig"], ["play"]):
            assert main([*command, *argv]) == 2
            error = capsys.readouterr().err
            assert "4401" in error
            assert error.count("\n") == 1


def test_play_reports_a_table(
    attached: tuple[str, BridgeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = attached
    assert main(["play", "frozen-lake", "--url", url, "--episodes", "2"]) == 0
    text = capsys.readouterr().out
    assert "age_ms p95" in text
    assert "{" not in text


def test_a_lost_connection_is_a_line_and_its_return_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_state = connection_remarks()
    for state, detail in (
        ("connecting", "ws://a"), ("playing", "attached"), ("reconnecting", "lost"),
        ("playing", "resumed"), ("closed", "over"),
    ):  # fmt: skip
        on_state(state, detail)
    assert capsys.readouterr().err.splitlines() == ["reconnecting: lost", "playing: resumed"]
