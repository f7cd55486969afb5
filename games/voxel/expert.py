"""Voxel expert: a scripted player that uses only what is on the screen.

It reads the view per pixel (kind of object, distance), its own position and view angles, and what it has collected:
all of it visible to a human player. Its state is what a player would remember: the ground seen so far, where the target
was last seen, how far it has turned. It never reads the world behind the view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from games.spec import Action
from games.voxel import blocks as b
from games.voxel.animals import COW, PIG
from games.voxel.env import VoxelEnv
from games.voxel.player import EYE, Player
from games.voxel.render import ANIMAL_KIND, View, rays
from games.voxel.spec import CAMERA_BINS, SPEC
from games.voxel.tasks import Goal
from games.voxel.world import SIZE

WALK_PITCH = 10.0
"""Degrees below the horizon while walking, so that the next step is in the view."""
_UNKNOWN = -1
_STANDABLE = (b.GRASS, b.DIRT, b.STONE, b.SAND, b.SNOW, b.BEDROCK)
_OBSTACLES = (b.LOG, b.GOLD, b.LAPIS, b.BRICK)
_TALL = 60
"""Height recorded for anything that cannot be stepped onto."""


@dataclass
class _Target:
    """Where to go: level position, height to look at, distance from the eye, and whether it is in view now."""

    x: float
    y: float
    z: float
    away: float
    visible: bool


@dataclass
class Expert:
    """A scripted player for one goal; `act` gives the next action and the thought behind it."""

    goal: Goal
    _heights: NDArray[np.int16] = field(init=False)
    _surface: NDArray[np.uint8] = field(init=False)
    _last: _Target | None = None
    _turned: float = 0.0
    _march: int = 0
    _heading: float = 0.0
    _openness: list[tuple[float, float]] = field(default_factory=list)
    _scanned: list[tuple[float, float]] = field(default_factory=list)
    _footing: float = 0.0
    """Height of the feet when they last touched the ground."""
    _still: int = 0
    _sidestep: int = 0
    _at: tuple[float, float] = (0.0, 0.0)
    _wanted: str = ""

    def __post_init__(self) -> None:
        self._heights = np.full((SIZE, SIZE), _UNKNOWN, np.int16)
        self._surface = np.zeros((SIZE, SIZE), np.uint8)

    def act(self, view: View, player: Player) -> tuple[Action, str]:
        """The next action and a short thought; `player` is read for pose, footing and collected items only."""
        action = SPEC.null_action()
        self._update_map(view)
        self._update_motion(player)
        task = self.goal.task
        if not self.goal.instruction or task == "free":
            return action, "no instruction: wait"
        if task == "dig_down":
            return self._dig(view, player, action)
        wanted = self._next_wanted(player)
        if wanted != self._wanted:
            self._wanted, self._last, self._turned, self._march = wanted, None, 0.0, 0
        target = self._find(wanted, view, player)
        if target is None:
            return self._search(wanted, view, player, action)
        self._turned, self._march = 0.0, 0
        self._openness.clear()
        if wanted in ("cow", "pig"):
            return self._hunt(wanted, target, view, player, action)
        if wanted == "tree":
            return self._chop(target, view, player, action)
        side = self._go(target.x, target.z, player, action, sprint_beyond=7)
        return action, f"{wanted} {side}: walk to it"

    def _next_wanted(self, player: Player) -> str:
        things = {"wood": "tree", "beef": "cow", "pork": "pig"}
        for item in self.goal.items:
            if item not in player.collected:
                return things[item]
        return {"go_to_gold": "gold pillar", "climb_highest": "high ground"}.get(
            self.goal.task, "tree"
        )

    # --- state ---

    def _update_map(self, view: View) -> None:
        """Enter the ground and obstacles of the view (every second pixel) into the map of heights."""
        kind = view.kind[::2, ::2].reshape(-1)
        d = (
            rays(view.pose, *view.kind.shape)
            .reshape(3, *view.kind.shape)[:, ::2, ::2]
            .reshape(3, -1)
        )
        away = view.distance[::2, ::2].reshape(-1)
        solid = np.isin(kind, (*_STANDABLE, *_OBSTACLES)) & (away < 30)
        d, away, kind = d[:, solid], away[solid], kind[solid]
        pose = view.pose
        point = np.array([[pose.x], [pose.y], [pose.z]]) + d * (away + 1e-3)
        x, y, z = np.clip(point.astype(np.int16), 0, SIZE - 1)
        obstacle = np.isin(kind, _OBSTACLES)
        y[obstacle] = _TALL
        near = away < 4
        self._heights[x[near & ~obstacle], z[near & ~obstacle]] = (
            0  # near ground may have changed (dug holes)
        )
        np.maximum.at(self._heights, (x, z), y)
        self._surface[x, z] = kind

    def _update_motion(self, player: Player) -> None:
        moved = math.hypot(player.x - self._at[0], player.z - self._at[1])
        self._still = self._still + 1 if moved < 0.03 else 0
        self._at = (player.x, player.z)
        if player.on_ground:
            self._footing = player.y
        self._sidestep = max(0, self._sidestep - 1)

    # --- search ---

    def _find(self, wanted: str, view: View, player: Player) -> _Target | None:
        target = self._highest(player) if wanted == "high ground" else self._visible(wanted, view)
        if target is not None:
            self._last = target
            return target
        if self._last is not None:
            dx, dz = self._last.x - player.x, self._last.z - player.z
            if math.hypot(dx, dz) < 2.0:
                self._last = None
            else:
                self._last.visible = False
                self._last.away = math.hypot(dx, dz)
        return self._last

    def _visible(self, wanted: str, view: View) -> _Target | None:
        kind = view.kind
        match wanted:
            case "tree":
                mask = kind == b.LOG
                if not mask.any():
                    mask = kind == b.LEAVES
            case "cow":
                mask = (kind >= ANIMAL_KIND[COW]) & (kind < ANIMAL_KIND[PIG])
            case "pig":
                mask = kind >= ANIMAL_KIND[PIG]
            case _:
                mask = kind == b.GOLD
        flat = np.flatnonzero(mask)
        if flat.size == 0:
            return None
        away = view.distance.reshape(-1)[flat]
        if wanted in ("cow", "pig"):
            ids = kind.reshape(-1)[flat]
            nearest = ids[int(away.argmin())]
            chosen = flat[ids == nearest]
        else:
            chosen = flat[away < away.min() + 0.8]
        d = rays(view.pose, *kind.shape)[:, chosen]
        points = (
            np.array([[view.pose.x], [view.pose.y], [view.pose.z]])
            + d * view.distance.reshape(-1)[chosen]
        )
        x, y, z = np.median(points, axis=1)
        if wanted == "tree":  # the part of the trunk closest to eye level
            best = int(np.abs(points[1] - view.pose.y + 0.3).argmin())
            x, y, z = points[:, best] + d[:, best] * 0.3
        return _Target(float(x), float(y), float(z), float(away.min()), True)

    def _highest(self, player: Player) -> _Target | None:
        """The highest ground seen so far; none while nothing rises above where the player stands."""
        ground = np.where(self._heights < _TALL, self._heights, _UNKNOWN)
        top = int(ground.max())
        if top < self._footing + 0.5 or (
            top < self._footing + 2 and not (self._surface == b.SNOW).any()
        ):
            return None
        xs, zs = np.nonzero(ground == top)
        away = np.hypot(xs + 0.5 - player.x, zs + 0.5 - player.z)
        i = int(away.argmin())
        return _Target(xs[i] + 0.5, top + 1.0, zs[i] + 0.5, float(away[i]), True)

    def _search(
        self, wanted: str, view: View, player: Player, action: Action
    ) -> tuple[Action, str]:
        """Turn once around, walk in the most open direction for a while, and repeat."""
        if self._march > 0:
            self._march -= 1
            if self._still > 6:
                self._march = 0
            yaw = math.radians(self._heading)
            x, z = player.x - math.sin(yaw) * 6, player.z + math.cos(yaw) * 6
            self._go(x, z, player, action, sprint_beyond=3)
            return action, f"no {wanted} around: walk on"
        ahead = view.distance[30:40, 54:74]
        self._openness.append((float(np.median(np.minimum(ahead, 25))), player.yaw_deg))
        self._still = 0
        self._turned += 18.0
        if self._turned >= 360:
            self._turned = 0.0
            self._scanned.append((player.x, player.z))
            self._heading = self._unexplored_bearing(player)
            self._openness.clear()
            self._march = 60
        action["camera"] = (_bin(WALK_PITCH - player.pitch_deg), 18.0)
        return action, f"no {wanted} in view: turn right"

    def _unexplored_bearing(self, player: Player) -> float:
        """The bearing that leads farthest from all positions where the player has turned around before."""

        def newness(open_way: tuple[float, float]) -> float:
            free, bearing = open_way
            yaw, length = math.radians(bearing), min(free, 13.0)
            x, z = player.x - math.sin(yaw) * length, player.z + math.cos(yaw) * length
            x, z = min(max(x, 8), SIZE - 8), min(max(z, 8), SIZE - 8)
            return min(math.hypot(x - sx, z - sz) for sx, sz in self._scanned)

        return max(self._openness, key=newness)[1]

    # --- tasks ---

    def _hunt(
        self, wanted: str, target: _Target, view: View, player: Player, action: Action
    ) -> tuple[Action, str]:
        if target.visible and target.away < 4.2:
            yaw, pitch = _angles(player, target)
            action["camera"] = (_bin(pitch), _bin(yaw))
            h, w = view.kind.shape
            on_it = view.kind[h // 2, w // 2] >= ANIMAL_KIND[COW]
            if target.away > 2.2 and abs(yaw) < 25:
                action["forward"] = 1
                self._hop(player, player.yaw_deg, action)
            if on_it and target.away < 3.6:
                action["attack"] = 1
                return action, f"{wanted} in reach: attack"
            return action, f"{wanted} close: aim at it"
        side = self._go(target.x, target.z, player, action, sprint_beyond=5)
        return action, f"{wanted} {side}: walk to it"

    def _chop(
        self, target: _Target, view: View, player: Player, action: Action
    ) -> tuple[Action, str]:
        level = math.hypot(target.x - player.x, target.z - player.z)
        if target.visible and level < 3.0 and target.away < 4.2:
            yaw, pitch = _angles(player, target)
            action["camera"] = (_bin(pitch), _bin(yaw))
            h, w = view.kind.shape
            kinds = view.kind[
                h // 2 - 1 : h // 2 + 1, w // 2 - 1 : w // 2 + 1
            ]  # around the crosshair
            away = float(view.distance[h // 2 - 1 : h // 2 + 1, w // 2 - 1 : w // 2 + 1].max())
            if np.isin(kinds, (b.LOG, b.LEAVES)).all() and away < 4.3:
                action["camera"] = (0.0, 0.0)
                action["attack"] = 1
                return action, "log in reach: chop it"
            if max(abs(yaw), abs(pitch)) < 1:  # something stands before the trunk
                action["attack"] = int(away < 4.3)
                action["forward"] = int(away >= 4.3)
            return action, "tree close: aim at the trunk"
        side = self._go(target.x, target.z, player, action, sprint_beyond=6)
        return action, f"tree {side}: walk to it"

    def _dig(self, view: View, player: Player, action: Action) -> tuple[Action, str]:
        if player.pitch_deg < 88:
            action["camera"] = (_bin(90 - player.pitch_deg), 0.0)
            return action, "dig down: look at the ground"
        h, w = view.kind.shape
        depth = float(view.distance[h // 2 - 1 : h // 2 + 1, w // 2 - 1 : w // 2 + 1].max()) - EYE
        if depth > 0.6 and player.on_ground:  # the hole is open but the body rests on its rim
            off_x = math.floor(player.x) + 0.5 - player.x
            off_z = math.floor(player.z) + 0.5 - player.z
            yaw = math.radians(player.yaw_deg)
            ahead = -math.sin(yaw) * off_x + math.cos(yaw) * off_z
            aside = -math.cos(yaw) * off_x - math.sin(yaw) * off_z
            action["sneak"] = 1
            action["forward"], action["back"] = int(ahead > 0.06), int(ahead < -0.06)
            action["right"], action["left"] = int(aside > 0.06), int(aside < -0.06)
            return action, "hole open: step into it"
        action["attack"] = 1
        return action, "ground below: dig"

    # --- walking ---

    def _go(self, x: float, z: float, player: Player, action: Action, sprint_beyond: float) -> str:
        """Fill in turning, walking and jumping towards a position; returns the side it lies on, in words."""
        bearing = math.degrees(math.atan2(-(x - player.x), z - player.z))
        away = math.hypot(x - player.x, z - player.z)
        error = _wrap(self._around(bearing, away, player) - player.yaw_deg)
        action["camera"] = (_bin(WALK_PITCH - player.pitch_deg), _bin(error))
        if abs(error) < 40:
            action["forward"] = 1
            action["sprint"] = int(away > sprint_beyond and abs(error) < 10)
            self._hop(player, player.yaw_deg, action)
        if self._still > 5 and self._sidestep == 0:
            self._sidestep = 12
        if self._sidestep:
            action["jump"] = 1
            action["right" if self._sidestep > 4 else "left"] = 1
        side = _wrap(bearing - player.yaw_deg)
        return "ahead" if abs(side) < 12 else "on the right" if side > 0 else "on the left"

    def _around(self, bearing: float, away: float, player: Player) -> float:
        """The bearing closest to `bearing` that is free of known obstacles for a few steps."""
        length = min(3.0, max(away - 1.6, 0.5))
        for swing in (0, 15, -15, 30, -30, 45, -45, 60, -60, 80, -80):
            if self._clear(player, bearing + swing, length):
                return bearing + swing
        return bearing

    def _clear(self, player: Player, bearing: float, length: float) -> bool:
        yaw = math.radians(bearing)
        level = player.y
        for i in range(1, int(length / 0.3) + 1):
            cx, cz = player.x - math.sin(yaw) * 0.3 * i, player.z + math.cos(yaw) * 0.3 * i
            for aside in (-0.32, 0.32):
                px, pz = cx + math.cos(yaw) * aside, cz + math.sin(yaw) * aside
                if not (1.4 < px < SIZE - 1.4 and 1.4 < pz < SIZE - 1.4):
                    return False
                height = self._heights[int(px), int(pz)]
                if height != _UNKNOWN and height + 1 > level + 1.05:
                    return False
            height_here = self._heights[int(cx), int(cz)]
            if height_here not in (_UNKNOWN, 0):
                level = max(level - 1, float(height_here + 1))
        return True

    def _hop(self, player: Player, bearing: float, action: Action) -> None:
        """Jump where the ground ahead rises by a step."""
        yaw = math.radians(bearing)
        for reach in (0.5, 0.9):
            for aside in (-0.25, 0.0, 0.25):
                px = player.x - math.sin(yaw) * reach + math.cos(yaw) * aside
                pz = player.z + math.cos(yaw) * reach + math.sin(yaw) * aside
                height = self._heights[int(px), int(pz)]
                if height != _UNKNOWN and 0.4 < height + 1 - player.y < 1.3:
                    action["jump"] = 1
                    return
        if self._still > 2:
            action["jump"] = 1


def scripted_expert(env: VoxelEnv) -> Callable[[], tuple[Action, str]]:
    """The expert for the episode that an environment has just begun."""
    expert = Expert(env.goal)
    return lambda: expert.act(env.view(), env.player)


def _angles(player: Player, target: _Target) -> tuple[float, float]:
    """Yaw and pitch in degrees still to turn until the crosshair is on the target."""
    dx, dy, dz = target.x - player.x, target.y - (player.y + EYE), target.z - player.z
    yaw = math.degrees(math.atan2(-dx, dz))
    pitch = -math.degrees(math.atan2(dy, math.hypot(dx, dz)))
    return _wrap(yaw - player.yaw_deg), pitch - player.pitch_deg


def _wrap(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


def _bin(degrees: float) -> float:
    return min(CAMERA_BINS, key=lambda step: abs(step - degrees))
