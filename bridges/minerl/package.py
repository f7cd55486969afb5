"""The package minerl: its tasks, their specs, and the Minecraft process that plays them."""

from __future__ import annotations

import copy
import logging
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import Any

from bridges.minerl.options import MinerlError, TaskOptions
from games import did_you_mean
from games.minecraft import SPEC

INSTALL = "see 'Minecraft through MineRL' in bridges/README.md for the command that installs it"
ADDRESS = "127.0.0.1"
STEP_TIMEOUT_S = 30.0
"""Longest wait for a step; a reset, in which Minecraft makes a world, may take MineRL's four minutes."""
BUSY_RETRIES = 20
"""Tries, a second apart, to begin a mission at a port where another one is played; MineRL's own are 600."""
FAILURES = (OSError, RuntimeError, TypeError, AttributeError, AssertionError, EOFError, ValueError)
"""What MineRL raises where its Minecraft process is not there, breaks off or answers nonsense."""


def version() -> str | None:
    """The installed version of minerl; None where there is none."""
    try:
        return metadata.version("minerl")
    except metadata.PackageNotFoundError:
        return None


def env_spec(options: TaskOptions) -> Any:
    """A copy of the task's `EnvSpec`, with the size of picture that is asked for.

    Raises `MinerlError` where minerl is not installed, has no such task, or plays it with an obfuscated vector.
    """
    specs = _env_specs()
    if options.task not in specs:
        names = sorted(name for name in specs if not _is_vector(specs[name]))
        hint = did_you_mean(options.task, names) or f"; there are {', '.join(names)}"
        raise MinerlError(f"MineRL {version()} has no task {options.task!r}{hint}")
    if _is_vector(specs[options.task]):
        plain = options.task.replace("VectorObf", "").replace("Vector", "")
        raise MinerlError(
            f"{options.task} takes vectors of numbers, no keys and mouse: play {plain} instead"
        )
    with _quiet():
        spec = copy.deepcopy(specs[options.task])
        _set_size(spec, options)
    return spec


def _is_vector(spec: Any) -> bool:
    return "vector" in spec.action_space.spaces


def _set_size(spec: Any, options: TaskOptions) -> None:
    """Ask for a picture of another size; every handler of the task is made anew with it."""
    if options.has_task_size or (options.size is None and not hasattr(spec, "resolution")):
        return
    size = options.size or (SPEC.frame.width, SPEC.frame.height)
    if hasattr(spec, "resolution"):
        spec.resolution = size
    elif hasattr(spec, "pov_size") and size[0] == size[1]:
        spec.pov_size = size[0]
    else:
        raise MinerlError(f"{options.task} renders squares only: size={size[1]}x{size[1]}")
    spec.reset()


def _env_specs() -> Mapping[str, Any]:
    """MineRL's tasks by name."""
    gym = _gym()
    registry = getattr(gym.envs.registry, "env_specs", gym.envs.registry)
    settings = {
        name: getattr(entry, "kwargs", None) or getattr(entry, "_kwargs", {})
        for name, entry in registry.items()
    }
    return {name: kwargs["env_spec"] for name, kwargs in settings.items() if "env_spec" in kwargs}


def _gym() -> Any:
    """Old gym, with MineRL's tasks registered."""
    with _quiet():
        try:
            import gym

            import_module("minerl")
            logging.getLogger("minerl").setLevel(logging.CRITICAL)  # its errors are raised here
        except ImportError as error:
            raise MinerlError(f"MineRL cannot be imported ({error}); {INSTALL}") from None
    return gym


def make_env(spec: Any, options: TaskOptions) -> Any:
    """The task's old gym environment; nothing is started before its first reset, which attaches to `options.port`.

    Raises `MinerlError` where nothing listens there.
    """
    gym = _gym()
    if options.port is not None:
        _attach(options.port)
    with _quiet():
        return gym.make(options.task, env_spec=spec)


def _attach(port: int) -> None:
    """Let the next environment use the Minecraft process at a port of this machine, and start none."""
    import minerl.env._multiagent
    import minerl.env.malmo

    minerl.env._multiagent.MAX_WAIT = BUSY_RETRIES
    manager = minerl.env.malmo.InstanceManager
    manager.DEFAULT_IP = ADDRESS
    manager.managed = False  # a process that is lost is not replaced by one that MineRL starts
    try:
        manager.add_existing_instance(port)
    except AssertionError:
        raise MinerlError(
            f"nothing listens at port {port}: start `iafm voxel --malmo-port {port}` or Minecraft first"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings meanwhile: old gym has many, about its own spaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def failures(env: Any, options: TaskOptions, what: str) -> Iterator[None]:
    """Raise `MinerlError` for what MineRL's environment raises meanwhile, and leave its Minecraft process then."""
    try:
        with _quiet():
            yield
    except (*FAILURES, struct.error) as error:
        disconnect(env)
        raise lost(options, f"{what} failed ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """An error in one line; the socket's, where MineRL raised another while it looked for a new process."""
    if isinstance(error.__context__, OSError):
        error = error.__context__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{f': {lines[-1][:200]}' if lines else ''}"


def lost(options: TaskOptions, what: str) -> MinerlError:
    """The error for a Minecraft process that failed, with the way out."""
    if options.port is None:
        return MinerlError(f"{options.task}: {what}; `iafm doctor` lists what Minecraft needs")
    return MinerlError(
        f"{options.task}: {what}; is the process at port {options.port} still there, and free?"
    )


@contextmanager
def replaced_sockets(env: Any) -> Iterator[None]:
    """Close the environment's connections after it has left them, which MineRL forgets."""
    sockets = _sockets(env)
    try:
        yield
    finally:
        for each in sockets:
            each.close()


def disconnect(env: Any) -> None:
    """Close the environment's connections; the process is free for others then, or ends with them."""
    for each in _sockets(env):
        each.close()


def limit_steps(env: Any) -> None:
    """Limit the wait for each step of an environment that was reset."""
    for each in _sockets(env):
        each.settimeout(STEP_TIMEOUT_S)


def _sockets(env: Any) -> list[Any]:
    sockets = (instance.client_socket for instance in env.unwrapped.instances)
    return [each for each in sockets if each is not None]
