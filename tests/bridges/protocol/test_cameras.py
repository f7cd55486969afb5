"""Cameras: pictures with one number are one observation, which camera 0's completes."""

from typing import Any

import numpy as np
import pytest

from bridges.protocol.cameras import camera_warnings
from bridges.protocol.fields import MAX_CAMERAS
from bridges.protocol.frames import Codec, EncodedFrame, pack
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.testing.scripted_peer import ScriptedPeer
from games.voxel import SPEC

PIXELS = np.zeros((2, 3, 3), np.uint8)
LIMITS = ConnectionLimits(pictures=Budget(messages_per_s=4, bytes_per_s=1 << 20, burst_s=1))


def attached(cameras: int, limits: ConnectionLimits = LIMITS, **hello: Any) -> ScriptedPeer:
    spec = SPEC.model_dump(mode="json")
    return ScriptedPeer(limits, {"spec": spec, "cameras": cameras, **hello}).attach()


def picture(number: int, camera: int, shade: int = 0, **options: Any) -> bytes:
    return pack(PIXELS + np.uint8(shade), number, 0, camera=camera, **options)


def shades(peer: ScriptedPeer, data: bytes) -> dict[int, int] | None:
    """The shades of an observation's cameras; None where the picture completes none."""
    received = peer.send(data)
    if not received:
        return None
    (encoded,) = received
    assert isinstance(encoded, EncodedFrame)
    others = {n: int(frame[0, 0, 0]) for n, frame in encoded.decode_cameras().items()}
    return {0: int(encoded.decode()[0, 0, 0]), **others}


def test_camera_0_completes_an_observation() -> None:
    peer = attached(3)
    assert shades(peer, picture(5, 2, 20)) is None
    assert shades(peer, picture(5, 1, 10)) is None
    assert shades(peer, picture(5, 0, 1)) == {0: 1, 1: 10, 2: 20}
    assert shades(peer, picture(6, 0, 2)) == {0: 2}
    assert peer.received() == []


def test_a_picture_of_another_observation_is_not_taken_for_this_one() -> None:
    peer = attached(3)
    assert shades(peer, picture(5, 1, 10)) is None
    assert shades(peer, picture(6, 2, 20)) is None
    assert shades(peer, picture(6, 2, 21)) is None
    assert shades(peer, picture(6, 0, 1)) == {0: 1, 2: 21}
    peer.now += 2
    assert shades(peer, picture(7, 1, 10)) is None
    assert shades(peer, picture(8, 0, 1)) == {0: 1}
    assert shades(peer, picture(8, 1, 10)) is None  # too late
    assert shades(peer, picture(9, 0, 1)) == {0: 1}


def test_each_agent_has_its_own_cameras() -> None:
    peer = attached(2, agents=2)
    for agent in (0, 1):
        assert shades(peer, picture(5, 1, 10 + agent, agent=agent)) is None
    assert shades(peer, picture(5, 0, agent=1)) == {0: 0, 1: 11}
    assert shades(peer, picture(5, 0, agent=0)) == {0: 0, 1: 10}


def test_each_picture_has_its_own_size_and_codec_and_camera_0_has_the_json() -> None:
    peer = attached(2)
    other = pack(
        np.zeros((8, 16, 3), np.uint8), 5, 0, Codec.PNG, bottom_up=True, camera=1, meta=b'{"reward":"much"}'
    )  # fmt: skip
    assert peer.send(other) == []
    (encoded,) = peer.send(picture(5, 0, meta=b'{"reward":2}'))
    assert isinstance(encoded, EncodedFrame)
    assert encoded.report.reward == 2
    assert encoded.decode_cameras()[1].shape == (8, 16, 3)
    assert not encoded.is_plain
    assert encoded.pixels == 6 + 128
    assert encoded.without_cameras().cameras == {}
    assert peer.received() == []


@pytest.mark.parametrize(
    ("cameras", "camera", "reason"),
    [
        (1, 1, "the hello announced 1 camera; the header's byte 6 is 1"),
        (3, 3, "the hello announced 3 cameras; the header's byte 6 is 3"),
        (2, 255, "the hello announced 2 cameras; the header's byte 6 is 255"),
    ],
)
def test_a_camera_that_was_not_announced_is_a_bad_header(
    cameras: int, camera: int, reason: str
) -> None:
    peer = attached(cameras)
    assert peer.send(picture(5, camera)) == []
    (error,) = peer.errors()
    assert (error.code, error.observation, error.message) == ("bad_picture", 5, reason)
    assert peer.closed == (4400, reason)


@pytest.mark.parametrize("cameras", [0, -1, MAX_CAMERAS + 1, "two"])
def test_their_number_is_bounded(cameras: object) -> None:
    peer = ScriptedPeer(LIMITS, {"spec": SPEC.model_dump(mode="json"), "cameras": cameras})
    assert peer.send(peer.hello) == []
    assert [error.path for error in peer.errors()] == ["cameras"]


@pytest.mark.parametrize("order", [(1, 2), (1, 0)])
def test_the_bytes_of_an_observation_are_bounded(order: tuple[int, int]) -> None:
    peer = attached(3, ConnectionLimits(max_in_flight_bytes=30))
    first, second = (picture(5, camera) for camera in order)  # 18 bytes each
    assert peer.send(first) == []
    assert peer.send(second) == []
    assert [error.code for error in peer.errors()] == ["bad_picture"]
    assert peer.connection.close_code == 4413


def test_in_lockstep_all_pictures_count_as_in_flight() -> None:
    limits = ConnectionLimits(max_in_flight_bytes=60)
    peer = attached(2, limits, mode="lockstep")
    for camera in (1, 0):
        peer.send(picture(5, camera))
    assert peer.connection.in_flight == 1
    peer.send(picture(6, 1))
    assert peer.send(picture(6, 0)) == []
    (error,) = peer.errors()
    assert (error.code, error.observation) == ("too_many", 6)
    assert peer.connection.close_code == 4429


def test_in_realtime_all_pictures_count_in_the_lane() -> None:
    peer = attached(2)
    received = [peer.send(picture(n // 2, 1 - n % 2)) for n in range(6)]
    assert [len(messages) for messages in received] == [0, 1, 0, 1, 0, 0]
    assert [error.code for error in peer.errors()] == ["too_many"]


def test_in_lockstep_pictures_in_vain_count_in_the_lane() -> None:
    peer = attached(2, mode="lockstep")
    for number in range(20):
        peer.send(picture(number, 1))
    assert [error.code for error in peer.errors()] == ["too_many"]
    assert peer.connection.close_code == 4429
    busy = attached(
        2, ConnectionLimits(pictures=LIMITS.pictures, max_in_flight=20), mode="lockstep"
    )
    received = [busy.send(picture(n // 2, 1 - n % 2)) for n in range(40)]
    assert sum(map(len, received)) == 20
    assert busy.received() == []


@pytest.mark.parametrize(
    ("cameras", "are_seen", "is_recording", "warnings"),
    [
        (1, False, True, ()),
        (4, True, False, ()),
        (2, False, False, ("the player sees camera 0 only",)),
        (2, True, True, ("camera 1 is not recorded",)),
        (3, False, True, ("the player sees camera 0 only; cameras 1 to 2 are not recorded",)),
    ],
)
def test_a_game_hears_what_its_cameras_are_good_for(
    cameras: int, are_seen: bool, is_recording: bool, warnings: tuple[str, ...]
) -> None:
    assert camera_warnings(cameras, are_seen=are_seen, is_recording=is_recording) == warnings
