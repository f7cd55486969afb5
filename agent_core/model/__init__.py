"""The Interactive Agent Foundation Model: vision tower, decoder, masked auto-encoder."""

from agent_core.model.iafm import IAFM, ModelOutput

__all__ = ["IAFM", "ModelOutput"]
