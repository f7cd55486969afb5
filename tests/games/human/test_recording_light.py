"""Recording light: its colour, its lines and their notices."""

import pytest

from games.human.recording_light import (
    AMBER,
    GREY,
    NOTICE_SECONDS,
    RED,
    RecordingLight,
    RecordingStatus,
)


def test_the_rate_is_measured_from_the_steps() -> None:
    light = RecordingLight(20)
    assert light.rate is None
    for k in range(100):
        light.step(k / 16)
    assert light.rate == pytest.approx(16)
    light.update(RecordingStatus(steps=100), 100 / 16, idle=False, paused=False)
    assert light.text == "REC   100 steps   16.0 of 20 Hz   0 saved"
    assert light.color == RED
    light.pause()
    assert light.rate is None


def test_a_saved_episode_and_one_left_out_are_noticed_for_a_moment() -> None:
    light = RecordingLight(20)
    light.update(RecordingStatus(saved=1), 5.0, idle=False, paused=False)
    assert light.text.endswith("1 saved   saved")
    light.update(RecordingStatus(saved=1), 5.1 + NOTICE_SECONDS, idle=False, paused=False)
    assert light.text.endswith("1 saved")
    light.update(RecordingStatus(saved=1, left_out=1), 9.0, idle=False, paused=False)
    assert light.text.endswith("1 saved   left out: too short")


def test_it_is_grey_while_nobody_plays() -> None:
    light = RecordingLight(20)
    light.update(RecordingStatus(), 0.0, idle=True, paused=False)
    assert (light.color, light.text.split()[0]) == (GREY, "idle")
    light.update(RecordingStatus(), 0.0, idle=True, paused=True)
    assert (light.color, light.text.split()[0]) == (GREY, "paused")


def test_what_is_not_recorded_is_said() -> None:
    light = RecordingLight(20)
    light.update(RecordingStatus(dropped=3, disk_full=True), 0.0, idle=False, paused=False)
    assert (light.warning, light.color) == ("NOT RECORDING: disk full", AMBER)
    light.update(RecordingStatus(dropped=3), 0.0, idle=False, paused=False)
    assert light.warning == "3 steps lost: the recorder is too slow"
    light.update(RecordingStatus(), 0.0, idle=False, paused=False)
    assert light.warning == ""
