"""Model presets: sizes by name, as settings of `agent_core.config.ModelConfig`; `tiny` is its defaults."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "small": {
        "width": 384,
        "layers": 8,
        "heads": 12,
        "pooled_grid": (3, 8),
        "context_frames": 8,
        "stem_widths": (32, 64, 160),
        "stem_strides": (2, 2, 2),
        "stem_blocks": (1, 2, 3),
        "text_vocab_size": 2048,
    },
    "paper": {
        "backbone": "paper",
        "width": 768,
        "layers": 12,
        "heads": 12,
        "frame_height": 224,
        "frame_width": 224,
        "pooled_grid": (14, 14),
        "global_token": True,
        "temporal_attention": True,
        "text_conditioning": False,
        "context_frames": 9,
        "max_text_tokens": 32,
        "max_thought_tokens": 27,
        "max_action_tokens": 27,
        "text_vocab_size": 50_267,
        "padded_vocab_size": 51_576,
        "mae_blocks": 5,
        "mae_heads": 16,
    },
}
PRESETS["paper-realtime"] = {
    **PRESETS["paper"],
    "frame_height": 112,
    "frame_width": 112,
    "pooled_grid": (4, 4),
    "global_token": False,
    "temporal_attention": False,
}
