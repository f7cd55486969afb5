"""How does the model learn to play? Behaviour cloning of recorded episodes, on one device, within a budget.

`iafm train --set data.episodes=["data/voxel"] --set train.minutes=8`

In a run's folder: config.toml, best/ (the checkpoint with the lowest validation loss), last/, state/ (to
resume from), log.jsonl, tensorboard/, curves.png.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel

from agent_core.checkpoint import Header, load, make_header, replace_folder, save
from agent_core.config import ConfigError, RunConfig
from agent_core.corpus import Corpus, Frames, open_data, prepare
from agent_core.curves import RunLog, draw_curves
from agent_core.data import EpisodeLike
from agent_core.model.block import Block
from agent_core.model.iafm import IAFM
from agent_core.objective import Objective, Ranks, counted, draw_part
from agent_core.pretrained import import_clip, import_opt
from agent_core.validation import scores_by_game

logger = logging.getLogger("iafm.train")


class TrainError(RuntimeError):
    """Training cannot go on; the message says what is still intact."""


@dataclass(frozen=True)
class TrainReport:
    """What a run came to. Validation numbers are those of the best checkpoint, NaN where a run has none."""

    best: Path
    steps: int
    minutes: float
    best_step: int
    action_loss: float
    exact_match: float
    change_accuracy: float
    language_loss: float
    windows_per_s: float
    interrupted: bool = False
    rank: int = 0
    """Of the process that tells this; all but 0 have nothing to add."""


@dataclass
class _Progress:
    """Where a run stands: what `state.json` holds."""

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best: dict[str, float] = field(default_factory=dict)
    validated_step: int = -1


def train(config: RunConfig, run_dir: Path, *, resume: bool = True) -> TrainReport:
    """Train by the configuration; goes on where an earlier call with the same folder ended.

    Raises `ConfigError`, `CaptureError` (no data) or `TrainError` (the loss is no longer finite).
    """
    ranks = Ranks.join()
    run_dir.mkdir(parents=True, exist_ok=True)
    if ranks.leads:
        (run_dir / "config.toml").write_text(config.toml(), encoding="utf-8")
    parts, frames = ranks.in_turn(lambda: open_data(config, run_dir))
    return train_on(config, run_dir, parts, frames, resume=resume)


def train_on(
    config: RunConfig,
    run_dir: Path,
    parts: dict[str, Sequence[EpisodeLike]],
    frames: Frames,
    *,
    resume: bool = True,
) -> TrainReport:
    """Train on opened episodes: `parts` has "train" and "validation", `frames` all their frames in that order."""
    run_dir.mkdir(parents=True, exist_ok=True)
    corpus = prepare(config, parts, frames)
    del frames
    run = _Run(config, run_dir, corpus)
    if resume:
        run.restore()
    elif run.ranks.leads:
        for name in ("state", "best", "last", "log.jsonl", "tensorboard"):
            path = run_dir / name
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    return run.go()


def half_precision(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: on a GPU, or on a processor with instructions for it, unless told otherwise."""
    if setting == "auto":
        return device.type == "cuda" or (  # other processors would emulate it, slower than float32
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return setting == "bfloat16"


class _Run:
    """One run's model, optimiser and progress."""

    def __init__(self, config: RunConfig, run_dir: Path, corpus: Corpus) -> None:
        self.config, self.run_dir, self.corpus = config, run_dir, corpus
        self.device = corpus.store.device
        torch.manual_seed(config.train.seed)
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self.model = IAFM(config.model, corpus.vocabulary.size).to(self.device)
        self.model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.train.clip_weights:
            import_clip(self.model, config.train.clip_weights)
        if config.train.opt_weights:
            import_opt(self.model, config.train.opt_weights)
        self.shadow = IAFM(config.model, corpus.vocabulary.size).to(self.device)
        self.shadow.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shadow.load_state_dict(self.model.state_dict())
        self.shadow.requires_grad_(False).eval()
        if config.train.start_from:
            self._start_from(Path(config.train.start_from))
        self.half = half_precision(config.train.precision, self.device)
        self.optimiser = make_optimiser(self.model, config)
        for module in self.model.modules():
            if isinstance(module, Block):
                module.recompute = config.train.recompute
        self.ranks = Ranks.join()
        parts = self.ranks.world * config.train.accumulate
        if config.train.batch % parts:
            raise ConfigError(
                f"train.batch={config.train.batch} is no multiple of its {parts} parts"
            )
        objective: Any = Objective(self.model, config)
        if config.train.compile:
            objective = torch.compile(objective)
        if self.ranks.world > 1:
            objective = DistributedDataParallel(objective, find_unused_parameters=True)
        self.objective = objective
        self.progress = _Progress()
        self.share = 0.0
        """Of the budget, spent before the present step."""
        self.has_validation = corpus.store.steps("validation") > 0
        self._started = time.monotonic()
        self._seconds_before = 0.0

    def go(self) -> TrainReport:
        """Train until the budget is spent; raises `TrainError` also where the disk takes no more."""
        try:
            return self._go()
        except (OSError, SafetensorError) as error:
            for name in ("state", "best", "last"):
                shutil.rmtree(self.run_dir / f"{name}.draft", ignore_errors=True)
            raise TrainError(
                f"cannot write to {self.run_dir}: {error}; what was saved before is intact, run again to go on"
            ) from None

    def _go(self) -> TrainReport:
        budget = self.config.train
        if not (budget.steps or budget.minutes):
            raise ConfigError("set a budget: train.steps or train.minutes")
        self._started = time.monotonic()
        self._seconds_before = self.progress.seconds
        first, interrupted = self.progress.step, False
        leads = self.ranks.leads
        logged = RunLog(self.run_dir, self.progress.step) if leads else nullcontext()
        with logged as log, progress_bar(leads) as bar:
            task = bar.add_task("training", total=1.0, note="")
            try:
                self._loop(log, bar, task)
            except KeyboardInterrupt:
                interrupted = True
                logger.warning(
                    "interrupted at step %d; saved, run again to go on", self.progress.step
                )
            if log is not None:
                self._finish(log)
        done, spent = self.progress.step - first, self.seconds - self._seconds_before
        best = self.progress.best
        return TrainReport(
            self.run_dir / "best",
            self.progress.step,
            self.seconds / 60,
            self.progress.best_step,
            best.get("action", math.nan),
            best.get("exact_match", math.nan),
            best.get("change_accuracy", math.nan),
            best.get("language", math.nan),
            done * budget.batch / max(spent, 1e-9),
            interrupted,
            self.ranks.rank,
        )

    def _finish(self, log: RunLog) -> None:
        if self.progress.validated_step != self.progress.step:
            self._validate(log)
        self._save_state()
        self._save_checkpoint("last")
        draw_curves(self.run_dir)

    @property
    def seconds(self) -> float:
        """Time spent on this run in all, over all its resumptions."""
        return self._seconds_before + time.monotonic() - self._started

    def _spent(self) -> float:
        """How much of the budget is spent, in [0, 1]: steps or the leader's time, whichever is further."""
        budget = self.config.train
        by_steps = self.progress.step / budget.steps if budget.steps else 0.0
        by_time = self.seconds / (60 * budget.minutes) if budget.minutes else 0.0
        return self.ranks.agree(min(1.0, max(by_steps, by_time)), self.device)

    def _loop(self, log: RunLog | None, bar: Progress, task: Any) -> None:
        settings = self.config.train
        validated = saved = printed = time.monotonic()
        since, at = time.monotonic(), self.progress.step
        while (share := self._spent()) < 1:
            self.share = share
            found, norm, lr = self._step()
            step = self.progress.step
            if step % settings.log_every == 0:
                numbers = _numbers(found, norm, lr)
                self._check(numbers)
                numbers["windows_per_s"] = (step - at) * settings.batch / (time.monotonic() - since)
                since, at = time.monotonic(), step
                if log is None:
                    continue
                log.write(step, "train", numbers)
                note = f"step {step} action {numbers['action']:.3f} {numbers['windows_per_s']:.0f} windows/s"
                bar.update(task, completed=share, note=note)
                if not sys.stderr.isatty() and time.monotonic() - printed > 10:
                    printed = time.monotonic()
                    logger.info("%3.0f %% %s", 100 * share, note)
            if log is None:
                continue
            if time.monotonic() - validated > settings.validate_every_s:
                self._validate(log)
                validated = time.monotonic()
            if time.monotonic() - saved > settings.save_every_s:
                self._check({"total": float(found[0]), "gradient_norm": norm.item()})
                self._save_state()
                saved = time.monotonic()
        bar.update(task, completed=1.0)

    def _step(self) -> tuple[torch.Tensor, torch.Tensor, float]:
        """One optimiser step: [total, language, mae, action], the gradient's norm, the rate."""
        config, progress, ranks = self.config, self.progress, self.ranks
        accumulate = config.train.accumulate
        dtype = torch.bfloat16 if self.half else torch.float32
        stride, store = ranks.world * accumulate, self.corpus.store
        mine = [slice(ranks.rank * accumulate + k, None, stride) for k in range(accumulate)]
        parts = [draw_part(store, config, progress.step, rows, dtype) for rows in mine]
        counts = counted(parts, config.model.visual_tokens, ranks)
        lr = learning_rate(config, progress.step, self.share)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        said = torch.zeros(4, device=self.device)
        for k, part in enumerate(parts):
            last = ranks.world == 1 or k == accumulate - 1
            with nullcontext() if last else self.objective.no_sync():
                with self._autocast():
                    total, found = self.objective(part, counts)
                (total * ranks.world).backward()  # processes average their gradients
            said += found
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.train.clip)
        self.optimiser.step()
        progress.step += 1
        self._average()
        return ranks.add(said), norm, lr

    def _start_from(self, folder: Path) -> None:
        """Take the weights of a checkpoint; raises `TrainError` where its sizes are others.

        Meanings that it never learned come after its own ids and begin with this run's random weights.
        """
        found = load(folder, self.device)
        if found.header.model != self.config.model:
            raise TrainError(f"{folder} has other sizes than this run: take its [model] settings")
        for model in (self.model, self.shadow):
            weights, own = dict(found.model.state_dict()), model.state_dict()
            for name in ("token.weight", "output_bias"):
                if name in weights:
                    weights[name] = torch.cat([weights[name], own[name][len(weights[name]) :]])
            model.load_state_dict(weights)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the shipped weights a little towards the trained ones."""
        decay = min(self.config.train.ema, (1 + self.progress.step) / (10 + self.progress.step))
        slow = [p.detach() for p in self.shadow.parameters()]
        fast = [p.detach() for p in self.model.parameters()]
        torch._foreach_lerp_(slow, fast, 1 - decay)

    @torch.no_grad()
    def _validate(self, log: RunLog) -> None:
        """Score the averaged weights; keep them as best where their loss is the lowest so far.

        The loss of actions, or of words where there is nothing to press.
        """
        part = "validation" if self.has_validation else "train"
        store = self.corpus.store
        numbers = scores_by_game(self.shadow, store, self.config, part, self._autocast)
        self._check(numbers)
        self.progress.validated_step = self.progress.step
        if self.has_validation:
            log.write(self.progress.step, "validation", numbers)
        loss = "action" if store.labels.any() else "language"
        if numbers[loss] < self.progress.best.get(loss, math.inf):
            self.progress.best, self.progress.best_step = numbers, self.progress.step
            self._save_checkpoint("best")
        said = [f"{name} {value:.4f}" for name, value in numbers.items() if "/" not in name]
        logger.info("validation at step %d: %s", self.progress.step, ", ".join(said))

    def _check(self, numbers: dict[str, float]) -> None:
        if not all(map(math.isfinite, numbers.values())):
            kept = (
                f"{self.run_dir / 'best'} is intact"
                if self.progress.best
                else "nothing was saved yet"
            )
            raise TrainError(
                f"the loss is no longer finite at step {self.progress.step}; {kept}; try a lower train.lr"
            )

    def _header(self) -> Header:
        facts = {
            "steps": self.progress.step,
            "minutes": round(self.seconds / 60, 2),
            "windows": self.progress.step * self.config.train.batch,
            "episodes": self.corpus.episodes,
            "frames": len(self.corpus.store.labels),
            "validation": {k: round(v, 5) for k, v in self.progress.best.items()},
        }
        return make_header(self.config.model, self.corpus.specs, self.corpus.vocabulary, facts)

    def _save_checkpoint(self, name: str) -> None:
        save(self.run_dir / name, self.shadow.state_dict(), self._header())

    def _save_state(self) -> None:
        """Everything needed to go on, replaced in one step."""
        self.progress.seconds = self.seconds
        draft = self.run_dir / "state.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"shadow.{k}": v for k, v in self.shadow.state_dict().items()}
        moments = self.optimiser.state_dict()["state"]
        tensors |= {f"optimiser.{i}.{k}": v for i, s in moments.items() for k, v in s.items()}
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            draft / "state.safetensors",
        )
        words = {"progress": asdict(self.progress), "vocabulary": self._fingerprint()}
        (draft / "state.json").write_text(json.dumps(words), encoding="utf-8")
        replace_folder(draft, self.run_dir / "state")

    def _fingerprint(self) -> str:
        """Of what the ids mean: weights learned with other ids must not be gone on with."""
        vocabulary = self.corpus.vocabulary
        said = json.dumps([vocabulary.tokenizer_json, vocabulary.meanings])
        return hashlib.sha256(said.encode()).hexdigest()

    def restore(self) -> None:
        """Go on from `state/` where there is one (or from its predecessor, when killed while replacing it)."""
        folders = [self.run_dir / "state", self.run_dir / "state.old"]
        folder = next((f for f in folders if (f / "state.json").exists()), None)
        if folder is None:
            return
        other = TrainError(f"{folder} belongs to another model or data set; take a new run folder")
        try:
            words = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "state.safetensors")
            progress = _Progress(**words["progress"])
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise TrainError(f"{folder} is damaged: {error}; begin anew with --fresh") from None
        if words.get("vocabulary", self._fingerprint()) != self._fingerprint():
            raise other
        try:
            for name, model in (("model.", self.model), ("shadow.", self.shadow)):
                model.load_state_dict(
                    {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
                )
        except RuntimeError:
            raise other from None
        weights = [w for group in self.optimiser.param_groups for w in group["params"]]
        state = self.optimiser.state_dict()
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, moment = key.split(".")
                like = weights[
                    int(index)
                ]  # the fused kernel wants moments in the weight's memory layout
                kept = value if value.ndim == 0 else torch.empty_like(like).copy_(value)
                state["state"].setdefault(int(index), {})[moment] = kept
        self.optimiser.load_state_dict(state)
        self.progress = progress
        logger.info("going on from step %d", self.progress.step)


def learning_rate(config: RunConfig, step: int, fraction: float) -> float:
    """Linear warm-up by steps, then a cosine over the budget."""
    settings = config.train
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 + 0.5 * math.cos(math.pi * fraction)
    return settings.lr * warm * (settings.lr_end + (1 - settings.lr_end) * cosine)


def make_optimiser(model: IAFM, config: RunConfig) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases, norms, slots and embeddings."""
    kept: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        free = weight.ndim < 2 or "slot" in name or name in ("token.weight", "decoder.time_bias")
        (kept if free or "position" in name else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": config.train.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.train.lr, betas=config.train.betas, fused=True)


def _numbers(found: torch.Tensor, norm: torch.Tensor, lr: float) -> dict[str, float]:
    values = torch.cat([found, norm[None]]).tolist()
    names = ("total", "language", "mae", "action", "gradient_norm")
    return {**dict(zip(names, values, strict=True)), "lr": lr}


def progress_bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    later = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    return Progress(
        *columns, *later, console=Console(stderr=True), disable=not (shown and sys.stderr.isatty())
    )
