"""Movement: sticks into motion, the view, jumps, dodges, and what stands in the way."""

from __future__ import annotations

import math

from games.brawl.arena import DEPTH, WIDTH, Arena
from games.brawl.command import DIRECTION, MAGNITUDES, Command
from games.brawl.fighter import TICK_HZ, Fighter, wrapped

DT = 1 / TICK_HZ
TURN = math.radians(200)
"""Radians a second of the view with the stick at full deflection."""
TILT = math.radians(60)
PITCHES = (0.2, 0.62)
GRAVITY, JUMP = 19.0, 6.8
EVADE_SPEED, DASH_SPEED = 12.5, 19.0
MOUNT_FACTOR, HASTE_FACTOR, GUARD_FACTOR, CELL_FACTOR = 1.75, 1.3, 0.6, 0.95
_GRIP = 0.45
"""Share of the wanted change of speed that one tick makes."""


def turn_view(f: Fighter, command: Command, target: Fighter | None) -> None:
    """Turn the view by the right stick, or keep it on the locked target."""
    right, up = DIRECTION[command.right]
    amount = command.right_level / MAGNITUDES
    f.pitch = min(PITCHES[1], max(PITCHES[0], f.pitch - up * amount * TILT * DT))
    if target is not None:
        off = wrapped(f.bearing(target.x, target.y) - f.yaw)
        f.yaw = wrapped(f.yaw + max(-2.2 * TURN * DT, min(2.2 * TURN * DT, off * 0.5)))
    elif amount:
        f.yaw = wrapped(f.yaw + right * amount * TURN * DT)


def move(f: Fighter, command: Command, arena: Arena, now: int, target: Fighter | None) -> None:
    """One tick of motion."""
    right, up = DIRECTION[command.left]
    amount = command.left_level / MAGNITUDES
    if now < f.dash_until or now < f.evade_until:
        pass  # the dash's or dodge's speed stays
    else:
        if now < f.stun_until or now < f.taunt_until:
            amount = 0.0
        sin, cos = math.sin(f.yaw), math.cos(f.yaw)
        speed = amount * speed_of(f, now)
        wanted_x = (right * cos + up * sin) * speed
        wanted_y = (up * cos - right * sin) * speed
        grip = _GRIP if f.grounded else 0.12
        f.vx += (wanted_x - f.vx) * grip
        f.vy += (wanted_y - f.vy) * grip
        if target is not None and not f.mounted:
            f.facing = f.bearing(target.x, target.y)
        elif amount and now - f.swing_at > 6:
            off = wrapped(math.atan2(wanted_x, wanted_y) - f.facing)
            f.facing = wrapped(f.facing + max(-0.7, min(0.7, off)))
    f.x += f.vx * DT
    f.y += f.vy * DT
    f.stride += math.hypot(f.vx, f.vy) * DT
    _fall(f, _collide(f, arena))


def speed_of(f: Fighter, now: int) -> float:
    """Meters a second at full deflection of the stick."""
    speed = f.kind.speed * CELL_FACTOR**f.cells
    if f.mounted:
        speed *= MOUNT_FACTOR
    if now < f.haste_until:
        speed *= HASTE_FACTOR
    if now < f.guard_until:
        speed *= GUARD_FACTOR
    return speed


def jump(f: Fighter) -> None:
    """Leave the ground."""
    f.vz = JUMP


def push_apart(fighters: list[Fighter]) -> None:
    """Move bodies out of each other, half way each."""
    for i, a in enumerate(fighters):
        for b in fighters[i + 1 :]:
            dx = b.x - a.x
            if -1.3 < dx < 1.3:
                dy = b.y - a.y
                room = a.kind.radius + b.kind.radius
                away = dx * dx + dy * dy
                if away < room * room and abs(a.z - b.z) < 1.2:
                    away = math.sqrt(away)
                    push = (room - away) / 2
                    ux, uy = (dx / away, dy / away) if away > 1e-6 else (1.0, 0.0)
                    a.x, a.y = a.x - ux * push, a.y - uy * push
                    b.x, b.y = b.x + ux * push, b.y + uy * push


def _collide(f: Fighter, arena: Arena) -> float:
    """Push the body out of blocks and edges; returns the height of what it stands on."""
    radius, ground = f.kind.radius, 0.0
    f.x = min(max(f.x, radius), WIDTH - radius)
    f.y = min(max(f.y, radius), DEPTH - radius)
    for b in arena.near(f.x, f.y):
        dx, dy = f.x - b.x, f.y - b.y
        over_x, over_y = b.half_x - abs(dx), b.half_y - abs(dy)
        if f.z > b.height - 0.2:
            if over_x > -0.3 and over_y > -0.3:
                ground = max(ground, b.height)
            continue
        if over_x > 0 and over_y > 0:  # the middle is inside
            if over_x < over_y:
                f.x += math.copysign(over_x + radius, dx)
            else:
                f.y += math.copysign(over_y + radius, dy)
            continue
        out_x, out_y = max(0.0, -over_x), max(0.0, -over_y)
        away = math.hypot(out_x, out_y)
        if away < radius:
            push = (radius - away) / away
            f.x += math.copysign(out_x * push, dx)
            f.y += math.copysign(out_y * push, dy)
    return ground


def _fall(f: Fighter, ground: float) -> None:
    if f.vz == 0.0 and f.z <= ground:
        f.z = ground
        return
    f.vz -= GRAVITY * DT
    f.z += f.vz * DT
    if f.z <= ground:
        f.z, f.vz = ground, 0.0
