"""Combat: attacks, abilities, damage, healing and what they leave behind."""

from __future__ import annotations

import math

from games.brawl.classes import Ability
from games.brawl.events import Event
from games.brawl.fighter import EVADE, Fighter, ticks, wrapped
from games.brawl.movement import DASH_SPEED, DT, EVADE_SPEED
from games.brawl.state import Bolt, MatchState, Zone

RESPAWN_SECONDS = 6.0
EVADE_SECONDS, EVADE_COOLDOWN = 0.35, 2.2
MOUNT_SECONDS, MOUNT_CALM_SECONDS = 0.8, 2.0
GUARDED = 0.35
"""Share of the damage that passes a guard."""
BOLT_SPEED = 19.0
_ARC = math.radians(65)
"""Half the width of a melee attack."""
_ASSIST = math.radians(75)
"""How far off the facing a target may be without a lock-on."""
CHARGE_PER_DAMAGE, CHARGE_PER_HEAL = 1 / 420, 1 / 380


def can_act(f: Fighter, now: int) -> bool:
    """Whether it may attack, dodge or use an ability."""
    return f.alive and now >= f.stun_until and now >= f.dash_until and now >= f.evade_until


def use(match: MatchState, f: Fighter, slot: int) -> bool:
    """Use the attack (slot 0), an ability (1 to 3) or the super ability (4); False while it is not ready."""
    now = match.tick
    ability = f.kind.attack if slot == 0 else f.kind.abilities[slot - 1]
    if now < f.ready_at[slot] or (slot == 4 and f.charge < 1):
        return False
    f.mounted, f.mount_at = False, 0
    if slot == 4:
        f.charge = 0.0
    else:
        f.ready_at[slot] = now + ticks(ability.cooldown)
    f.swing_at, f.swing = now, slot
    f.taunt_until = 0
    if slot:
        match.note(Event("cast", now, f.x, f.y, f.z, f.seat, f.seat, ability.reach, slot))
    _EFFECTS[ability.effect](match, f, ability, slot)
    return True


def evade(match: MatchState, f: Fighter, x: float, y: float) -> None:
    """Roll along (x, y), out of reach of all harm."""
    now = match.tick
    if now < f.ready_at[EVADE]:
        return
    f.ready_at[EVADE] = now + ticks(EVADE_COOLDOWN)
    f.evade_until = now + ticks(EVADE_SECONDS)
    f.mounted, f.mount_at, f.taunt_until = False, 0, 0
    f.vx, f.vy = x * EVADE_SPEED, y * EVADE_SPEED


def hurt(
    match: MatchState, by: Fighter, f: Fighter, amount: float, slot: int, stun: float = 0
) -> None:
    """Damage a fighter."""
    now = match.tick
    if not f.alive:
        return
    if now < f.evade_until:
        match.note(Event("missed", now, f.x, f.y, f.z, f.seat, by.seat))
        return
    if now < by.rage_until:
        amount *= by.kind.abilities[3].power
    kind = "hit"
    if now < f.guard_until:
        amount, kind, stun = amount * GUARDED, "guarded", 0
    amount = min(amount, f.health)
    f.health -= amount
    f.mounted, f.mount_at = False, 0
    f.fought_at = by.fought_at = f.hurt_at = now
    f.charge = min(1.0, f.charge + amount * CHARGE_PER_DAMAGE / 2)
    by.charge = min(1.0, by.charge + amount * CHARGE_PER_DAMAGE)
    by.damage[f.seat] += amount
    if stun:
        f.stun_until = max(f.stun_until, now + ticks(stun))
    match.note(Event("hit" if kind == "hit" else "guarded", now, f.x, f.y, f.z + f.kind.height,
                     f.seat, by.seat, amount, slot))  # fmt: skip
    if f.health <= 0:
        _fell(match, by, f)


