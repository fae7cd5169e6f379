"""Adversarial methods: FGM, PGD and FreeLB on the embeddings, and the choice among them by name.

All of them train on ``L(theta, x) + weight * L(theta, x + delta)`` (FreeLB: on the mean over its steps) with another
``delta``. The direction is each row's own, of this micro-batch alone: neither gradient accumulation, nor the other
processes, nor the size of the batch change what ``epsilon`` means.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerState, TrainingArguments

from hf_ext.training.adversarial.attack import Attack, AttackSettings, EmbeddingAttack
from hf_ext.training.adversarial.perturbation import project, random_perturbation, steepest
from hf_ext.training.adversarial.virtual import VirtualAdversarial
from hf_ext.training.adversarial.weights import AdversarialWeightPerturbation, WeightFastGradientMethod


class FastGradientMethod(EmbeddingAttack):
    """One step to the sphere: ``delta = epsilon * g / ||g||`` (Miyato et al., 2017, arXiv:1605.07725, eq. 5).

    Differs from the paper in that embeddings are not normalised first; ``epsilon`` is in units of the embeddings.

    When: the first one to try. It costs one more pass.
    """

    sharded = True

    @property
    def weights(self) -> tuple[float, ...]:
        """One clean pass, one perturbed pass."""
        return (1.0, self.settings.weight)

    def move(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Go straight to the sphere of radius epsilon."""
        return self.settings.epsilon * steepest(gradient, self.settings.norm)


