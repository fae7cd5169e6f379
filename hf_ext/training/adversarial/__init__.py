"""Adversarial training: the contract (``attack``), the methods and their names (``methods``), their run (``step``)."""

from hf_ext.training.adversarial.attack import Attack, AttackSettings, EmbeddingAttack
from hf_ext.training.adversarial.methods import ADVERSARIES, build_attack

__all__ = ["ADVERSARIES", "Attack", "AttackSettings", "EmbeddingAttack", "build_attack"]
