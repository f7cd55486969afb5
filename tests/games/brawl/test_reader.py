"""Screen reader: what it reads off pictures is what the match's state says."""

import pytest

from games.brawl.bout import Bout
from games.brawl.fighter import wrapped
from games.brawl.palette import MAP_METERS
from games.brawl.picture import draw
from games.brawl.reader import read
from games.brawl.sight import sight_of
from games.brawl.skill import VETERAN


def test_the_picture_shows_what_the_state_says() -> None:
    bout = Bout(11, (VETERAN, VETERAN))
    checked = 0
    for step in range(1, 161):
        bout.step({})
        if step % 20:
            continue
        seat = step // 20 % 8
        shown, true = read(draw(bout.match, seat)), sight_of(bout.match, seat)
        assert shown.kind == true.kind
        assert shown.health == pytest.approx(true.health, abs=0.03)
        assert (shown.cells, shown.locked) == (true.cells, true.locked)
        if true.health > 0:
            assert shown.ready == tuple(
                r and not (i == 5 and true.mounted) for i, r in enumerate(true.ready)
            )
        for (kind, health), (true_kind, true_health) in zip(shown.allies, true.allies, strict=True):
            assert kind == true_kind
            assert health == pytest.approx(true_health, abs=0.04)
        for letter, mark in shown.points.items():
            assert mark.owner == true.points[letter].owner
            if 6 < true.points[letter].away < MAP_METERS - 4:
                assert abs(wrapped(mark.bearing - true.points[letter].bearing)) < 0.25
                assert mark.away == pytest.approx(true.points[letter].away, abs=1.5)
                checked += 1
        for other in shown.others:
            assert any(
                other.ally == o.ally
                and other.kind == o.kind
                and (abs(wrapped(other.bearing - o.bearing)) < 0.3 or o.away < 4)
                for o in true.others
            )
    assert checked >= 4
