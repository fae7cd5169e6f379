"""Which parameter learns at which rate: sections of a model, groups for the optimizer, their record for a resume."""

from hf_ext.training.optimization.groups import parameter_groups

__all__ = ["parameter_groups"]
