"""Agent: legal decisions, refusals in one line, answers in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from agent_core.__main__ import main
from agent_core.agent import Agent, AgentPlayer
from agent_core.bench.infer import expert_trace
from agent_core.config import ModelConfig
from agent_core.cpu.capability import Precision, detect
from agent_core.engine.engine import Engine
from agent_core.errors import ConfigError
from agent_core.model import IAFM
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import make_header, save
from bridges.errors import PolicyError
from bridges.policy import PolicyRequest
from bridges.protocol.messages import Act
from bridges.serving.dispatcher import Dispatcher
from bridges.testing.memory_client import attach_game, run_dispatcher
from games import Action, Button, FrameSize, GameSpec
from games.voxel.spec import SPEC
from recorder import CaptureInfo, CaptureWriter, decode_cache, open_episodes

pytestmark = pytest.mark.processor
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


def random_agent(path: Path, *, condition_on_actions: bool = False, **changes: int) -> Agent:
    sizes = {"width": 32, "layers": 1, "heads": 2, "stem_widths": (8, 8, 16), "context_frames": 3}
    config = ModelConfig.model_validate({**sizes, **changes})
    vocabulary = build_vocabulary([SPEC], ["chop a tree"], 300)
    torch.manual_seed(0)
    model = IAFM(config, vocabulary.size)
    save(path, model.state_dict(), make_header(config, (SPEC,), vocabulary, {}))
    return Agent.load(path, seed=3, condition_on_actions=condition_on_actions)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return random_agent(tmp_path_factory.mktemp("checkpoint") / "random")


def test_decisions_are_legal_and_in_words(agent: Agent) -> None:
    players = [agent.attach(SPEC, seed=k) for k in range(3)]
    rng = np.random.default_rng(0)
    for _ in range(5):
        frames = rng.integers(0, 255, (3, 72, 128, 3)).astype(np.uint8)
        requests = [
            PolicyRequest(p, f, "chop a tree") for p, f in zip(players, frames, strict=True)
        ]
        for decision in agent.act(requests):
            assert SPEC.normalize(decision.action) == decision.action
            assert SPEC.from_words(decision.words) == decision.action
            assert 0 < decision.probability <= 1
            assert len(decision.alternatives) <= 3
            assert decision.entropy >= 0
    assert agent.ask(players[0], "next_action").endswith("%)")
    assert isinstance(agent.ask(players[0], "why"), str)
    assert "chop a tree" in agent.ask(players[0], "caption")
    players[0].reset()
    assert agent.ask(players[0], "why") == "nothing seen yet"


def test_a_game_with_other_names_for_the_same_meanings_is_played_alike(agent: Agent) -> None:
    names = {c.name: f"key {k}" for k, c in enumerate(SPEC.controls)}
    controls = tuple(c.model_copy(update={"name": names[c.name]}) for c in SPEC.controls)
    exclusive = tuple(tuple(names[name] for name in pair) for pair in SPEC.exclusive)
    renamed = GameSpec(
        id="renamed-v0", title="Another game", frame=SPEC.frame, step_hz=20, controls=controls, exclusive=exclusive
    )  # fmt: skip
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (12, 72, 128, 3)).astype(np.uint8)
    first, second = agent.attach(SPEC, seed=5), agent.attach(renamed, seed=5)
    assert not second.warnings
    for frame in frames:
        one, two = agent.act([PolicyRequest(p, frame, "chop a tree") for p in (first, second)])
        assert {names[name]: value for name, value in one.action.items()} == two.action
        assert one.probability == pytest.approx(two.probability, rel=1e-5)


def test_planned_actions_are_legal_and_in_words(tmp_path: Path) -> None:
    agent = random_agent(tmp_path / "chunks", action_chunk=4, max_action_tokens=41)
    frame = np.full((72, 128, 3), 90, np.uint8)
    (decision,) = agent.act([PolicyRequest(agent.attach(SPEC, seed=1), frame, "chop a tree")])
    assert len(decision.later) == 3
    for planned in decision.later:
        assert SPEC.normalize(planned.action) == planned.action
        assert SPEC.from_words(planned.words) == planned.action
    short = random_agent(tmp_path / "short", action_chunk=4, max_action_tokens=40)
    with pytest.raises(PolicyError, match="a chunk of 4 actions of voxel-v0 takes up to 41 tokens"):
        short.attach(SPEC)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param(
            precision,
            marks=pytest.mark.skipif(
                not detect().support(precision), reason=f"this processor computes in no {precision}"
            ),
        )
        for precision in PRECISIONS
    ],
)
def test_a_precision_may_be_chosen(precision: Precision) -> None:
    agent = Agent.load(precision=precision, temperature=0, device="cpu")
    player, frames = agent.attach(SPEC), expert_trace().frames
    words = [agent.act([PolicyRequest(player, f, "hunt a cow")])[0].words for f in frames[:24]]
    assert len(set(words)) > 1


def test_a_precision_that_a_device_lacks_is_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On torch's device without numbers, which lacks int8 on every machine."""
    with pytest.raises(ConfigError, match=r"no precision int8 here: .*; take float32 or bfloat16"):
        Agent.load("nowhere", device="meta", precision="int8")
    asked = ["--device", "meta", "--precision", "int8"]
    for command in (
        ["serve", "--checkpoint", "nowhere"],
        ["demo", "--checkpoint", "nowhere"],
        ["bench", "infer", "--checkpoint", "nowhere"],
        ["bench", "infer", "--preset", "paper"],
    ):
        assert main([*command, *asked]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("iafm: no precision int8 here: int8 is for processors, not for meta")


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no device 'gpu' here; take cpu"):
        Agent.load(device="gpu")


def test_the_same_seed_plays_the_same(agent: Agent) -> None:
    frame = np.full((144, 256, 3), 90, np.uint8)
    plays = []
    for _ in range(2):
        player = agent.attach(SPEC, seed=11)
        plays.append(
            [agent.act([PolicyRequest(player, frame, "chop a tree")])[0].words for _ in range(5)]
        )
        player.close()
    assert plays[0] == plays[1]


def memory_after(agent: Agent, executed: tuple[Action | None, ...]) -> torch.Tensor:
    """A new player's keys and values after frames that are always the same, one more than there are actions."""
    player = agent.attach(SPEC, seed=4)
    frame = np.full((72, 128, 3), 90, np.uint8)
    for action in (None, *executed):
        agent.act([PolicyRequest(player, frame, "chop a tree", action)])
    memory = agent._engine.kv_cache.kv[:, :, player.session.slot].clone()
    player.close()
    return memory


@pytest.mark.parametrize("conditioned", [True, False])
def test_what_the_game_did_is_in_the_memory_of_an_agent_that_sees_actions(
    tmp_path: Path, conditioned: bool
) -> None:
    agent = random_agent(tmp_path / "random", condition_on_actions=conditioned)
    jump, turn = {"jump": 1}, {"camera": (0.0, 9.0)}
    first, again, other = (memory_after(agent, (action,)) for action in (jump, jump, turn))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != conditioned


def test_it_gets_there_over_the_wire(tmp_path: Path) -> None:
    """Three games see the same and are told the same; the last did something else at its first step."""
    agent = random_agent(tmp_path / "random", condition_on_actions=True)

    async def play(bridge: Dispatcher) -> None:
        for action in ({"jump": 1}, {"jump": 1}, {"attack": 1}):
            client = await attach_game(bridge, "chop a tree", mode="lockstep", seed=4)
            await client.picture(1)
            await client.hears(Act, 1)
            await client.picture(2, executed=action)
            await client.hears(Act, 2)
        players = [cast(AgentPlayer, session.player) for session in bridge.sessions]
        kv = agent._engine.kv_cache.kv
        first, again, other = (kv[:, :, player.session.slot] for player in players)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    run_dispatcher(play, agent)


def test_a_caption_tells_what_the_game_did(agent: Agent) -> None:
    player = agent.attach(SPEC, seed=4)
    frame = np.full((72, 128, 3), 90, np.uint8)
    for _ in range(8):
        agent.act([PolicyRequest(player, frame, "chop a tree", {"jump": 1})])
    assert "lately did: jump" in agent.ask(player, "caption")


def test_what_cannot_be_played_is_refused(agent: Agent) -> None:
    unknown = GameSpec(
        id="odd-v0",
        title="Odd",
        frame=FrameSize(height=72, width=128),
        step_hz=20,
        controls=(Button(name="dance"),),
    )
    with pytest.raises(PolicyError, match="knows none of the 1 controls of odd-v0"):
        agent.attach(unknown)
    with pytest.raises(PolicyError, match="no question called 'wy'; did you mean 'why'"):
        agent.ask(agent.attach(SPEC), "wy")


class FrameLog:
    """An engine whose frames are written down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.frames: list[np.ndarray] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def act(self, sessions: Any, frames: Any, *others: Any) -> Any:
        self.frames += frames
        return self._engine.act(sessions, frames, *others)


def test_training_and_play_see_the_same_frame(tmp_path: Path) -> None:
    """A game whose frames shrink along one axis and grow along the other on their way to the model's size."""
    spec = SPEC.model_copy(update={"frame": FrameSize(height=90, width=100)})
    pictures = np.random.default_rng(0).integers(0, 256, (4, *spec.frame.shape), np.uint8)
    with CaptureWriter.create(tmp_path / "data", spec, CaptureInfo(seed=1)) as capture:
        for picture in pictures:
            capture.step(picture, {})
    episodes = open_episodes(tmp_path / "data")
    trained = decode_cache(episodes, tmp_path / "frames", size=(72, 128), workers=1)
    log = FrameLog(random_agent(tmp_path / "random")._engine)
    agent = Agent(cast(Engine, log), "logged", 0)
    player = agent.attach(spec, seed=0)
    for frame in episodes[0].frames():
        agent.act([PolicyRequest(player, frame, "chop a tree")])
    assert np.array_equal(np.stack(log.frames), trained)


@pytest.mark.parametrize("exclusive", [(), (("talk", "open"),)])
def test_two_controls_of_one_meaning_are_played_by_the_shipped_checkpoint(
    exclusive: tuple[tuple[str, ...], ...],
) -> None:
    names = {"walk": "move.forward", "talk": "use", "open": "use"}
    buttons = tuple(Button(name=name, meaning=meaning) for name, meaning in names.items())
    spec = GameSpec(
        id="shop-v0", title="Shop", frame=SPEC.frame, step_hz=20, controls=buttons, exclusive=exclusive
    )  # fmt: skip
    agent = Agent.load(seed=1, device="cpu")
    player = agent.attach(spec)
    assert [line.split(":")[0].split(" but")[0] for line in player.warnings] == [
        "talk has the meaning of open"
    ]
    rng = np.random.default_rng(2)
    for _ in range(20):
        frame = rng.integers(0, 255, SPEC.frame.shape).astype(np.uint8)
        (decision,) = agent.act([PolicyRequest(player, frame, "go to the gold block")])
        assert spec.normalize(decision.action) == decision.action
        pressed = {decision.action["talk"], decision.action["open"]}
        assert len(pressed) == 1 if not exclusive else not decision.action["talk"]


def test_a_picture_of_another_size_is_stretched_to_the_models() -> None:
    frame = expert_trace().frames[0]
    double = frame.repeat(2, axis=0).repeat(2, axis=1)
    words = []
    for picture in (frame, double):
        agent = Agent.load(temperature=0, device="cpu")
        player = agent.attach(SPEC, seed=1)
        words.append(agent.act([PolicyRequest(player, picture, "chop a tree")])[0].words)
    assert words[0] == words[1]
