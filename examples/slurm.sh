#!/bin/bash
# Two nodes of four GPUs each, one task a node; torchrun starts a process for each GPU.  sbatch examples/slurm.sh
#SBATCH --job-name=hf_ext
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120

set -euo pipefail
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# Two minutes before the time is over SIGTERM asks for a checkpoint; torchrun leaves 30 seconds for the step and for writing it.
# The same command begins the run and, once the job is queued again, goes on from the last whole checkpoint. Output and caches
# lie on a disk that all nodes share.
srun torchrun \
    --nnodes "$SLURM_NNODES" --nproc_per_node 4 \
    --rdzv_backend c10d --rdzv_endpoint "$head_node:29500" --rdzv_id "$SLURM_JOB_ID" \
    run_classification.py examples/sst2.yaml \
    --output_dir outputs/slurm --resume_from_checkpoint last --resume_or_start
