"""Tests of the paper's backbone: parameter counts, and parity with CLIP and OPT of `transformers`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from agent_core.config import ModelConfig
from agent_core.errors import PretrainedError
from agent_core.model import IAFM
from agent_core.model.vit import ViTower
from agent_core.tokens.vocabulary import SPECIAL, Vocabulary
from agent_core.weights.pretrained import import_clip, import_opt, opt_tokenizer

TOLERANCE = 1e-4
SMALL = {"width": 48, "layers": 2, "heads": 4, "frame_height": 32, "frame_width": 32, "patch": 8,
         "pooled_grid": (4, 4), "context_frames": 2, "text_vocab_size": 272, "padded_vocab_size": 400,
         "mae_heads": 4, "mae_blocks": 1, "positions": 256, "max_text_tokens": 16}  # fmt: skip


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_277_77_million_parameters_part_by_part() -> None:
    with torch.device("meta"):
        model = IAFM(ModelConfig(preset="paper"), 0)
        without = IAFM(ModelConfig(preset="paper", temporal_attention=False), 0)
    assert count(model.vision) == 114_166_272
    assert count(model.mae_decoder) == 36_774_144
    assert count(model.visual_in) == 590_592
    assert count(model.decoder) + count(model.token) == 126_240_768
    assert round(count(model) / 1e6, 2) == 277.77
    assert round((count(model) - count(model.mae_decoder)) / 1e6, 1) == 241.0
    assert round((count(without) - count(without.mae_decoder)) / 1e6, 1) == 212.6


def small_model() -> IAFM:
    torch.manual_seed(1)
    return IAFM(ModelConfig.model_validate({"preset": "paper", **SMALL}), 300).eval()


@pytest.fixture
def clip(tmp_path: Path) -> tuple[nn.Module, Path]:
    config = transformers.CLIPVisionConfig(
        hidden_size=48, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, image_size=32,
        patch_size=8,
    )  # fmt: skip
    torch.manual_seed(2)
    reference = transformers.CLIPVisionModel(config).train(False)
    reference.save_pretrained(tmp_path / "clip")
    return reference, tmp_path / "clip"


@pytest.fixture
def opt(tmp_path: Path) -> tuple[nn.Module, Path]:
    config = transformers.OPTConfig(
        vocab_size=270, hidden_size=48, num_hidden_layers=2, ffn_dim=192, num_attention_heads=4,
        max_position_embeddings=256, word_embed_proj_dim=48, dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(3)
    reference = transformers.OPTForCausalLM(config).train(False)
    for weight in reference.parameters():
        nn.init.normal_(weight, std=0.2)
    reference.save_pretrained(tmp_path / "opt")
    return reference, tmp_path / "opt"


@torch.no_grad()
def test_the_vit_is_clips(clip: tuple[nn.Module, Path]) -> None:
    reference, folder = clip
    model = small_model()
    import_clip(model, str(folder))
    assert isinstance(model.vision, ViTower)
    pixels = torch.rand(3, 3, 32, 32) * 2 - 1
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    expected = reference(((pixels + 1) / 2 - mean) / std)
    patches = model.vision(pixels).patches
    normed = model.vision.post_norm(expected.last_hidden_state)
    torch.testing.assert_close(patches, normed, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(patches[:, 0], expected.pooler_output, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_the_decoder_is_opts_with_and_without_a_cache(opt: tuple[nn.Module, Path]) -> None:
    reference, folder = opt
    model = small_model()
    import_opt(model, str(folder))
    ids = torch.randint(4, 270, (2, 11))
    expected = reference(ids, output_hidden_states=True)
    position_ids = torch.arange(11).expand(2, -1)
    causal = torch.full((11, 11), float("-inf")).triu(1)
    hidden = model.decoder(
        model.embed_token(ids + 2), causal[None, None], position_ids, ids.shape[1]
    )
    torch.testing.assert_close(hidden, expected.hidden_states[-1], atol=TOLERANCE, rtol=0)
    logits = model.logits(hidden, 6, 272)
    torch.testing.assert_close(logits, expected.logits[..., 4:], atol=TOLERANCE, rtol=0)
    kv_cache = torch.zeros(2, 2, 2, 4, 16, 12)
    for t in range(11):
        bias_index = torch.zeros(2, 1, 16).masked_fill(torch.arange(16) > t, -1)
        x = model.embed_token(ids[:, t : t + 1] + 2)
        step = model.decoder.forward_cached(
            x, bias_index, kv_cache, slice(None), position_ids[:, t : t + 1]
        )
        torch.testing.assert_close(step[:, 0], hidden[:, t], atol=TOLERANCE, rtol=0)


def test_sharded_files_are_read_whole(opt: tuple[nn.Module, Path], tmp_path: Path) -> None:
    tensors = load_file(opt[1] / "model.safetensors")
    names = sorted(tensors)
    shards = tmp_path / "shards"
    shards.mkdir()
    weight_map: dict[str, str] = {}
    for k in range(2):
        shard = {name: tensors[name] for name in names[k::2]}
        weight_map |= dict.fromkeys(shard, f"model-{k + 1}.safetensors")
        save_file(shard, shards / f"model-{k + 1}.safetensors")
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    one, two = small_model(), small_model()
    import_opt(one, str(opt[1]))
    import_opt(two, str(shards))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_file_may_hold_the_tied_words_as_its_head_alone(
    opt: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    tensors = load_file(opt[1] / "model.safetensors")
    name = next(name for name in tensors if "embed_tokens" in name)
    tensors["lm_head.weight"] = tensors.pop(name)
    (tmp_path / "head").mkdir()
    save_file(tensors, tmp_path / "head" / "model.safetensors")
    one, two = small_model(), small_model()
    import_opt(one, str(opt[1]))
    import_opt(two, str(tmp_path / "head"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_clips_positions_are_stretched_to_fewer_patches(
    clip: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    narrow = {"preset": "paper", **SMALL, "frame_width": 16, "pooled_grid": (2, 2)}
    model = IAFM(ModelConfig.model_validate(narrow), 300)
    assert isinstance(model.vision, ViTower)
    tensors = load_file(clip[1] / "model.safetensors")
    name = next(name for name in tensors if "position_embedding" in name)
    of_class, of_rows = torch.randn(1, 48), torch.randn(4, 48)  # the same along each row
    tensors[name] = torch.cat([of_class, of_rows.repeat_interleave(4, 0)])
    (tmp_path / "wide").mkdir()
    save_file(tensors, tmp_path / "wide" / "model.safetensors")
    import_clip(model, str(tmp_path / "wide"))
    expected = torch.cat([of_class, of_rows.repeat_interleave(2, 0)])
    torch.testing.assert_close(model.vision.position.data, expected)


def test_foreign_damaged_and_incomplete_weights_are_named(
    clip: tuple[nn.Module, Path], opt: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    model = small_model()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    cases = [
        (import_clip, "/nowhere", "no folder /nowhere"),
        (import_clip, str(tmp_path), r"has no model\.safetensors"),
        (import_clip, str(opt[1]), "unknown tensor"),
        (import_opt, str(clip[1]), r"no embed_tokens\.weight"),
    ]
    tensors = load_file(clip[1] / "model.safetensors")
    missing = next(name for name in tensors if "k_proj.weight" in name)
    wide = next(name for name in tensors if "post_layernorm.weight" in name)
    for name, changed, message in (
        ("less", {k: v for k, v in tensors.items() if k != missing}, "lacks a part"),
        ("wide", {**tensors, wide: torch.zeros(7)}, r"is \(7,\), expected \(48,\)"),
        ("more", {**tensors, "vision_model.surprise": torch.zeros(1)}, "'surprise'"),
    ):
        (tmp_path / name).mkdir()
        save_file(changed, tmp_path / name / "model.safetensors")
        cases.append((import_clip, str(tmp_path / name), message))
    opt_tensors = load_file(opt[1] / "model.safetensors")
    embedded = next(name for name in opt_tensors if "embed_tokens" in name)
    projections = [
        name for name in opt_tensors if re.search(r"layers.0.self_attn.[qkv]_proj.bias", name)
    ]
    number = torch.tensor(1.0)
    for name, changed in (
        ("line", {embedded: torch.zeros(48)}),
        ("number", {embedded: number}),
        ("short", {embedded: torch.zeros(2, 48)}),
        ("one part", {projections[0]: number}),
        ("all parts", dict.fromkeys(projections, number)),
    ):
        (tmp_path / name).mkdir()
        cloned = {key: tensor.clone() for key, tensor in changed.items()}
        save_file({**opt_tensors, **cloned}, tmp_path / name / "model.safetensors")
        message = r"embed_tokens\.weight is \(" if embedded in changed else "the parts of blocks"
        cases.append((import_opt, str(tmp_path / name), message))
    (tmp_path / "torn").mkdir()
    raw = (clip[1] / "model.safetensors").read_bytes()
    (tmp_path / "torn" / "model.safetensors").write_bytes(raw[: len(raw) // 2])
    cases.append((import_clip, str(tmp_path / "torn"), "cannot be read"))
    for import_weights, source, message in cases:
        with pytest.raises(PretrainedError, match=message):
            import_weights(model, source)
    assert all(torch.equal(before[name], w) for name, w in model.state_dict().items())
    compact = IAFM(ModelConfig(width=16, layers=1), 300)
    with pytest.raises(PretrainedError, match="paper's backbone alone"):
        import_clip(compact, str(clip[1]))


def test_opts_pieces_keep_their_meaning_under_our_ids(tmp_path: Path) -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "ab", "Ġ", "Ġa"]
    (tmp_path / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\nĠ a\n", encoding="utf-8")
    vocabulary = Vocabulary(opt_tokenizer(str(tmp_path)), ("move.forward",))
    assert vocabulary.encode_text("ab a") == [8, 10]
    assert vocabulary.decode_text([8, 10]) == "ab a"
    assert vocabulary.text_size == len(pieces) - 4 + len(SPECIAL)
    (tmp_path / "merges.txt").write_text("a c\n")
    with pytest.raises(PretrainedError, match="no byte-pair encoding"):
        opt_tokenizer(str(tmp_path))
