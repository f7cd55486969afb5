"""The side-by-side video, and the panels in it."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from agent_core.evaluation.control_panel import (
    FONT,
    PRESSED,
    SMALL,
    WRONG,
    draw_panel,
    plain_text,
    shortened,
    wrapped,
)
from agent_core.evaluation.replay import match_of
from agent_core.evaluation.side_by_side import SideBySideVideo, side_by_side
from bridges.protocol.decision import Latency
from bridges.protocol.messages import Act
from bridges.replay import Answers, RecordedStep
from games import Action, Frame, GameSpec
from games.registry import load
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, open_episodes

EDGE = load("bleeding-edge").spec


def has_colour(picture: Frame, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour, np.uint8)).all(axis=2).any())


@pytest.mark.parametrize(
    ("action", "other", "colours"),
    [
        ({}, {}, (True, False)),  # the resting sticks' dots
        ({"Jump": 1, "left_stick": (90, 1)}, {"Jump": 1, "left_stick": (90, 1)}, (True, False)),
        ({"Jump": 1}, {}, (True, True)),
        ({}, {"left_stick": (0, 1), "right_stick": (0, 1)}, (False, True)),
    ],
)
def test_what_differs_is_red(action: Action, other: Action, colours: tuple[bool, bool]) -> None:
    action, other = EDGE.normalize(action), EDGE.normalize(other)
    panel = draw_panel(EDGE, action, "predicted", (264, 360), other)
    assert (has_colour(panel, PRESSED), has_colour(panel, WRONG)) == colours


def test_a_stick_points_where_it_is_pushed() -> None:
    up, right = (
        draw_panel(EDGE, EDGE.normalize({"left_stick": (angle, 1)}), "", (264, 360))[32:116, 10:94]
        for angle in (0, 90)
    )
    for dial, (y, x) in ((up, (0, 42)), (right, (42, 80))):
        rows, columns = np.where((dial == np.array(PRESSED, np.uint8)).all(axis=2))
        if y == 0:
            assert rows.min() < 5
            assert abs(columns.mean() - x) < 3
        else:
            assert columns.max() > x
            assert abs(rows.mean() - y) < 3


@pytest.mark.parametrize("game", ["voxel", "pong", "language-table", "calvin", "minecraft"])
def test_every_games_controls_are_drawn(game: str) -> None:
    spec = load(game).spec
    frame = np.zeros(spec.frame.shape, np.uint8)
    picture = side_by_side(spec, frame, spec.null_action(), None, "no answer: 9° – ü")
    assert picture.shape == (698, 720, 3)


def test_text_has_no_character_that_the_font_lacks() -> None:
    assert plain_text("turn 9° – now") == "turn 9 deg ? now"


def test_text_ends_in_dots_where_there_is_no_room() -> None:
    assert shortened("step 3 of 9: same. wait", 700) == "step 3 of 9: same. wait"
    short = shortened("word " * 100, 300)
    assert short.endswith("...")
    assert 250 < cv2.getTextSize(short, FONT, SMALL, 1)[0][0] <= 300
    assert shortened("word", 1) == "..."


def test_words_are_wrapped_and_what_is_left_out_is_marked() -> None:
    assert wrapped("", 300, 2) == []
    assert wrapped("turn left 9°", 300, 2) == ["turn left 9 deg"]
    both = wrapped("evade, " * 10, 300, 2)
    assert " ".join(both) == ("evade, " * 10).strip()
    assert len(both) == 2
    full = wrapped("evade, " * 100, 300, 2)
    assert [line.endswith("...") for line in full] == [False, True]
    assert wrapped("x" * 500, 300, 2)[0].endswith("...")


def test_what_the_player_would_do_is_on_the_right_and_red_where_it_differs() -> None:
    jump, rest = EDGE.normalize({"Jump": 1}), EDGE.null_action()
    frame = np.zeros(EDGE.frame.shape, np.uint8)
    for predicted, differs in ((jump, False), (rest, True)):
        picture = side_by_side(EDGE, frame, jump, predicted, "")[406:]
        assert has_colour(picture[:, :360], PRESSED)
        assert not has_colour(picture[:, :360], WRONG)
        assert has_colour(picture[:, 360:], WRONG) == differs


def test_a_steps_picture_has_its_own_action_and_the_teacher_forced_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int, str]] = []

    def draw(
        spec: GameSpec, frame: Frame, recorded: Action, predicted: Action, caption: str
    ) -> Frame:
        drawn.append((recorded["attack"], predicted["attack"], caption))
        return np.zeros((698, 720, 3), np.uint8)

    monkeypatch.setattr("agent_core.evaluation.side_by_side.side_by_side", draw)
    with CaptureWriter.create(tmp_path / "data", SPEC, CaptureInfo()) as capture:
        for step in range(4):
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {"attack": step % 2})
    (episode,) = open_episodes(tmp_path / "data")
    latency = Latency(queue_ms=0, infer_ms=0, age_ms=0)
    acts = [
        Act(
            session="s", observation=0, action={"attack": pressed}, words="", probability=1,
            valid_ms=9, latency=latency,
        )
        for pressed in (0, 1)
    ]  # fmt: skip
    with SideBySideVideo(tmp_path / "both.mp4", SPEC) as video:
        for number, recorded_step in enumerate(match_of(episode).steps):
            forced, free = acts[number // 2], acts[1 - number // 2]
            answers: Answers = {"teacher_forced": forced, "free_running": free}
            video.write(episode, number, recorded_step, answers)
    actions = [(recorded, predicted) for recorded, predicted, _ in drawn]
    assert actions == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [caption for *_, caption in drawn[1:3]] == [
        "step 2 of 4: differs. ",
        "step 3 of 4: differs. ",
    ]


def test_a_video_that_is_broken_off_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "both.mp4"
    path.write_bytes(b"older")
    frame, idle = np.zeros(SPEC.frame.shape, np.uint8), SPEC.null_action()
    with CaptureWriter.create(tmp_path / "data", SPEC, CaptureInfo()) as capture:
        capture.step(frame, idle)
    (episode,) = open_episodes(tmp_path / "data")
    answers: Answers = {"teacher_forced": None, "free_running": None}

    def break_off() -> None:
        with SideBySideVideo(path, SPEC) as video:
            video.write(episode, 0, RecordedStep(frame, idle), answers)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["both.mp4"]


def test_the_video_has_a_picture_for_each_step(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path / "data", SPEC, CaptureInfo(instruction="dig")) as capture:
        for _ in range(3):
            capture.step(np.full(SPEC.frame.shape, 200, np.uint8), {"attack": 1})
    (episode,) = open_episodes(tmp_path / "data")
    path = tmp_path / "new" / "both.mp4"
    for _ in range(2):  # an older video is replaced, not continued
        with SideBySideVideo(path, SPEC) as video:
            for index, frame in enumerate(episode.frames()):
                step = RecordedStep(frame, episode.executed[index])
                video.write(episode, index, step, {"teacher_forced": None, "free_running": None})
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(698, 720, 3)] * 3
    assert abs(int(pictures[0][200, 360, 0]) - 200) < 8
    assert list(path.parent.iterdir()) == [path]
