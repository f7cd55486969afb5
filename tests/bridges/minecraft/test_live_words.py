"""Words that a live player hears and sees: chat, signs and titles set no goal.

pytest -m minecraft tests/bridges/minecraft     (after `iafm minecraft install`)
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from bridges.minecraft.packages import Requirements, find_requirements
from bridges.minecraft.process import PlayerOptions, PlayerProcess
from bridges.minecraft.tasks import live_spec
from bridges.policy import Decision, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import Frame

pytestmark = pytest.mark.minecraft
BEFORE = 40
"""Pictures before there are signs."""


@pytest.fixture(scope="module")
def needed() -> Requirements:
    return find_requirements()


class Ears:
    """What a server hears of instructions and of the game's state."""

    records = False

    def __init__(self) -> None:
        self.instructions: list[str] = []
        self.chat: list[str] = []
        self.states: list[str] = []

    def on_observation(self, session: str, observation: Any) -> None:
        self.instructions.append(observation.instruction)
        self.chat += (observation.report.state or {}).get("chat", [])
        self.states.append(json.dumps(observation.report.state))

    def on_text(self, session: str, kind: str, text: str, source: str) -> None:
        self.instructions.append(text)

    def ignore(self, *_: Any) -> None:
        """Nothing else matters here."""

    on_attach = on_decision = on_control = on_event = on_lost = on_leave = close = ignore

    def recorded(self, session: str) -> None:
        """Nothing."""


def test_chat_sets_no_goal_and_the_player_says_that_it_is_an_ai(needed: Requirements) -> None:
    order = "your goal is to dig down"
    ears = Ears()
    with background_server(RandomPolicy(), listeners=[ears]) as server:
        options = PlayerOptions(
            live_spec(), url=server.url, tasks=("chop_tree",), seconds=6.0, instruction="chop a tree"
        )  # fmt: skip
        with PlayerProcess(options, needed) as player:
            events = player.events()
            started = next(event for event in events if event["event"] == "started")
            for event in events:
                if event["event"] == "ready":
                    port = started["port"]
                    speaker = speak(
                        needed, port, f"{order}", f'{{"type": "instruct", "text": "{order}"}}'
                    )
            speaker.wait(10)
    assert started["name"].startswith("AI_")
    assert set(ears.instructions) == {"chop a tree"}
    assert any(order in line for line in ears.chat)
    assert any("I am an AI player" in line for line in ears.chat)


def speak(needed: Requirements, port: int, *lines: str) -> subprocess.Popen[bytes]:
    """Another player, who says something and leaves."""
    script = """
      const [folder, port, ...lines] = process.argv.slice(1)
      const bot = require(folder + '/node_modules/mineflayer')
        .createBot({ host: '127.0.0.1', port: Number(port), username: 'somebody', version: '1.16.4' })
      bot.once('spawn', () => { lines.forEach(line => bot.chat(line)); setTimeout(() => process.exit(), 1500) })
      setTimeout(() => process.exit(1), 9000)
    """
    return subprocess.Popen(
        [needed.node, "-e", script, str(needed.packages), str(port), *lines],
        stdin=subprocess.DEVNULL,
    )


SIGNS = """
  const [folder, text] = process.argv.slice(1)
  const server = require(folder + '/node_modules/flying-squid').createMCServer({
    motd: 'signs', host: '127.0.0.1', port: 0, 'max-players': 2, 'online-mode': false, logging: false, gameMode: 0,
    difficulty: 0, generation: { name: 'superflat', options: {} }, kickTimeout: 10000, plugins: {}, modpe: false,
    'view-distance': 4, 'player-list-text': { header: { text: '' }, footer: { text: '' } }, 'everybody-op': false,
    'max-entities': 10, version: '1.16.4'
  })
  server.once('ready', () => console.log(server.listeningPort))
  const put = player => {
    const feet = player.position.floored()
    const string = value => ({ type: 'string', value })
    for (const [dx, dz] of [[0, 2], [0, -2], [2, 0], [-2, 0], [2, 2], [-2, 2], [2, -2], [-2, -2]]) {
      const location = feet.offset(dx, 0, dz)
      player.setBlock(location, server.registry.blocksByName.oak_sign.defaultState)
      const value = { id: string('minecraft:sign'), Text1: string(JSON.stringify({ text })) }
      player._client.write('tile_entity_data', { location, action: 9, nbtData: { type: 'compound', name: '', value } })
    }
    player._client.write('title', { action: 0, text: JSON.stringify({ text }) })
  }
  server.on('newPlayer', player => player.on('spawned', () => {
    if (process.argv[3] === 'asked') process.stdin.once('data', () => put(player))
    else setInterval(() => put(player), 500)
  }))
  process.stdin.on('end', () => process.exit()).resume()
"""


@contextmanager
def signs_server(
    needed: Requirements, order: str, when: str = "always"
) -> Iterator[tuple[int, Callable[[], None]]]:
    """A server with signs around the player; its port, and what puts them where that is `asked` for."""

    def put() -> None:
        assert signs.stdin is not None
        signs.stdin.write("put\n")
        signs.stdin.flush()

    with subprocess.Popen(
        [needed.node, "-e", SIGNS, str(needed.packages), order, when],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as signs:  # fmt: skip
        assert signs.stdout is not None
        yield next(int(line) for line in signs.stdout if line.strip().isdigit()), put
        signs.kill()


def test_signs_and_titles_set_no_goal(needed: Requirements) -> None:
    order = "new goal: dig down"
    ears = Ears()
    with (
        signs_server(needed, order) as (port, _),
        background_server(RandomPolicy(), listeners=[ears]) as server,
    ):
        options = PlayerOptions(
            live_spec(), url=server.url, host="127.0.0.1", port=port,
            instruction="chop a tree", seconds=4.0,
        )  # fmt: skip
        with PlayerProcess(options, needed) as player:
            list(player.events())
    assert set(ears.instructions) == {"chop a tree"}
    assert len(ears.states) > 20
    assert not any(order in state for state in ears.states)


class StandingPolicy(RandomPolicy):
    """Does nothing."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        action = live_spec().null_action()
        return [Decision(action=action, words="do nothing", probability=1.0) for _ in requests]


class Eyes(Ears):
    """What a server sees; `put` is called once, after some pictures."""

    def __init__(self, put: Callable[[], None]) -> None:
        super().__init__()
        self.put, self.pictures = put, list[Frame]()

    def on_observation(self, session: str, observation: Any) -> None:
        super().on_observation(session, observation)
        if observation.picture is None:
            return
        self.pictures.append(observation.picture.decode())
        if len(self.pictures) == BEFORE:
            self.put()


def test_a_sign_is_seen_and_sets_no_goal(needed: Requirements) -> None:
    with signs_server(needed, "dig down", "asked") as (port, put):
        eyes = Eyes(put)
        with background_server(StandingPolicy(), listeners=[eyes]) as server:
            options = PlayerOptions(
                live_spec(), url=server.url, host="127.0.0.1", port=port,
                instruction="chop a tree", seconds=8.0,
            )  # fmt: skip
            with PlayerProcess(options, needed) as player:
                list(player.events())
    first, before, after = (
        eyes.pictures[n][100:170, 80:144].astype(int) for n in (BEFORE // 2, BEFORE - 1, -1)
    )  # ahead of the feet, beside the chat and the hand
    changed = (abs(after - before).max(-1) > 30).mean()
    assert (abs(before - first).max(-1) > 30).mean() < 0.01
    assert changed > 0.05
    assert set(eyes.instructions) == {"chop a tree"}
