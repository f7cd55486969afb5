"""Run configuration: model, data, loss and training settings, read from one TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent_core.errors import ConfigError
from agent_core.presets import PRESETS
from games import did_you_mean
from games.validation_error import FirstError, first_error


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Channels = Annotated[int, Field(ge=1, le=8192)]
_Blocks = Annotated[int, Field(ge=0, le=96)]
_Stride = Literal[1, 2, 4, 8]
_Cells = Annotated[int, Field(ge=1, le=512)]
_Decay = Annotated[float, Field(ge=0, lt=1)]
_Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelConfig(_Section):
    """Sizes of the network. A preset fills what is not given; `tiny` is the defaults below."""

    preset: Literal["tiny", "small", "paper", "paper-realtime"] = "tiny"
    backbone: Literal["compact", "paper"] = "compact"
    """compact: a convolutional stem, and time as distance in frames. paper: CLIP's ViT and OPT's decoder, as published;
    both have `layers` layers of the same width."""
    width: int = Field(default=128, ge=1, le=8192)
    layers: int = Field(default=3, ge=1, le=96)
    heads: int = Field(default=4, ge=1, le=256)
    stem_widths: tuple[_Channels, _Channels, _Channels] = (32, 64, 64)
    """Channels after each convolution of the stem."""
    stem_strides: tuple[_Stride, _Stride, _Stride] = (4, 2, 1)
    """Stride of each of them, 8 in all. Large strides first take the least time."""
    stem_blocks: tuple[_Blocks, _Blocks, _Blocks] = (0, 0, 0)
    """Residual blocks after each."""
    frame_height: int = Field(default=72, ge=8, le=4096)
    frame_width: int = Field(default=128, ge=8, le=4096)
    pooled_grid: tuple[_Cells, _Cells] = (3, 4)
    """Rows and columns of visual tokens per frame. compact: they divide the stem's output (1/8 of the frame);
    paper: the patches are average-pooled to them where they are fewer."""
    patch: int = Field(default=16, ge=1, le=256)
    """Side of a square patch, in pixels (paper)."""
    temporal_attention: bool = False
    """Attention over the same patch of earlier frames, in each layer of the ViT (paper)."""
    activation: Literal["relu", "gelu"] = "relu"
    """Of the convolutional stem."""
    global_token: bool = False
    """A further visual token for the whole frame (paper: CLIP's class token; compact: also added to action tokens). In
    a compact model whose grid has one cell, that cell is the global token."""
    text_conditioning: bool = True
    """Whether the instruction shifts the channels of the convolutional stem before its last spatial mixing (compact).
    Without, words meet pixels only in the decoder. What the stem finds reaches actions sooner with a `global_token`."""
    embedding_scale: float = Field(default=1.0, gt=0)
    """Token embeddings enter this many times larger than the output matrix they are tied to."""
    context_frames: int = Field(default=4, ge=1, le=1024)
    """T: frames that an action attends to, its own included."""
    frame_stride: int = Field(default=4, ge=1)
    """The KV cache keeps every n-th frame, and always the newest."""
    max_text_tokens: int = Field(default=32, ge=4, le=4096)
    max_thought_tokens: int = Field(default=32, ge=4, le=4096)
    max_action_tokens: int = Field(default=12, ge=2, le=256)
    """Tokens of the longest action of the games played, or of `action_chunk` consecutive ones."""
    action_chunk: int = Field(default=1, ge=1, le=64)
    """Actions predicted after every frame: its own and those of the next steps, for play slower than the game."""
    text_vocab_size: int = Field(default=384, ge=272, le=1 << 20)
    padded_vocab_size: int = Field(default=0, ge=0, le=1 << 20)
    """Rows of the embedding table where the vocabulary needs fewer: ids for further games."""
    positions: int = Field(default=2048, ge=16, le=1 << 20)
    """Length of the table of absolute positions (paper)."""
    mae_blocks: int = Field(default=1, ge=0, le=96)
    mae_heads: int = Field(default=4, ge=1, le=256)
    """Of the paper's MAE decoder."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        name = settings.get("preset", "tiny")
        return {**(PRESETS.get(name, {}) if isinstance(name, str) else {}), **settings}

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        rows, columns = self.pooled_grid
        height, width = self.frame_height, self.frame_width
        if math.prod(self.stem_strides) != 8:
            raise ValueError(f"stem_strides {self.stem_strides} must come to 8 in all")
        side = self.patch if self.is_vit_opt else 8
        if height % side or width % side:
            raise ValueError(f"a {height}x{width} frame has no whole patches of {side} pixels")
        if self.text_conditioning:
            self._check_text_conditioning()
        if self.is_vit_opt:
            if rows > self.patch_grid[0] or columns > self.patch_grid[1]:
                raise ValueError(f"pooled_grid {rows}x{columns} is finer than the patches")
            needed = self.max_text_tokens + self.context_frames * (
                self.visual_tokens + self.max_action_tokens
            )
            if needed > self.positions or self.max_thought_tokens > self.max_action_tokens:
                raise ValueError(f"{needed} tokens do not fit into {self.positions} positions")
        elif height % (8 * rows) or width % (8 * columns):
            raise ValueError(
                f"a {height}x{width} frame has no grid of {rows}x{columns} whole tokens"
            )
        if self.width % self.heads or (self.is_vit_opt and self.width % self.mae_heads):
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self

    def _check_text_conditioning(self) -> None:
        if self.is_vit_opt:
            raise ValueError('text_conditioning is for backbone "compact"; take false')
        stage = self.conditioned_stage
        cells = (self.frame_height // 8, self.frame_width // 8)
        if stage == 2 and not self.stem_blocks[2] and cells == self.pooled_grid:
            raise ValueError(
                f"text_conditioning needs a spatial mixing behind stem_strides {self.stem_strides}: "
                "reach 8 before the last stage, or give it stem_blocks, or take a coarser pooled_grid"
            )

    @property
    def conditioned_stage(self) -> int:
        """The stage that text conditions: the first whose output has an eighth of the resolution."""
        return next(k for k in range(3) if math.prod(self.stem_strides[: k + 1]) == 8)

    @property
    def is_vit_opt(self) -> bool:
        return self.backbone == "paper"

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows and columns of the ViT's patches."""
        return self.frame_height // self.patch, self.frame_width // self.patch

    @property
    def visual_tokens(self) -> int:
        """One per cell of the grid, and the global token where it is a further one."""
        return math.prod(self.pooled_grid) + int(self.has_further_token)

    @property
    def has_further_token(self) -> bool:
        """Whether the global token is none of the grid's cells."""
        return self.global_token and (self.is_vit_opt or self.pooled_grid != (1, 1))


class DataConfig(_Section):
    """Which episodes, and how windows are cut from them."""

    episodes: tuple[str, ...] = ()
    """Folders of captures."""
    cache: str = ""
    """Folder of the decoded frames; inside the run's folder where empty."""
    cache_format: Literal["raw", "jpeg"] = "raw"
    """jpeg: about a ninth of the room (a sixth where pictures have sharp edges), for some processor time at every step
    and slightly other pixels: quality 95, colour not halved."""
    validation: float = Field(default=0.05, ge=0, lt=1)
    """Share of seeds held out."""
    strict: bool = False
    """Stop at the first episode that cannot be read, instead of training without it."""
    only_successful: bool = True
    window_frames: int = Field(default=6, ge=1)
    """Frames per training window; more than `context_frames`, so that deep layers see streamed context."""
    truncate_prob: float = Field(default=0.15, ge=0, le=1)
    """Share of windows cut to a random shorter length."""
    single_frame_prob: float = Field(default=0.0, ge=0, le=1)
    """Share of windows cut to their last frame. Frames of one window are much alike: several windows of one frame cost
    as much as a long one, and teach more of what words and pictures mean."""
    mask_actions_prob: float = Field(default=0.75, ge=0, le=1)
    """Share of windows in which earlier actions are masked: a cloned policy must not copy its last action."""
    mixture: Literal["tasks", "steps"] = "tasks"
    """tasks: windows are sampled evenly over all tasks of all games; steps: in proportion to what was recorded."""
    task_weights: dict[str, _Factor] = Field(default_factory=lambda: {"free": 0.15})
    """Factor on how often a task is sampled (`chop_tree`, or `pong/free` for one game's only); 1 where not named."""
    noop_sample_weight: float = Field(default=1.0, ge=0)
    """Sampling weight of steps without any action; 0 leaves them out, as filters of idle frames do."""
    change_sample_weight: float = Field(default=1.0, gt=0)
    """Sampling weight of steps whose action differs from the one before: rare decisions count for more."""
    color_jitter: float = Field(default=0.0, ge=0, lt=1)
    """Brightness and saturation vary by up to this share, once per window."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Hue turns by up to this share of a circle, once per window (paper: 0.05)."""
    thoughts: bool = True


class LossConfig(_Section):
    """Weights of the three losses and how their sum is normalised (paper, Eq. 5)."""

    normalization: Literal["paper", "mean"] = "paper"
    language: float = Field(default=1.0, ge=0)
    mae: float = Field(default=1.0, ge=0)
    action: float = Field(default=1.0, ge=0)
    mae_clip_fraction: float = Field(default=0.15, ge=0, le=1)
    """Share of windows with masked patches; the rest are not masked, as in play."""
    mae_mask_ratio: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.75), min_length=1
    )
    """Share of patches masked in such a window, in turn (paper: 75 % in pre-training, 50 % in fine-tuning)."""


