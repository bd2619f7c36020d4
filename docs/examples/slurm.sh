#!/usr/bin/env bash
# Train on two nodes with four GPUs each: sbatch docs/examples/slurm.sh
# Pre-empted or out of time, the job is queued again and goes on where it stopped.
#SBATCH --job-name=gpo-vae
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120

# SIGTERM comes two minutes before the end: the epoch in progress is finished and saved.
srun gpo-vae train --distributed --resume \
    --preset=rpe1 --data.path="$SLURM_SUBMIT_DIR/rpe1.h5ad" \
    --workdir="$SLURM_SUBMIT_DIR/runs/rpe1"
status=$?
if [ "$status" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
