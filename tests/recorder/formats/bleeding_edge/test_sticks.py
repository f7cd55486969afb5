"""Axis buckets as polar bins and back: what is exact, and how much is not."""

import math

import numpy as np

from games import Stick
from games.bleeding_edge import SPEC
from recorder.formats.bleeding_edge.layout import BUTTONS, CENTRES, EDGES, MEANINGS, TWELFTH
from recorder.formats.bleeding_edge.sticks import REST, buckets, from_polar, to_polar

STICK = SPEC.by_name["left_stick"]
assert isinstance(STICK, Stick)
CELLS = [(i, j) for i in range(11) for j in range(11)]


def test_buckets_have_the_formats_edges() -> None:
    centres, edges = np.array(CENTRES, np.float32), np.array(EDGES, np.float32)
    assert buckets(centres).tolist() == list(range(11))
    assert buckets(edges).tolist() == [*range(11), 10]
    assert buckets(np.nextafter(edges, np.float32(-2))).tolist() == [0, *range(11)]
    assert buckets(np.array([-9, 9], np.float32)).tolist() == [0, 10]


def test_up_is_0_degrees_and_right_is_90() -> None:
    assert to_polar(STICK, (5, 10)) == (0.0, 1.0)
    assert to_polar(STICK, (10, 5)) == (90.0, 1.0)
    assert to_polar(STICK, (5, 0)) == (180.0, 1.0)
    assert to_polar(STICK, (0, 5)) == (270.0, 1.0)
    assert to_polar(STICK, (10, 10)) == (45.0, 1.0)
    assert to_polar(STICK, REST) == (0.0, 0.0)


def test_the_axis_row_of_the_documentation() -> None:
    magnitudes = [to_polar(STICK, (i, 5))[1] for i in range(5, 11)]
    assert magnitudes == [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]


def test_109_of_121_pairs_of_buckets_come_back_and_the_others_with_the_same_polar_pair() -> None:
    back = {cell: from_polar(STICK, to_polar(STICK, cell)) for cell in CELLS}
    assert sum(cell == other for cell, other in back.items()) == 109
    assert all(to_polar(STICK, cell) == to_polar(STICK, other) for cell, other in back.items())


def test_every_polar_pair_goes_to_the_nearest_buckets_and_stays() -> None:
    exact = 0
    for number in range(256):
        for level in range(1, 5):
            position = (number * 360 / 256, level / 4)
            cell = from_polar(STICK, position)
            lattice = to_polar(STICK, cell)
            assert cell != REST
            assert to_polar(STICK, from_polar(STICK, lattice)) == lattice
            assert abs((lattice[0] - position[0] + 180) % 360 - 180) <= 45
            exact += lattice == position
    assert exact == 108


def test_the_buttons_are_the_games_and_a_twelfth() -> None:
    names = [control.name for control in SPEC.controls if control.kind == "button"]
    assert [*names, TWELFTH] == list(BUTTONS)
    assert len(MEANINGS) == 13


def test_a_coarse_stick_is_never_at_rest_where_it_is_not() -> None:
    coarse = Stick(name="s", rotation_bins=8, magnitude_bins=1)
    assert to_polar(coarse, from_polar(coarse, (45.0, 1.0))) == (45.0, 1.0)
    assert math.hypot(*to_polar(coarse, (6, 5))) == 0
