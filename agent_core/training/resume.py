"""Training state on disk: weights, their EMA, the optimizer's moments and the run's progress, in `state/`.

Tensors are saved whole: a run may be resumed with another number of processes, sharded over them or not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn, no_grad
from torch.optim import Optimizer

from agent_core.errors import TrainError
from agent_core.training.fingerprint import RunFingerprint
from agent_core.training.run_dir import BEST
from agent_core.training.sharding import full_state_dict, shard_like
from recorder.format.atomic import replaced_folder

_TENSORS, _META = "state.safetensors", "state.json"


@dataclass
class RunProgress:
    """How far a run is."""

    step: int = 0
    seconds: float = 0.0
    frames: int = 0
    """Trained on so far."""
    schedule: float = 0.0
    """Position on the learning-rate curve, in [0, 1]."""
    best_step: int = -1
    best: dict[str, float] = field(default_factory=dict)
    """Validation scores of the best checkpoint."""
    validated_step: int = -1
    validation_due: bool = False
    """Whether a validation was cut short or skipped: it is made up for when the run is resumed."""


@dataclass(frozen=True)
class TrainState:
    """The tensors that training changes."""

    model: nn.Module
    ema_model: nn.Module
    optimizer: Optimizer

    def tensors(self, keep: bool) -> dict[str, Tensor]:
        """All of it as whole tensors where `keep`; where they are sharded, every process must call."""
        named = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"ema_model.{k}": v for k, v in self.ema_model.state_dict().items()}
        moments = self.optimizer.state_dict()["state"]
        named |= {f"optimizer.{i}.{k}": v for i, s in moments.items() for k, v in s.items()}
        return full_state_dict(named, keep)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over saved tensors; raises `RuntimeError` where they are of other sizes."""
        for prefix, model in (("model.", self.model), ("ema_model.", self.ema_model)):
            _load(
                model,
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
            )
        weights = [w for group in self.optimizer.param_groups for w in group["params"]]
        state = self.optimizer.state_dict()
        for key in sorted(k for k in tensors if k.startswith("optimizer.")):
            _, index, moment = key.split(".")
            value = tensors[key]  # the fused kernel wants moments in the weight's memory layout
            if value.ndim:
                value = shard_like(weights[int(index)].detach(), value)
            state["state"].setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict(state)


def save_state(
    folder: Path, tensors: dict[str, Tensor], progress: RunProgress, fingerprint: RunFingerprint
) -> None:
    """Everything needed to resume, replaced in one step."""
    meta = {"progress": asdict(progress), "fingerprint": asdict(fingerprint)}
    with replaced_folder(folder) as draft:
        safetensors.torch.save_file(tensors, draft / _TENSORS)
        (draft / _META).write_text(json.dumps(meta), encoding="utf-8")
        shutil.copymode(draft / _META, draft / _TENSORS)


def restore_state(
    folder: Path, state: TrainState, fingerprint: RunFingerprint
) -> RunProgress | None:
    """Load a folder, or its predecessor where a kill met its replacing; None where there is neither.

    Raises `TrainError` where it is damaged or was saved by a run of other settings or data.
    """
    folders = [folder, folder.with_name(folder.name + ".old")]
    source = next((f for f in folders if (f / _META).exists()), None)
    if source is None:
        return None
    try:
        meta = json.loads((source / _META).read_text(encoding="utf-8"))
        saved = RunFingerprint(**meta["fingerprint"])
        progress = RunProgress(**meta["progress"])
        fingerprint.check(saved, source, folder.with_name(BEST))
        tensors = safetensors.torch.load_file(source / _TENSORS)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise TrainError(f"{source} is damaged: {error}; begin anew with --fresh") from None
    try:
        state.load(tensors)
    except RuntimeError as error:
        raise TrainError(f"{source} is damaged: {error}; begin anew with --fresh") from None
    return progress


def _load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Whole tensors into a model that may be sharded."""
    weights = model.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in tensors.items()}:
        raise RuntimeError("other names or sizes of weights")
    with no_grad():
        for name, weight in weights.items():
            weight.copy_(shard_like(weight, tensors[name]))
