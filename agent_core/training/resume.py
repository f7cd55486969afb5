"""What does it take to go on? Weights, their average, the optimiser's moments and how far a run is, in `state/`.

Tensors are saved whole: a run may go on with another number of processes, or with its weights split over them or not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from agent_core.model.iafm import IAFM
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.training.sharding import full_state_dict, shard_like
from recorder.format.atomic import replaced_folder

_TENSORS, _META = "state.safetensors", "state.json"


class TrainError(RuntimeError):
    """Training cannot go on; the message says what is still intact."""


@dataclass
class RunProgress:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best: dict[str, float] = field(default_factory=dict)
    validated_step: int = -1


@dataclass(frozen=True)
class TrainState:
    """What training changes."""

    model: IAFM
    ema_model: IAFM
    """Its moving average."""
    optimizer: torch.optim.Optimizer

    def tensors(self, keep: bool) -> dict[str, Tensor]:
        """All of it as whole tensors where `keep`; where they are split, every process must ask."""
        named = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"shadow.{k}": v for k, v in self.ema_model.state_dict().items()}
        moments = self.optimizer.state_dict()["state"]
        named |= {f"optimiser.{i}.{k}": v for i, s in moments.items() for k, v in s.items()}
        return full_state_dict(named, keep)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Become what `tensors` gave; raises `RuntimeError` where they are of other sizes."""
        for name, model in (("model.", self.model), ("shadow.", self.ema_model)):
            _load(
                model, {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
            )
        weights = [w for group in self.optimizer.param_groups for w in group["params"]]
        state = self.optimizer.state_dict()
        for key in sorted(k for k in tensors if k.startswith("optimiser.")):
            _, index, moment = key.split(".")
            value = tensors[key]  # the fused kernel wants moments in the weight's memory layout
            kept = value if value.ndim == 0 else shard_like(weights[int(index)].detach(), value)
            state["state"].setdefault(int(index), {})[moment] = kept
        self.optimizer.load_state_dict(state)


def create_run_dir(run_dir: Path) -> None:
    """Make sure that there is a run's folder; raises `TrainError`."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(
            f"{run_dir} cannot be a run's folder ({error.strerror}); take another with --run"
        ) from None


@contextmanager
def write_guard(run_dir: Path) -> Iterator[None]:
    """Where the disk takes no more, drafts are taken away and a `TrainError` says so."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        for draft in run_dir.glob("*.draft"):
            draft.unlink() if draft.is_file() else shutil.rmtree(draft, ignore_errors=True)
        raise TrainError(
            f"cannot write to {run_dir}: {error}; what was saved before is intact, run again to go on"
        ) from None


def save_state(
    folder: Path, tensors: dict[str, Tensor], progress: RunProgress, vocabulary: Vocabulary
) -> None:
    """Everything needed to go on, replaced in one step."""
    words = {"progress": asdict(progress), "vocabulary": _fingerprint(vocabulary)}
    with replaced_folder(folder) as draft:
        save_file(tensors, draft / _TENSORS)
        (draft / _META).write_text(json.dumps(words), encoding="utf-8")
        shutil.copymode(draft / _META, draft / _TENSORS)


def restore_state(folder: Path, state: TrainState, vocabulary: Vocabulary) -> RunProgress | None:
    """Go on from a folder, or from its predecessor where a kill met its replacing; None where there is neither.

    Raises `TrainError` where it is damaged or belongs to other sizes or words.
    """
    folders = [folder, folder.with_name(folder.name + ".old")]
    found = next((f for f in folders if (f / _META).exists()), None)
    if found is None:
        return None
    other = TrainError(f"{found} belongs to another model or data set; take a new run folder")
    try:
        words = json.loads((found / _META).read_text(encoding="utf-8"))
        tensors = load_file(found / _TENSORS)
        progress = RunProgress(**words["progress"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise TrainError(f"{found} is damaged: {error}; begin anew with --fresh") from None
    if words.get("vocabulary", _fingerprint(vocabulary)) != _fingerprint(vocabulary):
        raise other
    try:
        state.load(tensors)
    except RuntimeError:
        raise other from None
    return progress


def _load(model: IAFM, tensors: Mapping[str, Tensor]) -> None:
    """Whole tensors into a model that may be split."""
    own = model.state_dict()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in tensors.items()}:
        raise RuntimeError("other names or sizes of weights")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(shard_like(weight, tensors[name]))


def _fingerprint(vocabulary: Vocabulary) -> str:
    """Of what the ids mean: weights learned with other ids must not be gone on with."""
    said = json.dumps([vocabulary.tokenizer_json, vocabulary.action_meanings])
    return hashlib.sha256(said.encode()).hexdigest()
