"""Several cameras: a policy that looks at them gets them, others and listeners get camera 0's pictures."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bridges.policy import Decision, PolicyRequest
from bridges.protocol.frames import Codec, pack
from bridges.protocol.messages import Act, ErrorMessage, Welcome
from bridges.serving.dispatcher import Dispatcher
from bridges.testing.memory_client import (
    LIMITS,
    PIXELS,
    MemoryClient,
    MirrorPolicy,
    attach_game,
    run_dispatcher,
)
from games import Frame


class Sees(MirrorPolicy):
    """Keeps what it is shown: shape and first value of each camera's picture."""

    def __init__(self, uses_cameras: bool) -> None:
        super().__init__()
        self.uses_cameras = uses_cameras
        self.seen: list[dict[int, tuple[Any, int]]] = []

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.seen += [
            {n: glance(frame) for n, frame in {0: request.frame, **request.cameras}.items()}
            for request in requests
        ]
        return super().act(requests)


def glance(frame: Frame) -> tuple[Any, int]:
    return frame.shape, int(frame.flat[0])


def shade(value: int, size: tuple[int, int] = (2, 3)) -> Frame:
    return np.full((*size, 3), value, np.uint8)


@pytest.mark.parametrize("codec", [Codec.RGB, Codec.PNG])
@pytest.mark.parametrize("uses_cameras", [True, False])
def test_a_policy_gets_the_pictures_of_all_cameras_if_it_looks_at_them(
    codec: Codec, uses_cameras: bool
) -> None:
    policy = Sees(uses_cameras)

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep", cameras=3)
        await client.send(pack(shade(20, (8, 8)), 1, 0, codec, camera=2))
        await client.send(pack(shade(10), 1, 0, codec, camera=1))
        await client.send(pack(shade(1), 1, 0, codec))
        await client.send(pack(shade(2), 2, 0, codec))
        await client.hears(Act, 2)
        others = {1: ((2, 3, 3), 10), 2: ((8, 8, 3), 20)} if uses_cameras else {}
        assert policy.seen == [{0: ((2, 3, 3), 1), **others}, {0: ((2, 3, 3), 2)}]
        welcome = client.messages[0]
        assert isinstance(welcome, Welcome)
        warning = "the player sees camera 0 only"
        assert (warning in welcome.warnings) is not uses_cameras

    run_dispatcher(play, policy)


def test_a_damaged_picture_is_its_observations() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep", cameras=2)
        damaged = pack(shade(10, (8, 8)), 1, 0, Codec.PNG, camera=1)
        at = damaged.index(b"IDAT") + 8
        await client.send(damaged[:at] + b"xxxx" + damaged[at + 4 :])
        await client.send(pack(PIXELS, 1, 0))
        (error,) = await client.hears(ErrorMessage)
        assert (error.code, error.observation) == ("bad_picture", 1)
        await client.send(pack(PIXELS, 2, 0))
        assert [act.observation for act in await client.hears(Act)] == [2]

    run_dispatcher(play, Sees(uses_cameras=True))


class Hears:
    """A listener that keeps the pictures."""

    records = True

    def __init__(self) -> None:
        self.pictures: list[Any] = []

    def on_observation(self, session: str, observation: Any) -> None:
        self.pictures.append(observation.picture)

    def recorded(self, session: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *values: None


def test_a_listener_gets_camera_0_and_the_welcome_says_so() -> None:
    listener: Any = Hears()

    async def play() -> None:
        bridge = Dispatcher(Sees(uses_cameras=True), LIMITS, [listener])
        bridge.start()
        client: MemoryClient = await attach_game(bridge, mode="lockstep", cameras=2)
        for camera in (1, 0):
            await client.send(pack(shade(camera), 1, 0, camera=camera))
        await client.hears(Act)
        bridge.close()
        assert "camera 1 is not recorded" in client.messages[0].warnings

    asyncio.run(play())
    (picture,) = listener.pictures
    assert (picture.camera, picture.cameras, picture.number) == (0, {}, 1)
