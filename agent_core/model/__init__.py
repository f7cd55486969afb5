"""The network: pictures and words in, next actions out."""

from agent_core.model.iafm import IAFM, ModelOutput

__all__ = ["IAFM", "ModelOutput"]
