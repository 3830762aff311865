"""Tiny open_clip models of random weights, as folders that open_clip describes itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
HALF, CLIP_MEAN = [0.5, 0.5, 0.5], [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

CONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clip": (
        {
            "embed_dim": 32,
            "vision_cfg": {
                "image_size": 64, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16
            },
            "text_cfg": TEXT,
        },
        {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    ),
    "siglip": (
        {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 160, "timm_model_name": "test_vit", "timm_pool": "map",
                "timm_proj": "none",
            },
            "text_cfg": {**TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
        },
        {"mean": HALF, "std": HALF, "interpolation": "bicubic", "resize_mode": "squash"},
    ),
    "coca": (
        {
            "embed_dim": 32,
            "vision_cfg": {
                "image_size": 64, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16,
                "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True,
            },
            "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {
                "context_length": 76, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1
            },
            "custom_text": True,
        },
        {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    ),
}  # fmt: skip
"""Model and preprocessing of each kind."""


def random_open_clip(kind: str = "clip", seed: int = 0) -> Any:
    """Return a model in evaluation mode."""
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    config = {key: value for key, value in CONFIGS[kind][0].items() if key != "custom_text"}
    kinds = {"clip": CLIP, "siglip": CustomTextCLIP, "coca": CoCa}
    torch.manual_seed(seed)
    return kinds[kind](**config).eval()


def save_open_clip(folder: Path, kind: str = "clip", seed: int = 0) -> str:
    """Write a model to a folder, and return its name as a backbone."""
    from safetensors.torch import save_file

    model, preprocess = CONFIGS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {
        name: each.clone() for name, each in random_open_clip(kind, seed).state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors")
    return f"openclip:local-dir:{folder}"
