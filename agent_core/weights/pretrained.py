"""Pretrained weights: CLIP's ViT and OPT's decoder, imported from their public safetensors files.

A source is a folder with `model.safetensors` (or a sharded one with its index), or a hub id such as
`hub:openai/clip-vit-base-patch16`, which is downloaded through `huggingface_hub` (`…@revision` where only one revision
has safetensors). Every tensor is accounted for: a missing one, an unknown one or one of another shape is an error that
names it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from agent_core.errors import HubError, PretrainedError
from agent_core.model.iafm import IAFM
from agent_core.model.vit import ViTower
from agent_core.tokens.vocabulary import SPECIAL
from agent_core.weights.hub import HUB, fetch

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_BYTES = 4 << 20
OPT_SPECIAL = 4
"""OPT's text tokens begin after `<s>`, `<pad>`, `</s>`, `<unk>`; those of `Vocabulary` after `SPECIAL`."""
SHIFT = len(SPECIAL) - OPT_SPECIAL
"""The id of an OPT text token in `Vocabulary` is OPT's id plus this."""

_LAYER = {
    "layer_norm1": "attention_norm",
    "self_attn_layer_norm": "attention_norm",
    "self_attn.out_proj": "attention_out",
    "layer_norm2": "mlp_norm",
    "final_layer_norm": "mlp_norm",
    "mlp.fc1": "mlp_in",
    "fc1": "mlp_in",
    "mlp.fc2": "mlp_out",
    "fc2": "mlp_out",
}
_CLIP = {
    "embeddings.class_embedding": "class_token",
    "embeddings.patch_embedding.weight": "patch_in.weight",
    "embeddings.position_embedding.weight": "position",
    "pre_layrnorm.weight": "pre_norm.weight",  # spelt so in the released files
    "pre_layrnorm.bias": "pre_norm.bias",
    "post_layernorm.weight": "post_norm.weight",
    "post_layernorm.bias": "post_norm.bias",
}
_OPT = {
    "embed_positions.weight": "position.weight",
    "final_layer_norm.weight": "norm.weight",
    "final_layer_norm.bias": "norm.bias",
}


def import_clip(model: IAFM, source: str) -> None:
    """Copy a CLIP vision model into the ViT; temporal attention, which CLIP lacks, stays as it is.

    CLIP's learned positions replace the fixed ones, interpolated if the model has another patch grid. Raises
    `PretrainedError`.
    """
    if not isinstance(model.vision, ViTower):
        raise PretrainedError("CLIP weights fit the paper's backbone alone; set model.preset=paper")
    tensors = _strip_prefix(_read(source), ("vision_model.", "clip.vision_model."))
    tensors = {k: v for k, v in tensors.items() if not k.endswith("position_ids")}
    tensors = {k: v for k, v in tensors.items() if k.split(".")[0] not in _OTHER_TOWER}
    renamed = _rename(tensors, "encoder.layers.", _CLIP, source)
    if "position" in renamed:
        renamed["position"] = _interpolate(renamed["position"], model.vision.grid)
    target = {k: v for k, v in model.vision.state_dict().items() if ".time." not in k}
    _copy(target, renamed, source)


def import_opt(model: IAFM, source: str) -> None:
    """Copy an OPT decoder into F, and token embeddings to the ids of the same text tokens. Raises `PretrainedError`."""
    if not model.config.is_vit_opt:
        raise PretrainedError("OPT weights fit the paper's backbone alone; set model.preset=paper")
    tensors = _strip_prefix(_read(source), ("model.decoder.", "decoder."))
    # head and embeddings are tied: some files hold only one of them
    head = tensors.pop("lm_head.weight", None)
    embeddings = tensors.pop("embed_tokens.weight", head)
    if embeddings is None:
        raise PretrainedError(f"{source} has no embed_tokens.weight")
    target = model.token.weight
    fits = (
        embeddings.ndim == 2
        and embeddings.shape[1] == target.shape[1]
        and len(embeddings) > OPT_SPECIAL
    )
    text = embeddings[OPT_SPECIAL : model.config.text_vocab_size - SHIFT] if fits else embeddings
    if not fits or len(SPECIAL) + len(text) > len(target):
        raise PretrainedError(
            f"{source}: embed_tokens.weight is {tuple(embeddings.shape)}, "
            f"expected up to {len(target)} rows of {target.shape[1]}"
        )
    _copy(model.decoder.state_dict(), _rename(tensors, "layers.", _OPT, source), source)
    with torch.no_grad():
        for special, opt_id in enumerate((1, 2, 2)):  # [PAD], [BOS], [EOS]: OPT begins with </s>
            target[special] = embeddings[opt_id]
        target[len(SPECIAL) : len(SPECIAL) + len(text)] = text


def opt_tokenizer(source: str) -> str:
    """OPT's byte-level BPE (`vocab.json`, `merges.txt`) with the ids of `Vocabulary`, as a tokenizer's JSON."""
    folder = _local_folder(source, ("vocab.json", "merges.txt"))
    try:
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [(a, b) for a, b in (m.split(" ") for m in lines if m and not m.startswith("#"))]
        tokens = {token: i + SHIFT for token, i in ids.items() if i >= OPT_SPECIAL}
        tokens |= {special: i for i, special in enumerate(SPECIAL)}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise PretrainedError(f"{folder} holds no byte-pair encoding: {error}") from None
    try:
        tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise PretrainedError(f"{folder} holds no byte-pair encoding: {error}") from None
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return str(tokenizer.to_str())


