"""What is minimised: losses by name (``registry``), what a label counts in them, R-Drop, and their scale."""

from hf_ext.training.losses.registry import LOSSES

__all__ = ["LOSSES"]
