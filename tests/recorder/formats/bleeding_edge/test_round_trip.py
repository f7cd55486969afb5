"""Episodes of the two-stick game as Bleeding Edge's files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent_core.__main__ import main
from games import GameSpec
from games.minecraft import SPEC as MINECRAFT
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    detect_format,
    export_bleeding_edge,
    import_bleeding_edge,
    open_episodes,
)
from tests.recorder.formats.bleeding_edge.two_sticks import SPEC, number_of, record, script

STEPS = 121


def tokens(folder: Path, spec: GameSpec = SPEC) -> list[list[list[str]]]:
    return [
        [spec.encode(action) for action in episode.actions] for episode in open_episodes(folder)
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("played")
    record(root, [script(step) for step in range(STEPS)], gap_before=7)
    return root


def test_ticks_and_tokens_are_equal(played: Path, tmp_path: Path) -> None:
    report = export_bleeding_edge(open_episodes(played), tmp_path / "npz")
    assert (report.added, report.rounded, report.skipped) == (1, 0, ())
    assert detect_format(tmp_path / "npz") == "bleeding-edge"
    imported = import_bleeding_edge(tmp_path / "npz", tmp_path / "back", SPEC, disk_needed=0)
    assert (imported.added, imported.skipped, imported.dropped) == (1, (), 0)
    assert tokens(tmp_path / "back") == tokens(played)
    (before,), (after,) = open_episodes(played), open_episodes(tmp_path / "back")
    assert after.header.instruction == before.header.instruction != ""
    assert len(after) == len(before) == STEPS
    assert after.dropped_before == before.dropped_before == {7: 2}
    assert [number_of(frame) for frame in after.frames()] == list(range(STEPS))
    assert after.header.source is not None
    assert after.header.source.options == "game arena-v0, sticks as bucket indices"


def test_the_file_is_the_formats_to_the_letter(played: Path, tmp_path: Path) -> None:
    export_bleeding_edge(open_episodes(played), tmp_path)
    (path,) = tmp_path.glob("*.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["images"].shape == (STEPS, 180, 300, 3)
        assert arrays["images"].dtype == np.uint8
        assert [number_of(frame) for frame in arrays["images"]] == list(range(STEPS))
        actions, states = arrays["actions"], arrays["states"]
        assert (actions.shape, actions.dtype) == ((STEPS, 16), np.float32)
        assert set(np.unique(actions[:, :12])) == {0, 1}
        assert set(np.unique(actions[:, 12:])) == set(range(11))
        assert actions[:4, 1].tolist() == [1, 0, 0, 1]  # Jump
        assert actions[:4, 4].tolist() == [0, 1, 0, 0]  # MeleeAttack
        assert (states.shape, states.dtype) == ((STEPS, 56), np.float32)
        assert (states == -1).all()
        assert arrays["names"][7] == f"{path.stem}/7/9"


def test_positions_between_the_buckets_are_counted_and_rounded_once(tmp_path: Path) -> None:
    record(tmp_path / "a", [SPEC.normalize({"walk": (1.40625 * i, 1.0)}) for i in range(20)])
    first = export_bleeding_edge(open_episodes(tmp_path / "a"), tmp_path / "npz")
    assert 0 < first.rounded < 20
    import_bleeding_edge(tmp_path / "npz", tmp_path / "b", SPEC, disk_needed=0)
    assert export_bleeding_edge(open_episodes(tmp_path / "b"), tmp_path / "npz2").rounded == 0
    import_bleeding_edge(tmp_path / "npz2", tmp_path / "c", SPEC, disk_needed=0)
    assert tokens(tmp_path / "c") == tokens(tmp_path / "b")


def test_by_the_command_into_bleeding_edge_itself(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npz, out = tmp_path / "npz", tmp_path / "out"
    assert (
        main(["episodes", "export", str(played), "--format", "bleeding-edge", "--out", str(npz)])
        == 0
    )
    assert main(["episodes", "import", str(npz), "--out", str(out), "--json"]) == 0
    assert '"added": 1' in capsys.readouterr().out
    (before,), (after,) = open_episodes(played), open_episodes(out)
    assert after.spec.id == "bleeding-edge-v0"
    assert [action["left_stick"] for action in after.actions] == [a["walk"] for a in before.actions]
    assert [action["right_stick"] for action in after.actions] == [a["aim"] for a in before.actions]
    assert [action["Jump"] for action in after.actions] == [a["leap"] for a in before.actions]


def test_the_command_names_what_it_cannot_write_or_read(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["episodes", "export", str(played), "--format", "doom", *out]) == 2
    assert "doom is imported only; exported are lerobot, bleeding-edge" in capsys.readouterr().err
    for name, why in (("bleeding-edge", "has no .npz file"), ("doom", "has no demo")):
        assert main(["episodes", "import", str(played), "--format", name, *out]) == 2
        assert why in capsys.readouterr().err.replace("\n", " ")


def test_a_second_export_and_import_add_nothing(played: Path, tmp_path: Path) -> None:
    export_bleeding_edge(open_episodes(played), tmp_path / "npz")
    assert export_bleeding_edge(open_episodes(played), tmp_path / "npz").added == 0
    import_bleeding_edge(tmp_path / "npz", tmp_path / "out", SPEC, disk_needed=0)
    again = import_bleeding_edge(tmp_path / "npz", tmp_path / "out", SPEC, disk_needed=0)
    assert (again.added, again.held) == (0, 1)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (MINECRAFT, "minecraft-v0 has no two sticks with the meanings move.stick and look.stick"),
        (
            SPEC.model_copy(update={"step_hz": 20}),
            "arena-v0 has 20 steps/s, Bleeding Edge's files 10",
        ),
        (
            SPEC.model_copy(update={"controls": (*SPEC.controls, MINECRAFT.by_name["drop"])}),
            "no column for drop of arena-v0",
        ),
    ],
)
def test_a_game_that_does_not_fit_is_one_line(spec: GameSpec, why: str, tmp_path: Path) -> None:
    spec = spec.model_copy(update={"frame": SPEC.frame})
    with CaptureWriter.create(tmp_path / "a", spec, CaptureInfo(), disk_needed=0) as capture:
        capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
    episodes = open_episodes(tmp_path / "a")
    (skipped,) = export_bleeding_edge(episodes, tmp_path / "npz").skipped
    assert why in skipped.why
    assert "\n" not in skipped.why
    assert not list((tmp_path / "npz").iterdir())
    with pytest.raises(CaptureError, match=r"arena|minecraft"):
        export_bleeding_edge(episodes, tmp_path / "npz", strict=True)


def test_captures_are_not_mixed_with_files(played: Path) -> None:
    with pytest.raises(CaptureError, match="holds something else"):
        export_bleeding_edge(open_episodes(played), played)
