"""Tasks: judged by the match's state, and their instructions."""

from games.brawl import ROLES, TASKS, BrawlEnv
from games.brawl.combat import hurt
from games.brawl.fighter import SEATS, TEAM_SIZE
from games.brawl.tasks import DEFEND_STEPS, STAY_STEPS, Judge


def fresh(task: str, **options: object) -> BrawlEnv:
    env = BrawlEnv()
    env.reset(seed=4, options={"task": task, **options})
    return env


def test_a_point_counts_while_it_is_held_and_stood_on() -> None:
    env = fresh("defend_point", about="B")
    f, point = env.match.fighters[env.seat], env.match.objectives.points[1]
    judge = Judge(env.goal, env.match, env.seat)
    f.x, f.y, point.owner = point.x, point.y, 1 - f.team
    assert judge.update().progress == 0
    point.owner = f.team
    verdicts = [judge.update() for _ in range(DEFEND_STEPS)]
    assert [v.success for v in verdicts[-2:]] == [False, True]
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
        hurt(match, f, other, 79, 0)
        hurt(match, f, foes[kind], 81, 0)
        assert not judge.update().success
        hurt(match, f, foes[kind], 60, 0)
        assert judge.update().success


def test_a_delivered_cell_counts() -> None:
    env = fresh("bring_cells")
    f = env.match.fighters[env.seat]
    f.x, f.y = env.match.arena.bases[f.team]
    f.cells, env.match.objectives.cells[0].carrier = 1, env.seat
    _, reward, ended, late, info = env.step({})
    assert (reward, ended, late, info["success"]) == (1.0, True, False, True)


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