def heal(match: MatchState, by: Fighter, f: Fighter, amount: float, *, shown: bool = True) -> None:
    """Heal a fighter."""
    amount = min(amount, f.kind.health - f.health)
    if not f.alive or amount <= 0:
        return
    f.health += amount
    by.healed += amount
    by.charge = min(1.0, by.charge + amount * CHARGE_PER_HEAL)
    if shown:
        where = f.x, f.y, f.z + f.kind.height
        match.note(Event("heal", match.tick, *where, f.seat, by.seat, amount))


def _fell(match: MatchState, by: Fighter, f: Fighter) -> None:
    now = match.tick
    f.dead_until = now + ticks(RESPAWN_SECONDS)
    f.lock, f.deaths = -1, f.deaths + 1
    by.kills += 1
    match.score_kill(by, f)
    match.note(Event("down", now, f.x, f.y, f.z, f.seat, by.seat))


def advance(match: MatchState) -> None:
    """One tick of bolts, dashes and fields."""
    now = match.tick
    for f in match.fighters:
        if f.dash is not None:
            _dash_on(match, f, f.dash)
    if match.bolts:
        match.bolts = [bolt for bolt in match.bolts if _fly(match, bolt)]
    for zone in match.zones:
        if now % 5 == 0:
            by = match.fighters[zone.by]
            for f in match.fighters:
                if (
                    f.team == zone.team
                    and math.hypot(f.x - zone.x, f.y - zone.y) < zone.ability.reach
                ):
                    heal(match, by, f, zone.ability.power / 4)
    if match.zones:
        match.zones = [zone for zone in match.zones if now < zone.until]


def _fly(match: MatchState, bolt: Bolt) -> bool:
    """Move a bolt; whether it flies on."""
    by = match.fighters[bolt.by]
    for _ in range(2):
        bolt.x += bolt.vx * DT / 2
        bolt.y += bolt.vy * DT / 2
        if match.arena.wall_at(bolt.x, bolt.y, bolt.z):
            return False
        for f in match.fighters:
            if f.team != by.team and f.alive:
                dx, dy, room = f.x - bolt.x, f.y - bolt.y, f.kind.radius + 0.3
                if dx * dx + dy * dy < room * room and abs(f.z + 1.1 - bolt.z) < 1.3:
                    hurt(match, by, f, bolt.ability.power, bolt.slot, bolt.ability.stun)
                    return False
    return match.tick < bolt.until


def _dash_on(match: MatchState, f: Fighter, ability: Ability) -> None:
    if match.tick >= f.dash_until or not f.alive:
        f.dash = None
        f.vx, f.vy = f.vx * 0.25, f.vy * 0.25
        return
    for g in match.fighters:
        near = math.hypot(g.x - f.x, g.y - f.y) < f.kind.radius + g.kind.radius + 0.6
        if g.team != f.team and near and g.seat not in f.dash_hits:
            f.dash_hits.append(g.seat)
            hurt(match, f, g, ability.power, 1, ability.stun)


def aimed(match: MatchState, f: Fighter, reach: float, assist: float = _ASSIST) -> Fighter | None:
    """The enemy that an attack goes for: the locked one, else the nearest ahead within reach."""
    if f.lock >= 0 and match.fighters[f.lock].alive:
        return match.fighters[f.lock]
    nearest, best = None, reach + 1.5
    for g in match.fighters:
        if g.team != f.team and g.alive:
            away = math.hypot(g.x - f.x, g.y - f.y)
            off = min(
                abs(wrapped(f.bearing(g.x, g.y) - f.yaw)),
                abs(wrapped(f.bearing(g.x, g.y) - f.facing)),
            )
            if away < best and off < assist:
                nearest, best = g, away
    return nearest


def _face(match: MatchState, f: Fighter, reach: float) -> Fighter | None:
    """Turn to what the attack goes for; without one along the view."""
    target = aimed(match, f, reach)
    f.facing = f.yaw if target is None else f.bearing(target.x, target.y)
    return target


