"""The genuine package minerl: its spaces, and play against the block world in the place of Minecraft."""

import gc
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.agent import Agent
from agent_core.evaluation.closed_loop import Setup, play_episodes
from agent_core.evaluation.game_failures import LostGameError
from agent_core.evaluation.plan import EpisodeSpec
from bridges.minerl import package
from bridges.minerl.actions import map_actions
from bridges.minerl.env import MinerlEnv
from bridges.minerl.game import load_game
from bridges.minerl.options import MinerlError, parse_task
from bridges.minerl.package import _env_specs, env_spec
from bridges.play import Start, play
from bridges.protocol.messages import Act
from bridges.testing.background_server import background_server
from games import Action, Button, Camera

pytestmark = [
    pytest.mark.minerl,
    pytest.mark.filterwarnings("ignore"),  # of old gym and Python's own about minerl
]


@pytest.fixture
def voxel() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`iafm voxel --malmo-port 0` in a process of its own, and its port."""
    command = [sys.executable, "-m", "agent_core", "voxel", "--malmo-port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


def test_every_action_is_in_the_space_of_its_task_and_comes_back() -> None:
    tasks = [name for name, spec in _env_specs().items() if "pov" in spec.observation_space.spaces]
    plain = [name for name in tasks if "Vector" not in name]
    assert len(plain) >= 10
    for name in plain:
        space = env_spec(parse_task(f"{name},size=task")).action_space
        mapped = map_actions(space.spaces)
        assert mapped.left_out == ()
        for control in mapped.controls:
            if isinstance(control, Button):
                values: list[Any] = [1]
            elif isinstance(control, Camera):
                values = [(pitch, 3.0) for pitch in control.pitch_bins]
            else:
                values = list(range(len(getattr(control, "options", ()))))
            for value in values:
                action = mapped.from_minerl({}) | {control.name: value}
                commands = mapped.to_minerl(action)
                assert all(commands[key] in space[key] for key in commands), (name, commands)
                assert set(commands) == set(space.spaces)
                assert mapped.from_minerl(commands) == action


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("MineRLTreechopVectorObf-v0", "play MineRLTreechop-v0 instead"),
        ("MineRLTreechp-v0", "did you mean 'MineRLTreechop-v0'"),
        ("Nothing", "there are MineRLBasalt"),
        ("MineRLBasaltFindCave-v0,size=128x72", "renders squares only"),
    ],
)
def test_a_task_that_cannot_be_played_is_refused(task: str, message: str) -> None:
    with pytest.raises(MinerlError, match=message):
        load_game(task)


def test_pictures_have_the_size_that_is_asked_for() -> None:
    sizes = {
        "MineRLTreechop-v0": (360, 640),
        "MineRLTreechop-v0,size=task": (64, 64),
        "MineRLTreechop-v0,size=128x72": (72, 128),
        "MineRLBasaltFindCave-v0": (64, 64),
        "MineRLBasaltFindCave-v0,size=128x128": (128, 128),
    }
    for name, size in sizes.items():
        frame = load_game(name).spec.frame
        assert (frame.height, frame.width) == size


def test_nothing_at_the_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "minerl:MineRLTreechop-v0", "--malmo-port", "1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("iafm: nothing listens at port 1")


def commands_of(message: str) -> dict[str, list[float]]:
    """The commands of a step as they go to Minecraft."""
    body = message.removeprefix("<StepClient0>").removesuffix("</StepClient0 >")
    lines = (line.split() for line in body.splitlines())
    return {verb: [float(word) for word in words] for verb, *words in lines}


def words_of(action: Action) -> dict[str, list[float]]:
    """The same of a game's action."""
    return {
        name: list(value) if isinstance(value, tuple) else [float(value)]
        for name, value in action.items()
    }


