"""Train on four devices that the processor is made to look like; print how far from one device.

Started by test_layout.py with XLA_FLAGS=--xla_force_host_platform_device_count=4.
"""

import dataclasses
import json

import jax

from gpo_vae_jax.config import DevicesConfig
from gpo_vae_jax.train import program
from gpo_vae_jax.train.training import train
from tests.tiny import tiny_dataset
from tests.train.conftest import TINY
from tests.train.test_training import apart

SINGLE = ({"cells": 2, "genes": 2},)
SEVERAL = ({"members": 2, "cells": 0},)  # three members and an empty lane, on two devices each
SEEDS = (0, 1, 7)


def settings(**devices):
    """Return the tiny settings for 17 epochs of 3 steps."""
    train = dataclasses.replace(TINY.train, max_epochs=17, patience=100)
    return dataclasses.replace(TINY, train=train, devices=DevicesConfig(**devices))


def counted_flops(programs):
    """Note the work of each device in an epoch, as the compiler counts it, of every program."""
    original = program._compiled

    def noting(*arguments):
        found = original(*arguments)
        cost = found.cost_analysis()
        programs.append((cost[0] if isinstance(cost, list) else cost)["flops"])
        return found

    program._compiled = noting


if __name__ == "__main__":
    data, flops = tiny_dataset(), []
    counted_flops(flops)
    one = {member.seed: member for member in train(data, settings(), seeds=SEEDS).members}
    found, shares = {}, {}
    for devices in SINGLE:
        del flops[1:]
        member = train(data, settings(**devices), seeds=0).best
        found[f"single {devices}"] = apart(member.params, one[0].params)
        shares[f"{devices}"] = flops[-1] / flops[0]
    for devices in SEVERAL:
        several = train(data, settings(**devices), seeds=SEEDS, together=True)
        distances = [apart(member.params, one[member.seed].params) for member in several.members]
        found[f"several {devices}"] = max(distances)
        shares[f"{devices}"] = flops[-1] / flops[0]
    about = {"devices": len(jax.devices()), "distances": found, "shares": shares}
    print(json.dumps(about))