_OTHER_TOWER = {"text_model", "text_projection", "visual_projection", "logit_scale"}


def _rename(
    tensors: dict[str, Tensor], layers: str, names: dict[str, str], source: str
) -> dict[str, Tensor]:
    """Tensors under this model's parameter names; query, key and value projections become one matrix."""
    renamed: dict[str, Tensor] = {}
    projections: dict[str, dict[str, Tensor]] = {}  # by name of the joint matrix, then by q, k, v
    for name, tensor in tensors.items():
        if name in names:
            renamed[names[name]] = tensor
            continue
        match = re.fullmatch(re.escape(layers) + r"(\d+)\.(.+)\.(weight|bias)", name)
        if match and (module := _LAYER.get(match[2])):
            renamed[f"blocks.{match[1]}.{module}.{match[3]}"] = tensor
        elif match and (projection := re.fullmatch(r"self_attn\.([qkv])_proj", match[2])):
            joint = f"blocks.{match[1]}.qkv.{match[3]}"
            projections.setdefault(joint, {})[projection[1]] = tensor
        else:
            raise PretrainedError(f"{source} holds an unknown tensor {name!r}")
    for name, qkv in projections.items():
        renamed[name] = _join(name, qkv, source)
    return renamed


def _join(name: str, qkv: dict[str, Tensor], source: str) -> Tensor:
    """Query, key and value projections as one matrix (3 D, D) or bias (3 D,)."""
    if len(qkv) < 3:
        raise PretrainedError(f"{source} lacks a part of {name}: it has {sorted(qkv)}")
    shapes = [tuple(qkv[letter].shape) for letter in "qkv"]
    if len(set(shapes)) > 1 or not shapes[0]:
        raise PretrainedError(f"{source}: the parts of {name} are {shapes}")
    return torch.cat([qkv[letter] for letter in "qkv"])


def _copy(target: dict[str, Tensor], tensors: dict[str, Tensor], source: str) -> None:
    """Fill the target's tensors in place, after a check that names and shapes agree."""
    if missing := sorted(target.keys() - tensors.keys()):
        raise PretrainedError(f"{source} has nothing for {missing[0]} and {len(missing) - 1} more")
    if unknown := sorted(tensors.keys() - target.keys()):
        raise PretrainedError(f"{source} holds {unknown[0]}, which this model does not have")
    for name, tensor in tensors.items():
        if tensor.shape != target[name].shape:
            raise PretrainedError(
                f"{source}: {name} is {tuple(tensor.shape)}, expected {tuple(target[name].shape)}"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            target[name].copy_(tensor)


def _interpolate(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """CLIP's positions (1 + side * side, D), the class token's first, interpolated to another patch grid."""
    side = math.isqrt(max(len(positions) - 1, 0))
    if positions.ndim != 2 or side < 1 or 1 + side * side != len(positions) or grid == (side, side):
        return positions
    square = positions[1:].view(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, side, side)
    resized = F.interpolate(square, grid, mode="bicubic", antialias=True)
    return torch.cat([positions[:1], resized[0].flatten(1).t()])


def _strip_prefix(tensors: dict[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """Tensors under their names without the prefix that a larger model's file has."""

    def strip(name: str) -> str:
        return next((name.removeprefix(p) for p in prefixes if name.startswith(p)), name)

    return {strip(name): tensor for name, tensor in tensors.items()}


def _read(source: str) -> dict[str, Tensor]:
    """All tensors of a source as float32."""
    folder = _local_folder(source, (WEIGHTS, INDEX, "model-*.safetensors"))
    tensors: dict[str, Tensor] = {}
    for path in _files(folder):
        try:
            tensors |= {name: tensor.float() for name, tensor in load_file(path).items()}
        except (OSError, SafetensorError) as error:
            raise PretrainedError(f"{path} cannot be read: {error}") from None
    return tensors


def _files(folder: Path) -> Iterator[Path]:
    """The safetensors files of a folder: one, or the shards that its index names."""
    if (folder / WEIGHTS).exists():
        yield folder / WEIGHTS
        return
    index = folder / INDEX
    if not index.exists():
        raise PretrainedError(
            f"{folder} has no {WEIGHTS}; load it with transformers and save_pretrained() it to a folder, "
            "or name a revision that has one (hub:owner/name@revision)"
        )
    if index.stat().st_size > INDEX_BYTES:
        raise PretrainedError(f"{index} is larger than {INDEX_BYTES >> 20} MB")
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PretrainedError(f"{index} is not an index of shards: {error}") from None
    for name in sorted(names):
        if Path(name).name != name:
            raise PretrainedError(f"{index} names a file outside its folder: {name!r}")
        yield folder / name


def _local_folder(source: str, patterns: tuple[str, ...]) -> Path:
    try:
        folder = fetch(source, patterns)
    except HubError as error:
        raise PretrainedError(str(error)) from None
    if not folder.is_dir():
        raise PretrainedError(f"no folder {folder}; a hub id is written {HUB}owner/name")
    return folder