def test_the_model_plays_a_thousand_steps(
    voxel: tuple[subprocess.Popen[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from minerl.env.malmo import MinecraftInstance

    sent: list[str] = []
    send = MinecraftInstance.client_socket_send_message

    def spy(self: Any, message: bytes) -> None:
        sent.append(message.decode())
        send(self, message)

    monkeypatch.setattr(MinecraftInstance, "client_socket_send_message", spy)
    rewards: list[float] = []

    def on_step(act: Act | None, info: Mapping[str, Any]) -> None:
        assert act is not None
        steps = [message for message in sent if message.startswith("<StepClient0>")]
        assert commands_of(steps[-1]) == words_of(env.game.normalize(act.action))
        sent.clear()

    make = load_game(f"MineRLTreechop-v0,port={voxel[1]},size=128x72,steps=100").make
    assert make is not None
    env = make()
    starts = (Start(1_000_000_000 + n) for n in range(10))
    with background_server(Agent.load(threads=1)) as server:
        report = play(
            env, server.url, starts, on_step=on_step,
            on_episode=lambda info, _: rewards.append(info["reward"]),
        )  # fmt: skip
    env.close()
    assert (report.episodes, report.steps, report.failed) == (10, 1000, 0)
    assert sum(reward >= 1 for reward in rewards) >= 5  # logs


def test_the_shipped_checkpoint_chops_trees(
    voxel: tuple[subprocess.Popen[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "minerl:MineRLTreechop-v0,reward=1,steps=400,size=128x72"
    options = ["--malmo-port", str(voxel[1]), "--episodes", "6", "--conditions", "agent"]
    assert main(["evaluate", name, *options, "--workers", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tasks"]["MineRLTreechop-v0"]["agent"]["success"] >= 0.5


def test_a_process_that_dies_in_mid_play_is_one_line(
    voxel: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = voxel
    make = load_game(f"MineRLTreechop-v0,port={port},size=128x72").make
    assert make is not None
    env = make()
    assert isinstance(env, MinerlEnv)
    env.reset(seed=1)
    env.step({"forward": 1})
    process.kill()
    process.wait()
    with pytest.raises(MinerlError, match=f"a step was not answered.*port {port}") as error:
        env.step({"forward": 1})
    assert "\n" not in str(error.value)
    with pytest.raises(MinerlError, match="Connection refused"):
        env.reset(seed=2)
    env.close()
    del error
    gc.collect()  # MineRL leaves the refused socket open


def test_an_episode_whose_step_is_not_answered_is_played_again(
    voxel: tuple[subprocess.Popen[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = voxel
    step, steps = MinerlEnv.step, count(1)

    def step_of_a_process_that_stops(env: MinerlEnv, action: Action) -> Any:
        if next(steps) != 15:  # in the second episode
            return step(env, action)
        process.send_signal(signal.SIGSTOP)
        try:
            return step(env, action)
        finally:
            process.send_signal(signal.SIGCONT)

    monkeypatch.setattr(package, "STEP_TIMEOUT_S", 1.0)
    monkeypatch.setattr(MinerlEnv, "step", step_of_a_process_that_stops)
    name = f"minerl:MineRLTreechop-v0,port={port},size=128x72,reward=1,steps=10"
    specs = [EpisodeSpec("MineRLTreechop-v0", "random", seed) for seed in (1, 2, 3)]
    played = list(play_episodes(specs, Setup(Path("none"), game=name)))
    assert [(outcome.spec, outcome.steps) for outcome in played] == [(spec, 10) for spec in specs]
    assert [len(outcome.failures) for outcome in played] == [0, 1, 0]
    assert "a step was not answered" in played[1].failures[0]


def test_a_process_that_ends_loses_no_episode_that_has_ended(
    voxel: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = voxel
    name = f"minerl:MineRLTreechop-v0,port={port},size=128x72,reward=1,steps=10"
    specs = [EpisodeSpec("MineRLTreechop-v0", "random", seed) for seed in (1, 2, 3)]
    episodes = play_episodes(specs, Setup(Path("none"), game=name))
    assert next(episodes).steps == 10
    process.kill()
    process.wait()
    with pytest.raises(LostGameError, match=f"nothing listens at port {port}"):
        next(episodes)


def test_a_port_where_another_mission_is_played_is_one_line(
    voxel: tuple[subprocess.Popen[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "BUSY_RETRIES", 1)
    make = load_game(f"MineRLTreechop-v0,port={voxel[1]},size=128x72").make
    assert make is not None
    first, second = make(), make()
    first.reset(seed=1)
    with pytest.raises(MinerlError, match="free"):
        second.reset(seed=1)
    first.step({"forward": 1})
    first.close()
    second.reset(seed=1)
    second.close()
