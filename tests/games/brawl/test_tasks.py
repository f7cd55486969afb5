"""Tasks: judged by the match's state, and their instructions."""

from games.brawl import ROLES, TASKS, BrawlEnv
from games.brawl.combat import hurt
from games.brawl.fighter import SEATS, TEAM_SIZE
from games.brawl.tasks import CELLS_HOME, DEFEND_STEPS, LEAVING, STAY_STEPS, Judge


def fresh(task: str, **options: object) -> BrawlEnv:
    env = BrawlEnv()
    env.reset(seed=4, options={"task": task, **options})
    return env


def test_a_point_counts_while_it_is_stood_on_and_leaving_takes_back() -> None:
    env = fresh("defend_point", about="B")
    f, point = env.match.fighters[env.seat], env.match.objectives.points[1]
    judge = Judge(env.goal, env.match, env.seat)
    assert judge.update().progress == 0
    f.x, f.y = point.x, point.y
    verdicts = [judge.update() for _ in range(DEFEND_STEPS - 1)]
    assert not verdicts[-1].success
    f.x += 9
    assert judge.update().progress == (DEFEND_STEPS - 1 - LEAVING) / DEFEND_STEPS
    f.x -= 9
    assert [judge.update().success for _ in range(2)] == [False, True]
    f.x += 9
    assert judge.update().success  # what was reached stays


def test_staying_counts_near_a_healer_that_stands() -> None:
    env = fresh("stay_with_healer")
    f = env.match.fighters[env.seat]
    healer = env.match.fighters[f.team * TEAM_SIZE + 1]
    judge = Judge(env.goal, env.match, env.seat)
    healer.dead_until = 0
    f.x, f.y = healer.x + 1, healer.y
    for _ in range(STAY_STEPS - 1):
        assert not judge.update().success
    healer.dead_until = 999
    assert not judge.update().success
    healer.dead_until = 0
    assert judge.update().success


def test_focus_takes_most_of_the_damage() -> None:
    for kind in ("support", "tank"):
        env = fresh(f"focus_{kind}")
        match, f = env.match, env.match.fighters[env.seat]
        foes = {g.kind.name: g for g in match.fighters if g.enemy_of(f)}
        for g in foes.values():
            g.health, g.dead_until, g.guard_until, g.evade_until = g.kind.health, 0, 0, 0
        f.rage_until = 0
        other = foes["tank" if kind == "support" else "support"]
        judge = Judge(env.goal, match, env.seat)
        hurt(match, f, other, 45, 0)
        hurt(match, f, foes[kind], 101, 0)
        assert not judge.update().success
        hurt(match, f, foes[kind], 30, 0)
        assert judge.update().success


def test_two_delivered_cells_count() -> None:
    env = fresh("bring_cells")
    f, cells = env.match.fighters[env.seat], env.match.objectives.cells
    f.x, f.y = env.match.arena.bases[f.team]
    for cell, progress in zip(cells[:CELLS_HOME], (0.5, 1.0), strict=True):
        f.cells, cell.carrier, cell.away_until = 1, env.seat, 0
        _, reward, ended, late, info = env.step({})
        assert info["progress"] == progress
    assert (reward, ended, late, info["success"]) == (1.0, True, False, True)


def test_a_seed_begins_every_role_alike() -> None:
    starts = []
    for role in ROLES:
        env = BrawlEnv()
        _, info = env.reset(seed=21, options={"task": role})
        f = env.match.fighters[env.seat]
        starts.append((env.match.seed, env.match.tick, env.seat, f.x, f.y, info["class"]))
        assert (info["success"], info["progress"]) == (False, 0)
    assert len(set(starts)) == 1


def test_words_choose_the_point_that_they_name_and_no_other_judge() -> None:
    assert fresh("defend_point", instruction="hold point C").goal.order.about == "C"
    assert fresh("bring_cells", instruction="hold point C").goal.order.kind == "cells"
    assert fresh("defend_point", instruction="hold point C", about="A").goal.order.about == "A"


def test_a_match_is_won_by_the_team_ahead() -> None:
    env = fresh("win_match", seat=6)
    env.match.score[1] = 99
    judge = Judge(env.goal, env.match, env.seat)
    assert not judge.update().success
    env.match.score[1] = 100
    assert judge.update().success


def test_every_seat_can_be_played_and_every_task_has_words() -> None:
    for seat in range(SEATS):
        assert fresh("win_match", seat=seat).seat == seat
    sentences = [s for task in TASKS.values() for s in task.sentences]
    assert len(sentences) == len(set(sentences)) >= 60
    assert len(ROLES) == 5
    assert all(len(words) >= 6 for task in TASKS.values() for words in task.paraphrases.values())
