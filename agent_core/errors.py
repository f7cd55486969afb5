"""Errors a user can cause: each says what was wrong, the value, and the way out; nothing heavy is imported."""

from __future__ import annotations


class ConfigError(ValueError):
    """A run's configuration is wrong; the message names the setting."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message names the file and what is wrong with it."""


class TrainError(RuntimeError):
    """Training cannot go on; the message says what is still intact."""


class HubError(RuntimeError):
    """A download or an upload failed; the message says why."""


class PretrainedError(ValueError):
    """Pretrained weights cannot be imported; the message names the file or the tensor."""


class KernelError(RuntimeError):
    """The kernels cannot be used here; the message says why."""


class TransformersReferenceError(RuntimeError):
    """The reference cannot run here; the message says what is missing."""


class WorkerLostError(RuntimeError):
    """Worker processes were killed, again and again; the message says what may be wrong."""


ALL: tuple[type[Exception], ...] = (
    CheckpointError,
    ConfigError,
    HubError,
    KernelError,
    PretrainedError,
    TrainError,
    TransformersReferenceError,
    WorkerLostError,
)