class TrainConfig(_Section):
    """Optimizer and budget: training ends after `steps` or after `minutes`; where both are set, at the earlier."""

    steps: int = Field(default=0, ge=0)
    """Optimizer steps; 0: no limit."""
    minutes: float = Field(default=8.0, ge=0)
    """Time of training over all resumptions; 0: no limit. The default holds only where `steps` is not set."""
    batch: int = Field(default=48, ge=1)
    """Windows per step, over all processes."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches per step on each process, where the batch does not fit into memory at once."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them: slower, much less memory."""
    fsdp: bool = False
    """Weights, gradients and moments are sharded over the processes (FSDP2) instead of replicated (DDP)."""
    lr: float = Field(default=2e-3, gt=0)
    lr_end: float = Field(default=0.02, ge=0, le=1)
    """Final learning rate as a share of `lr`."""
    warmup_steps: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[_Decay, _Decay] = (0.9, 0.98)
    clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    """Of weights, windows and augmentation: any number of 63 bits."""
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the GPU or the processor computes with it, else float32."""
    init_from: str = ""
    """Folder of a checkpoint of the same sizes whose weights and vocabulary training begins with (fine-tuning)."""
    clip_weights: str = ""
    """Folder or hub:owner/name of CLIP weights that the ViT begins with (paper)."""
    opt_weights: str = ""
    """Folder or hub:owner/name of OPT weights and tokenizer that the decoder begins with (paper)."""
    compile: bool = False
    """Layers are compiled (torch.compile; needs a C++ compiler): the first steps wait for it.

    `iafm bench train --compile` measures whether it pays."""
    log_every: int = Field(default=20, ge=1)
    validate_every_s: float = Field(default=45.0, ge=0)
    validation_windows: int = Field(default=2048, ge=1)
    save_every_s: float = Field(default=60.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, settings: Any) -> Any:
        """A number of steps replaces the default time."""
        if isinstance(settings, dict) and settings.get("steps") and "minutes" not in settings:
            return {**settings, "minutes": 0.0}
        return settings


class RunConfig(_Section):
    """One run: model, data, loss, training."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _check_chunks(self) -> RunConfig:
        if self.model.action_chunk > 1 and self.data.mask_actions_prob < 1:
            raise ValueError(
                f"model.action_chunk={self.model.action_chunk} needs data.mask_actions_prob=1, "
                f"got {self.data.mask_actions_prob:g}: "
                "later frames would see their own actions in earlier chunks"
            )
        return self

    def toml(self) -> str:
        """The configuration as TOML text that `load_config` reads back."""
        lines = []
        for section, values in self.model_dump(mode="json").items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
            lines.append("")
        return "\n".join(lines)


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a TOML file (defaults where None) and apply overrides like `train.lr=1e-3`.

    Raises `ConfigError` with one line: the setting, what was wrong.
    """
    values = {} if path is None else read_toml(path)
    names = [_override(values, override) for override in overrides]
    _replace_budget(values, names)
    return run_config(values)


def read_toml(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, not validated yet; raises `ConfigError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; name a TOML file") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """Settings by section as a run's configuration; raises `ConfigError`."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe(first_error(error))) from None


