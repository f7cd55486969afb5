"""Where may the paper's backbone begin? CLIP's and OPT's public weights, read from their safetensors files.

A source is a folder with `model.safetensors` (or a sharded one with its index), or a hub id such as
`hub:openai/clip-vit-base-patch16`, which downloads through `huggingface_hub` (`…@revision` where only one of them has
safetensors). Every tensor is accounted for: a missing
one, an unknown one or one of another shape is an error that names it.
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

from agent_core.model.iafm import IAFM
from agent_core.model.vit import ViTower
from agent_core.tokens.vocabulary import SPECIAL
from agent_core.weights.hub import HUB, HubError, fetched

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_BYTES = 4 << 20
OPT_SPECIAL = 4
"""OPT's pieces begin after `<s>`, `<pad>`, `</s>`, `<unk>`; ours after our special tokens."""
SHIFT = len(SPECIAL) - OPT_SPECIAL
"""Our id of an OPT text piece is OPT's plus this."""

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


class PretrainedError(ValueError):
    """Foreign weights cannot be taken over; the message names the file or the tensor."""


def import_clip(model: IAFM, source: str) -> None:
    """Copy a CLIP vision model into the ViT; attention over time, which CLIP lacks, stays as it is.

    Raises `PretrainedError`. CLIP's learned positions replace the fixed ones, stretched where the model has another
    number of patches.
    """
    if not isinstance(model.vision, ViTower):
        raise PretrainedError("CLIP weights fit the paper's backbone alone; set model.preset=paper")
    found = _strip(_read(source), ("vision_model.", "clip.vision_model."))
    found = {k: v for k, v in found.items() if not k.endswith("position_ids")}
    found = {k: v for k, v in found.items() if k.split(".")[0] not in _OTHER_TOWER}
    named = _rename(found, "encoder.layers.", _CLIP, source)
    own = {k: v for k, v in model.vision.state_dict().items() if ".time." not in k}
    if "position" in named:
        named["position"] = _stretched(named["position"], model.vision.grid)
    _copy(own, named, source)


def import_opt(model: IAFM, source: str) -> None:
    """Copy an OPT decoder into F, its word embeddings to our ids of the same pieces. Raises `PretrainedError`."""
    if not model.config.is_vit_opt:
        raise PretrainedError("OPT weights fit the paper's backbone alone; set model.preset=paper")
    found = _strip(_read(source), ("model.decoder.", "decoder."))
    head = found.pop(
        "lm_head.weight", None
    )  # tied to the embeddings: some files have but one of them
    words = found.pop("embed_tokens.weight", head)
    if words is None:
        raise PretrainedError(f"{source} has no embed_tokens.weight")
    rows = model.token.weight
    fits = words.ndim == 2 and words.shape[1] == rows.shape[1] and len(words) > OPT_SPECIAL
    pieces = words[OPT_SPECIAL : model.config.text_vocab_size - SHIFT] if fits else words
    if not fits or len(SPECIAL) + len(pieces) > len(rows):
        raise PretrainedError(
            f"{source}: embed_tokens.weight is {tuple(words.shape)}, "
            f"expected up to {len(rows)} rows of {rows.shape[1]}"
        )
    _copy(model.decoder.state_dict(), _rename(found, "layers.", _OPT, source), source)
    with torch.no_grad():
        for ours, theirs in enumerate((1, 2, 2)):  # padding, beginning, end: OPT begins with </s>
            rows[ours] = words[theirs]
        rows[len(SPECIAL) : len(SPECIAL) + len(pieces)] = pieces


def opt_tokenizer(source: str) -> str:
    """OPT's byte-level BPE (`vocab.json`, `merges.txt`) with our ids, as a tokenizer's JSON."""
    folder = _local(source, ("vocab.json", "merges.txt"))
    try:
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [(a, b) for a, b in (m.split(" ") for m in lines if m and not m.startswith("#"))]
        pieces = {piece: i + SHIFT for piece, i in ids.items() if i >= OPT_SPECIAL}
        pieces |= {special: i for i, special in enumerate(SPECIAL)}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise PretrainedError(f"{folder} holds no byte-pair encoding: {error}") from None
    try:
        tokenizer = Tokenizer(models.BPE(vocab=pieces, merges=merges))
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise PretrainedError(f"{folder} holds no byte-pair encoding: {error}") from None
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return str(tokenizer.to_str())