def _strike(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    _face(match, f, ability.reach)
    for g in match.fighters:
        if g.team != f.team and g.alive:
            away = math.hypot(g.x - f.x, g.y - f.y) - g.kind.radius
            off = abs(wrapped(f.bearing(g.x, g.y) - f.facing))
            if away < ability.reach and off < _ARC and abs(g.z - f.z) < 1.5:
                hurt(match, f, g, ability.power, slot, ability.stun)


def _bolt(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    target = _face(match, f, ability.reach)
    lead_x = lead_y = 0.0
    if target is not None:  # where it will be
        time = math.hypot(target.x - f.x, target.y - f.y) / BOLT_SPEED
        lead_x, lead_y = target.vx * time * 0.6, target.vy * time * 0.6
        f.facing = f.bearing(target.x + lead_x, target.y + lead_y)
    sin, cos = math.sin(f.facing), math.cos(f.facing)
    until = match.tick + ticks(ability.reach / BOLT_SPEED)
    match.bolts.append(
        Bolt(f.x + sin * 0.6, f.y + cos * 0.6, f.z + 1.2, sin * BOLT_SPEED, cos * BOLT_SPEED,
             until, f.seat, ability, slot)
    )  # fmt: skip


def _dash(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    target = _face(match, f, ability.reach)
    reach = ability.reach
    if target is not None:
        reach = min(reach, math.hypot(target.x - f.x, target.y - f.y))
    f.dash, f.dash_until = ability, match.tick + max(3, ticks(reach / DASH_SPEED))
    f.dash_hits = []
    f.vx, f.vy = math.sin(f.facing) * DASH_SPEED, math.cos(f.facing) * DASH_SPEED


def _guard(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    f.guard_until = match.tick + ticks(ability.duration)


def _rage(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    f.rage_until = match.tick + ticks(ability.duration)
    f.haste_until = max(f.haste_until, f.rage_until)


def _pull(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    target = _face(match, f, ability.reach)
    if target is None or match.tick < target.evade_until:
        return
    away = math.hypot(target.x - f.x, target.y - f.y)
    if away < ability.reach and match.arena.sees(f.x, f.y, target.x, target.y):
        hurt(match, f, target, ability.power, slot, 0.4)
        if match.tick >= target.guard_until:
            speed = max(0.0, away - 1.6) / (7 * DT)
            target.vx = -math.sin(f.facing) * speed
            target.vy = -math.cos(f.facing) * speed
            target.dash, target.dash_until = None, match.tick + 7


def _burst(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    for g in match.fighters:
        if g.alive and math.hypot(g.x - f.x, g.y - f.y) - g.kind.radius < ability.reach:
            if ability.heals and g.team == f.team:
                heal(match, f, g, ability.power)
            elif not ability.heals and g.team != f.team:
                hurt(match, f, g, ability.power, slot, ability.stun)


def _heal(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    allies = [
        g
        for g in match.fighters
        if g.team == f.team and g.alive and math.hypot(g.x - f.x, g.y - f.y) < ability.reach
    ]
    neediest = min(allies, key=lambda g: g.health / g.kind.health)
    heal(match, f, neediest, ability.power)


def _field(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    until = match.tick + ticks(ability.duration)
    match.zones.append(Zone(f.x, f.y, until, f.seat, f.team, ability))


def _haste(match: MatchState, f: Fighter, ability: Ability, slot: int) -> None:
    until = match.tick + ticks(ability.duration)
    for g in match.fighters:
        if g.team == f.team and g.alive and math.hypot(g.x - f.x, g.y - f.y) < ability.reach:
            g.haste_until = max(g.haste_until, until)
            g.stun_until = min(g.stun_until, match.tick)


_EFFECTS = {
    "strike": _strike,
    "bolt": _bolt,
    "dash": _dash,
    "guard": _guard,
    "rage": _rage,
    "pull": _pull,
    "burst": _burst,
    "heal": _heal,
    "field": _field,
    "haste": _haste,
}