class ProjectedGradientDescent(EmbeddingAttack):
    """K steps inside the ball: ``delta <- project(delta + alpha * g / ||g||)`` (Madry et al., 2018, arXiv:1706.06083).

    The clean pass counts and also gives the first direction, unless there is a random start; the passes that only
    move ``delta`` compute no parameter gradients; the last one counts.

    When: a stronger attack is worth ``steps`` more passes.
    """

    default_steps = 3
    has_steps = True
    has_random_start = True

    @property
    def weights(self) -> tuple[float, ...]:
        """Clean, the ascent passes that are thrown away, perturbed."""
        ascents = self.settings.steps - (0 if self.settings.random_start else 1)
        return (1.0, *[0.0] * ascents, self.settings.weight)

    def move(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Make one step and come back into the ball."""
        settings = self.settings
        if self.number == 0 and settings.random_start:
            return random_perturbation(delta, self._mask(), settings.random_start, settings.norm)
        return project(delta + settings.alpha * steepest(gradient, settings.norm), settings.epsilon, settings.norm)


class FreeLB(EmbeddingAttack):
    """K steps whose parameter gradients all count 1/K (Zhu et al., 2020, arXiv:1909.11764, algorithm 1).

    Pass t sees ``delta_t``, and ``delta_{t+1} = project(delta_t + alpha * g / ||g||)``. The random start has the
    norm that is asked for (the paper draws uniformly in a cube); without one the first pass is the clean one.

    When: as good as PGD at fewer passes; two steps cost as much as FGM.
    """

    default_steps = 3
    has_steps = True
    has_random_start = True
    partial = False
    sharded = True

    @property
    def weights(self) -> tuple[float, ...]:
        """The same for each step."""
        return (1.0 / self.settings.steps,) * self.settings.steps

    def start(self, zeros: Tensor) -> Tensor:
        """Start somewhere on the sphere of the random start."""
        settings = self.settings
        if not settings.random_start:
            return zeros
        return random_perturbation(zeros, self._mask(), settings.random_start, settings.norm)

    def move(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Make one step and come back into the ball."""
        settings = self.settings
        return project(delta + settings.alpha * steepest(gradient, settings.norm), settings.epsilon, settings.norm)


ADVERSARIES: dict[str, type[Attack]] = {
    "fgm": FastGradientMethod,
    "pgd": ProjectedGradientDescent,
    "freelb": FreeLB,
    "vat": VirtualAdversarial,
    "awp": AdversarialWeightPerturbation,
    "fgm_weight": WeightFastGradientMethod,
}


def build_attack(args: TrainingArguments, *, tokenizer: Any = None) -> Attack | None:
    """Build the attack that the arguments name; None for none, and for plain ``TrainingArguments``.

    Args:
        args: With the fields of ``AdversarialArguments``.
        tokenizer: Knows the special tokens, if they are to be left alone.

    Raises:
        ValueError: If settings do not fit the method.
    """
    name = getattr(args, "adversarial", "none")
    if name == "none":
        return None
    method, given = ADVERSARIES[name], vars(args)
    _check_settings(name, method, given)
    epsilon = given["adversarial_epsilon"] or method.default_epsilon
    steps = given["adversarial_steps"] or method.default_steps
    if given["adversarial_random_start"] > epsilon:
        raise ValueError(
            f"--adversarial_random_start {given['adversarial_random_start']} starts outside of the ball of "
            f"--adversarial_epsilon {epsilon}; give at most that."
        )
    untouched: tuple[int, ...] = ()
    if given["adversarial_skip_special_tokens"]:
        if not hasattr(tokenizer, "all_special_ids"):
            raise ValueError("--adversarial_skip_special_tokens needs a tokenizer (processing_class) that names them.")
        untouched = tuple(tokenizer.all_special_ids)
    return method(
        AttackSettings(
            epsilon=epsilon,
            alpha=given["adversarial_alpha"] or method.default_alpha(epsilon, steps),
            steps=steps,
            norm=given["adversarial_norm"],
            weight=given["adversarial_weight"],
            random_start=given["adversarial_random_start"],
            untouched_ids=untouched,
        )
    )


def is_due(args: TrainingArguments, state: TrainerState) -> bool:
    """Tell whether the optimizer step now being computed is attacked; the same for all its micro-batches."""
    start, every = getattr(args, "adversarial_start", 0.0), getattr(args, "adversarial_every", 1)
    begun = (state.epoch or 0.0) >= start if start >= 1 else state.global_step >= start * state.max_steps
    return begun and state.global_step % every == 0


def check_surroundings(attack: Attack, trainer: Trainer) -> None:
    """Refuse where several passes a step are known, or not known not, to give a wrong gradient.

    Raises:
        ValueError: For DataParallel, DeepSpeed, FSDP where the attack cannot work, context, sequence or tensor
            parallelism, and optimizers that step during the backward pass.
    """
    args = trainer.args
    name = f"--adversarial {getattr(args, 'adversarial', type(attack).__name__)}"
    if args.n_gpu > 1:
        raise ValueError(f"{name} needs one process for each GPU: start with `torchrun --nproc_per_node={args.n_gpu}`.")
    if trainer.is_deepspeed_enabled:
        raise ValueError(f"{name} does not work with DeepSpeed, which steps inside of backward; use DDP or FSDP2.")
    if trainer.is_fsdp_enabled and not (attack.sharded and trainer.accelerator.is_fsdp2):
        raise ValueError(f"{name} does not work with this FSDP; with FSDP version 2 fgm and freelb do, with DDP all.")
    if max(trainer.get_tp_size(), trainer.get_cp_size(), trainer.get_sp_size()) > 1:
        raise ValueError(f"{name} does not work with tensor, context or sequence parallelism; use DDP or FSDP2.")
    if "lomo" in str(args.optim) or "layerwise" in str(args.optim):
        raise ValueError(f"{name} makes several backward passes a step, and {args.optim} steps in each of them.")


def _check_settings(name: str, method: type[Attack], given: dict[str, Any]) -> None:
    norm = given["adversarial_norm"]
    if norm not in method.norms:
        raise ValueError(f"--adversarial {name} knows the norm {' or '.join(method.norms)}, not {norm}.")
    if norm == "linf" and given["adversarial_epsilon"] is None:
        raise ValueError("--adversarial_norm linf needs --adversarial_epsilon, the largest change of one number.")
    if given["adversarial_steps"] not in (None, 1) and not method.has_steps:
        raise ValueError(f"--adversarial {name} makes one step; leave out --adversarial_steps, or use pgd or freelb.")
    if given["adversarial_alpha"] is not None and not method.has_steps:
        raise ValueError(f"--adversarial {name} goes to epsilon in one step; leave out --adversarial_alpha.")
    if given["adversarial_random_start"] and not method.has_random_start:
        raise ValueError(f"--adversarial {name} has no random start to size; leave out --adversarial_random_start.")
    if given["adversarial_skip_special_tokens"] and not method.touches_embeddings:
        raise ValueError(f"--adversarial {name} perturbs weights; leave out --adversarial_skip_special_tokens.")
    if given["adversarial_fraction"] < 1 and not method.partial:
        raise ValueError(f"--adversarial {name} attacks the whole batch; leave out --adversarial_fraction.")
    if name == "freelb" and given["adversarial_weight"] != 1:
        raise ValueError("--adversarial freelb takes the mean of its steps; leave out --adversarial_weight.")
    if given["rdrop_alpha"] and (given["adversarial_fraction"] < 1 or method.has_own_loss):
        raise ValueError(f"--rdrop_alpha goes with --adversarial {name} on whole batches with labels only.")
