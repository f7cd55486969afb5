"""Checks of an installation; each gives a finding and, where something is wrong, the way out."""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from agent_core.errors import CheckpointError
from bridges.errors import BridgeError
from bridges.minecraft.packages import find_chromium, find_node, find_packages

PACKAGES = ("agent_core", "bridges", "games", "recorder")
LIBRARIES = (
    "numpy",
    "gymnasium",
    "opencv-python-headless",
    "websockets",
    "av",
    "pyarrow",
    "pygame",
)
AGENT_LIBRARIES = ("torch", "safetensors", "tokenizers")
"""Of the extra `agent`, which only the model needs."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    check: str
    ok: bool
    detail: str


def examine(port: int = 8765) -> list[Finding]:
    """Run all checks; those of the model only where the extra `agent` is installed."""
    has_model = find_spec("torch") is not None
    model: tuple[Callable[[], Finding], ...] = (_device, _precisions, _kernels, _checkpoint)
    checks = (_python, _libraries, _shadowed, *(model if has_model else (_no_model,)), _disk)
    return [*(check() for check in checks), _port(port), _live_minecraft(), *_minerl()]


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} on {platform.platform()}")


def _libraries() -> Finding:
    installed, missing = [], []
    names = LIBRARIES + (AGENT_LIBRARIES if find_spec("torch") else ())
    for name in names:
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    detail = ", ".join(installed) + (f"; missing: {', '.join(missing)}" if missing else "")
    return Finding("libraries", not missing, detail)


def _shadowed() -> Finding:
    """Whether another distribution's package shadows one of ours: their import names are common words."""
    home = Path(__file__).resolve().parents[2]
    foreign = []
    for name in PACKAGES:
        path = Path(str(import_module(name).__file__)).resolve()
        if path.parent.parent != home:
            foreign.append(f"{name} comes from {path.parent}")
    detail = (
        "; ".join(foreign) + ": use an environment of its own" if foreign else f"all from {home}"
    )
    return Finding("packages", not foreign, detail)


def _no_model() -> Finding:
    return Finding("model", True, "not installed; pip install 'iafm[agent]' brings it")


def _device() -> Finding:
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return Finding("device", True, f"{gpu}, {torch.get_num_threads()} CPU threads")


def _precisions() -> Finding:
    """What this processor computes in; an older one emulated (`agent_core.cpu.capability`) shows here."""
    from agent_core.cpu.capability import Precision, detect

    processor = detect()
    precisions: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
    answers = ((precision, processor.support(precision)) for precision in precisions)
    detail = "; ".join(
        f"{precision}: {' or '.join(answer.backends) or 'none'}"
        + (f", {answer.reason}" if answer.reason else "")
        for precision, answer in answers
    )
    return Finding("precisions", True, f"{processor.vectors}; {detail}")


def _kernels() -> Finding:
    from agent_core.cpu import compact, paper

    reasons = {
        "compact models": compact.unavailable_reason(),
        "the paper's": paper.unavailable_reason(),
    }
    states = [
        f"{which}: {'compiled and checked' if reason is None else f'torch computes, {reason}'}"
        for which, reason in reasons.items()
    ]
    return Finding("own kernels", True, "; ".join(states))


def _checkpoint() -> Finding:
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load

    try:
        checkpoint = load(DEFAULT_CHECKPOINT)
    except CheckpointError as error:
        return Finding("checkpoint", False, str(error))
    size = sum(p.numel() for p in checkpoint.model.parameters())
    return Finding("checkpoint", True, f"{DEFAULT_CHECKPOINT.name}, {size:,} parameters")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding("disk", free > 2, f"{free:.0f} GB free here; recording needs 2")


def _live_minecraft() -> Finding:
    """Live Minecraft is optional: what it lacks is told, and no fault of the installation."""
    ready, missing = [], []
    for find in (find_node, find_chromium, find_packages):
        try:
            ready.append(str(find()))
        except BridgeError as error:
            missing.append(str(error))
    return Finding("live minecraft", True, "; ".join([*ready, *missing]))


def _minerl() -> list[Finding]:
    """MineRL, and in order what a Minecraft process of its own needs."""
    from bridges.minerl.java import requirements
    from bridges.minerl.package import version

    if version() is None:
        detail = "not installed; bridges/README.md has the command (Minecraft through MineRL)"
        return [Finding("minerl", True, detail)]
    without = "; without the following it attaches to a running process only (--malmo-port)"
    needs = [Finding(f"minerl: {need.name}", need.is_met, need.detail) for need in requirements()]
    is_complete = all(need.ok for need in needs)
    return [Finding("minerl", True, f"{version()}{'' if is_complete else without}"), *needs]


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    return Finding(
        "port", not taken, f"{port} is {'taken: choose another with --port' if taken else 'free'}"
    )
