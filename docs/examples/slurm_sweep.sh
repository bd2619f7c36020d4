#!/usr/bin/env bash
# A sweep as an array of jobs, one member each, on one GPU each. First, once, on any machine:
#   gpo-vae sweep --config=configs/sweeps/rpe1.py --data.path=rpe1.h5ad --workdir=runs/rpe1_seeds \
#       --list > members.txt
# then: sbatch --array=1-$(wc -l < members.txt) docs/examples/slurm_sweep.sh
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue

gpo-vae sweep --workdir=runs/rpe1_seeds --only="$(sed -n "${SLURM_ARRAY_TASK_ID}p" members.txt)"
