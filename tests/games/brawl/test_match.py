"""Match: deterministic, fair to both sides, and its rules."""

import math

import numpy as np
import pytest

from games.brawl.arena import DEPTH, WIDTH, arena
from games.brawl.bout import Bout
from games.brawl.combat import heal, hurt
from games.brawl.command import BIT, DIRECTION, REST, Command, command_of
from games.brawl.fighter import SEATS, Fighter
from games.brawl.match import Match
from games.brawl.palette import ALLY, ENEMY
from games.brawl.picture import draw
from games.brawl.skill import REGULAR, VETERAN
from games.brawl.spec import SPEC
from games.brawl.themes import THEMES

FORWARD = Command(left_level=4)


def random_commands(rng: np.random.Generator) -> list[Command]:
    return [
        Command(
            int(rng.integers(1 << len(BIT))) & int(rng.integers(1 << len(BIT))),
            *(
                int(v)
                for v in (rng.integers(256), rng.integers(5), rng.integers(256), rng.integers(5))
            ),
        )
        for _ in range(SEATS)
    ]


def pictures(seed: int, steps: int, every: int) -> list[bytes]:
    """Pictures of a match of random commands, each of another seat."""
    match, rng, drawn = Match(seed), np.random.default_rng(seed), []
    for step in range(steps):
        if step % 5 == 0:
            commands = random_commands(rng)
        match.step(commands)
        if step % every == every - 1:
            drawn.append(draw(match, step // every % SEATS).tobytes())
    return drawn


def one_of(match: Match, team: int, name: str) -> Fighter:
    return next(f for f in match.fighters if f.team == team and f.kind.name == name)


def face_off(away: float = 2.0) -> tuple[Match, Fighter, Fighter]:
    """A damage fighter in front of an enemy support, all others out of the way."""
    match = Match(3)
    for f in match.fighters:
        f.x, f.y = 1.5 + f.seat * 1.6, 1.5
    one, other = one_of(match, 0, "damage"), one_of(match, 1, "support")
    x, y = match.arena.points[1]
    one.x, one.y, one.yaw, one.facing = x, y, 0.0, 0.0
    other.x, other.y = x, y + away
    return match, one, other


def step(match: Match, f: Fighter, command: Command, steps: int = 1) -> None:
    for _ in range(steps):
        match.step([command if seat == f.seat else REST for seat in range(SEATS)])


def test_the_same_seed_and_commands_give_the_same_pictures() -> None:
    for seed in range(3):
        assert pictures(seed, 40, 20) == pictures(seed, 40, 20)
    assert pictures(1, 20, 20) != pictures(2, 20, 20)


@pytest.mark.slow
def test_a_thousand_random_matches_are_the_same_again() -> None:
    for seed in range(1000):
        assert pictures(seed, 60, 20) == pictures(seed, 60, 20), seed


def test_bots_are_the_same_again() -> None:
    runs = []
    for _ in range(2):
        bout = Bout(7, (VETERAN, REGULAR))
        for _ in range(60):
            bout.step({})
        runs.append([(f.x, f.y, f.health) for f in bout.match.fighters])
    assert runs[0] == runs[1]


def test_a_command_is_an_action_and_back() -> None:
    rng = np.random.default_rng(1)
    for command in random_commands(rng):
        action = command.action
        assert SPEC.normalize(action) == action
        again = command_of(action)
        assert again.buttons == command.buttons
        assert again.left_level == command.left_level
        if command.left_level:
            assert again.left == command.left


def test_sticks_move_by_the_view_and_turn_it() -> None:
    match, one, _ = face_off(away=9)
    one.yaw = math.pi / 2  # looks east
    x = one.x
    step(match, one, FORWARD, 5)
    assert one.x > x + 1.5
    yaw = one.yaw
    step(match, one, Command(right=64, right_level=4), 2)
    assert one.yaw > yaw + 0.3


def test_blows_hurt_and_dodging_saves() -> None:
    match, one, other = face_off()
    step(match, one, Command(BIT["MeleeAttack"]))
    assert other.health == other.kind.health - one.kind.attack.power
    assert one.damage[other.seat] == one.kind.attack.power
    other.evade_until = match.tick + 5
    health = other.health
    hurt(match, one, other, 30, 0)
    assert other.health == health
    assert match.events[-1].kind == "missed"


def test_a_fallen_fighter_drops_its_cells_and_comes_back() -> None:
    match, one, other = face_off()
    cell = match.objectives.cells[0]
    cell.carrier, other.cells = other.seat, 1
    hurt(match, one, other, 999, 0)
    assert not other.alive
    assert match.score == [2, 0]
    assert (cell.x, cell.y) == (other.x, other.y)
    step(match, one, REST, 61)
    assert other.alive
    assert other.health == other.kind.health


def test_the_lock_on_turns_the_view_and_ends_with_its_target() -> None:
    match, one, other = face_off(away=6)
    one.yaw = 0.6
    step(match, one, Command(BIT["LockOn"]))
    assert one.lock == other.seat
    step(match, one, REST, 5)
    assert abs(one.yaw) < 0.1
    hurt(match, one, other, 999, 0)
    step(match, one, REST)
    assert one.lock == -1


def test_nobody_mounts_in_a_fight_and_a_blow_throws_off() -> None:
    match, one, other = face_off()
    step(match, one, Command(BIT["Mount"]), 12)
    assert one.mounted
    hurt(match, other, one, 5, 0)
    assert not one.mounted
    step(match, one, REST)
    step(match, one, Command(BIT["Mount"]), 12)
    assert not one.mounted


def test_standing_on_a_point_takes_it_and_holding_it_scores() -> None:
    match, one, other = face_off(away=9)
    step(match, one, REST, 45)
    assert match.objectives.points[1].owner == 0
    step(match, one, REST, 60)
    assert match.score[0] >= 1
    other.x, other.y = one.x + 1, one.y
    step(match, one, REST)
    assert match.objectives.points[1].contested


def test_a_cell_that_is_brought_home_scores() -> None:
    match, one, _ = face_off(away=9)
    one.x, one.y = match.objectives.cells[0].home
    step(match, one, REST)
    assert one.cells == 1
    one.x, one.y = match.arena.bases[0]
    step(match, one, REST)
    assert (one.cells, one.delivered, match.score[0]) == (0, 1, 4)


def test_healing_goes_up_to_full_health() -> None:
    match, one, _ = face_off(away=9)
    healer = one_of(match, 0, "support")
    one.health -= 20
    heal(match, healer, one, 52)
    assert one.health == one.kind.health
    assert healer.healed == 20


def test_every_ability_does_something() -> None:
    for name in ("tank", "support", "damage"):
        for slot, button in enumerate(
            ("SpecialAbility1", "SpecialAbility2", "SpecialAbility3", "SuperAbility")
        ):
            match, one, other = face_off(away=3.0)
            f = one_of(match, 0, name)
            f.x, f.y, f.yaw, f.facing = one.x, one.y, 0.0, 0.0
            if f is not one:
                one.x, one.y, one.health = f.x + 2.0, f.y, 20.0
            f.charge = 1.0
            step(match, f, Command(BIT[button]), 8)
            done = (
                other.health < other.kind.health
                or (f is not one and (one.health > 30 or one.haste_until))
                or f.guard_until
                or f.rage_until
            )
            assert done, (name, slot)
            assert f.ready_at[slot + 1] > match.tick or slot == 3


@pytest.mark.parametrize("number", range(len(THEMES)))
def test_maps_are_the_same_for_both_teams_and_can_be_walked(number: int) -> None:
    place = arena(number)
    middles = {(round(b.x, 6), round(b.y, 6)) for b in place.blocks}
    assert middles == {(round(WIDTH - x, 6), round(DEPTH - y, 6)) for x, y in middles}
    assert len(place.blocks) >= 14
    size = int(WIDTH), int(DEPTH)
    free = {
        (x, y)
        for x in range(size[0])
        for y in range(size[1])
        if not place.is_blocked(x + 0.5, y + 0.5, 0.65)
    }
    reached, waiting = set(), [(int(place.bases[0][0]), int(place.bases[0][1]))]
    while waiting:
        x, y = waiting.pop()
        if (x, y) in free and (x, y) not in reached:
            reached.add((x, y))
            waiting += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    goals = (*place.bases, *place.points, *place.cells)
    assert all((int(x), int(y)) in reached for x, y in goals)


def test_directions_are_those_of_the_spec() -> None:
    assert DIRECTION[0] == (0.0, 1.0)
    assert DIRECTION[64][0] == pytest.approx(1.0)


def test_the_last_picture_shows_who_won() -> None:
    drawn = []
    for winner in (0, 1):
        match = Match(2)
        match.score[winner] = 100
        drawn.append(draw(match, 0))
    assert not np.array_equal(drawn[0][63:106], drawn[1][63:106])
    assert np.array_equal(drawn[0][64, 0], ALLY)
    assert np.array_equal(drawn[1][64, 0], ENEMY)
