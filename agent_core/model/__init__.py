"""The network: pictures and words in, next actions out."""

from agent_core.model.iafm import IAFM, Outputs

__all__ = ["IAFM", "Outputs"]