_OTHER_TOWER = {"text_model", "text_projection", "visual_projection", "logit_scale"}


def _rename(
    found: dict[str, Tensor], layers: str, names: dict[str, str], source: str
) -> dict[str, Tensor]:
    """Their names to ours; queries, keys and values become one matrix."""
    out: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in found.items():
        if name in names:
            out[names[name]] = tensor
            continue
        match = re.fullmatch(re.escape(layers) + r"(\d+)\.(.+)\.(weight|bias)", name)
        where = match and (
            _LAYER.get(match[2]) or re.fullmatch(r"self_attn\.([qkv])_proj", match[2])
        )
        if not match or not where:
            raise PretrainedError(f"{source} holds an unknown tensor {name!r}")
        if isinstance(where, str):
            out[f"blocks.{match[1]}.{where}.{match[3]}"] = tensor
        else:
            parts.setdefault(f"blocks.{match[1]}.qkv.{match[3]}", {})[where[1]] = tensor
    for name, three in parts.items():
        if len(three) < 3:
            raise PretrainedError(f"{source} lacks a part of {name}: it has {sorted(three)}")
        shapes = [tuple(three[p].shape) for p in "qkv"]
        if len(set(shapes)) > 1 or not shapes[0]:
            raise PretrainedError(f"{source}: the parts of {name} are {shapes}")
        out[name] = torch.cat([three[p] for p in "qkv"])
    return out


def _copy(own: dict[str, Tensor], found: dict[str, Tensor], source: str) -> None:
    """Fill our tensors in place; all of them, and with nothing left over."""
    if missing := sorted(own.keys() - found.keys()):
        raise PretrainedError(f"{source} has nothing for {missing[0]} and {len(missing) - 1} more")
    if foreign := sorted(found.keys() - own.keys()):
        raise PretrainedError(f"{source} holds {foreign[0]}, which this model has not")
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            raise PretrainedError(
                f"{source}: {name} is {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
    with torch.no_grad():
        for name, tensor in found.items():
            own[name].copy_(tensor)


def _stretched(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """CLIP's positions (1 + side * side, D), the class token's first, for another grid of patches."""
    side = math.isqrt(max(len(positions) - 1, 0))
    if positions.ndim != 2 or side < 1 or 1 + side * side != len(positions) or grid == (side, side):
        return positions
    square = positions[1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    other = F.interpolate(square, grid, mode="bicubic", antialias=True)
    return torch.cat([positions[:1], other[0].flatten(1).t()])


def _strip(found: dict[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """Names without the prefix that a larger model's file puts before them."""

    def short(name: str) -> str:
        return next((name.removeprefix(p) for p in prefixes if name.startswith(p)), name)

    return {short(name): tensor for name, tensor in found.items()}


def _read(source: str) -> dict[str, Tensor]:
    """All tensors of a source as float32."""
    folder = _local(source, (WEIGHTS, INDEX, "model-*.safetensors"))
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        try:
            found |= {name: tensor.float() for name, tensor in load_file(path).items()}
        except (OSError, SafetensorError) as error:
            raise PretrainedError(f"{path} cannot be read: {error}") from None
    return found


def _files(folder: Path) -> Iterator[Path]:
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
        raise PretrainedError(f"{index} is no index of shards: {error}") from None
    for name in sorted(names):
        if Path(name).name != name:
            raise PretrainedError(f"{index} names a file outside its folder: {name!r}")
        yield folder / name


def _local(source: str, patterns: tuple[str, ...]) -> Path:
    try:
        folder = fetched(source, patterns)
    except HubError as error:
        raise PretrainedError(str(error)) from None
    if not folder.is_dir():
        raise PretrainedError(f"no folder {folder}; a hub id is written {HUB}owner/name")
    return folder
