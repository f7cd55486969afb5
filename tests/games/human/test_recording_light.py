"""Recording light: its colour, its lines and their notices."""

from games.human.recording_light import (
    AMBER,
    GREY,
    LITTLE_BYTES,
    NOTICE_SECONDS,
    RED,
    RecordingLight,
    RecordingStatus,
)

FREE = 50 << 30


def test_it_shows_steps_rate_episodes_and_the_disk() -> None:
    light = RecordingLight(20)
    shown = light.update(RecordingStatus(steps=100, free_bytes=FREE), 5.0, 16.02)
    assert (shown.word, shown.color, shown.warning) == ("REC", RED, "")
    assert shown.lines == ("100 steps", "16.0 of 20 Hz", "0 saved", "53.7 GB left", "")
    assert light.update(RecordingStatus(), 5.0, None).lines == ("0 steps", "– of 20 Hz", "")


def test_what_became_of_an_episode_is_noticed_for_a_moment() -> None:
    light = RecordingLight(20)
    saved = RecordingStatus(saved=1)
    assert light.update(saved, 5.0, 20.0).lines[-1] == "saved"
    assert light.update(saved, 5.1 + NOTICE_SECONDS, 20.0).lines[-1] == ""
    short = RecordingStatus(saved=1, left_out=1)
    assert light.update(short, 9.0, 20.0).lines[-1] == "left out: too short"
    again = RecordingStatus(saved=1, left_out=1, discarded=1)
    assert light.update(again, 9.5, 20.0).lines[-1] == "thrown away"


def test_it_is_grey_while_nothing_is_recorded() -> None:
    shown = RecordingLight(20).update(RecordingStatus(), 0.0, None, word="paused")
    assert (shown.color, shown.word) == (GREY, "paused")


def test_what_is_not_recorded_is_said() -> None:
    light = RecordingLight(20)
    shown = light.update(RecordingStatus(dropped=3, disk_full=True), 0.0, 20.0)
    assert (shown.word, shown.warning, shown.color) == ("NOT REC", "the disk is full", AMBER)
    paused = light.update(RecordingStatus(disk_full=True), 0.0, 20.0, word="paused")
    assert (paused.word, paused.warning) == ("paused", "the disk is full")
    assert light.update(RecordingStatus(dropped=3), 0.0, 20.0).warning == "3 steps lost"
    little = RecordingStatus(free_bytes=LITTLE_BYTES - 1)
    assert light.update(little, 0.0, 20.0).warning == "the disk is nearly full"
    assert light.update(RecordingStatus(free_bytes=FREE), 0.0, 20.0).warning == ""