def _replace_budget(values: dict[str, Any], names: Sequence[str]) -> None:
    """A budget named in an override alone replaces the file's, whether in steps or in minutes."""
    budgets = {"train.steps": "minutes", "train.minutes": "steps"}
    named = [name for name in budgets if name in names]
    if len(named) == 1 and values["train"].get(named[0].removeprefix("train.")):
        values["train"].pop(budgets[named[0]], None)


def _override(values: dict[str, Any], override: str) -> str:
    """Apply one `section.setting=value`; returns the setting's name."""
    name, value = parse_override(override)
    section, dot, key = name.partition(".")
    if not dot:
        raise _override_error(override)
    settings = values.setdefault(section, {})
    if not isinstance(settings, dict):
        raise ConfigError(f"{section} is a table of settings ([{section}]), not {settings!r}")
    settings[key] = value
    return f"{section}.{key}"


def parse_override(override: str) -> tuple[str, Any]:
    """The name and the value of `name=value`: a TOML value, else text. Raises `ConfigError`."""
    name, equals, text = override.partition("=")
    if not equals:
        raise _override_error(override)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    return name.strip(), value


def _override_error(override: str) -> ConfigError:
    return ConfigError(f"an override is section.setting=value, got {override!r}")


def _describe(error: FirstError) -> str:
    """The setting and what is wrong with it; for an unknown one the closest that there is."""
    name = ".".join(error.path)
    if error.kind != "extra_forbidden":
        return ": ".join(filter(None, (name, error.message)))
    sections = {key: field.annotation for key, field in RunConfig.model_fields.items()}
    section = sections.get(error.path[0]) if len(error.path) > 1 else None
    is_section = isinstance(section, type) and issubclass(section, BaseModel)
    names = section.model_fields if is_section else sections  # type: ignore[union-attr]
    return f"no setting called {name!r}{did_you_mean(error.path[-1], names)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    return repr(value)
