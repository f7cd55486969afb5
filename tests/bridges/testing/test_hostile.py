"""Hostile peers: each kind comes, a server bears them, and its log holds no traceback."""

import logging
from random import Random

import pytest

from bridges.protocol.frames import FrameError, unpack
from bridges.serving.batcher import log
from bridges.testing import hostile_pictures as pictures
from bridges.testing.background_server import background_server
from bridges.testing.frame_fuzz import fuzz
from bridges.testing.hostile import PEERS, attack
from bridges.testing.stub_policy import StubPolicy

HEAVY = {"jpeg_bombs", "large_json", "noise", "png_bombs", "raw_pictures"}
"""Kinds whose pictures or texts take long to make."""


def test_random_and_mutated_frames_raise_nothing() -> None:
    report = fuzz(1000, seed=1)
    assert (report["frames"], report["exceptions"]) == (1000, 0)
    assert report["decoded"] > 50


def test_hostile_peers_leave_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    kinds = {peer.__name__ for peer in PEERS} - HEAVY
    with background_server(StubPolicy(0.005), token="t") as server:
        report = attack(server.url, "t", 1.0, seed=3, kinds=kinds)
    assert set(report["visits"]) == kinds
    assert all(count > 0 for count in report["visits"].values())
    assert report["frames"] > 0
    assert log.name in {record.name for record in caplog.records}
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def test_costly_pictures_are_legal_and_lies_are_refused() -> None:
    for picture in (pictures.png_of_noise(), pictures.jpeg_bomb(), pictures.raw_bgra()):
        assert unpack(picture).decode().ndim == 3
    with pytest.raises(FrameError):
        unpack(pictures.png_with_a_lie())
    with pytest.raises(FrameError, match="too many parts"):
        unpack(pictures.jpeg_bomb(scans=21)).decode()
    with pytest.raises(FrameError):
        unpack(pictures.damaged(Random(0))).decode()
