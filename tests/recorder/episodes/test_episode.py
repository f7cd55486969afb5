"""Episodes: texts that supersede others, torn lines, and splits by seed."""

from pathlib import Path

import numpy as np

from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, Episode, open_episodes

FRAME = np.zeros(SPEC.frame.shape, np.uint8)


def record(root: Path, steps: int, seed: int = 0) -> Path:
    with CaptureWriter.create(root, SPEC, CaptureInfo(seed=seed)) as capture:
        capture.text(style="thought", text="a tree")
        for _ in range(steps):
            capture.step(FRAME, {})
    return capture.folder


def test_no_seed_is_in_both_splits(tmp_path: Path) -> None:
    for seed in range(12):
        record(tmp_path, steps=2, seed=seed // 2)
    training, validation = open_episodes(tmp_path).split(0.7)
    assert len(training) + len(validation) == 12
    assert len(training)
    assert len(validation)
    assert not {e.header.seed for e in training} & {e.header.seed for e in validation}


def test_a_torn_last_line_is_skipped(tmp_path: Path) -> None:
    folder = record(tmp_path, steps=2)
    with (folder / "text.jsonl").open("a") as file:
        file.write('{"id": 9, "te')
    assert [text.text for text in Episode.open(folder).texts] == ["a tree"]


def test_later_texts_replace_earlier_ones(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        for _ in range(4):
            capture.step(FRAME, {})
        wrong = capture.text(style="thought", text="a pig", i0=0, i1=2, t0_ns=5, t1_ns=9)
        capture.text(style="thought", text="a cow", i0=1, i1=3, supersedes=wrong, author="Ada")
    (episode,) = open_episodes(tmp_path)
    assert [t.text for t in episode.texts] == ["a cow"]
    assert [t.text for t in episode.all_texts] == ["a pig", "a cow"]
    assert (episode.all_texts[0].t0_ns, episode.all_texts[0].t1_ns) == (5, 9)
    assert episode.thoughts == ["", "a cow", "a cow", ""]
