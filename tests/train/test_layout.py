"""Several devices: the result is that of one, and each does its share. In a process of its own."""

import json
import os

import jax
import pytest

from gpo_vae_jax.config import DevicesConfig
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.train.layout import Layout
from tests.running import start


@pytest.fixture(scope="module")
def found():
    """Return what the script found on four devices of the processor."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    done = start("-m", "tests.train.on_four_devices", XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert done.status == 0, done.err
    return json.loads(done.out.splitlines()[-1])


def test_the_result_is_that_of_one_device(found):
    assert found["devices"] == 4
    assert len(found["distances"]) == 2
    assert max(found["distances"].values()) < 1e-5, found["distances"]


def test_each_device_does_its_share(found):
    """Whatever is not divided, such as the network of these few genes, every device does."""
    single, several = found["shares"].values()
    assert single < 0.75, "of one run, on four devices"
    assert several < 0.55 * 3, "of three runs, two lanes on two devices each"


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ({"cells": 3}, r"config.devices.cells=3 does not divide the 32 cells .* such as 2"),
        ({"genes": 3}, r"config.devices.genes=3 does not divide the 10 genes; .* such as 2"),
        ({"cells": 8}, r"asks for 1 x 8 x 1 = 8 devices .*; there are 4"),
    ],
)
def test_what_cannot_be_divided_is_refused(devices, says):
    config = DevicesConfig(**{"members": 1, **devices})
    with pytest.raises(ConfigError, match=says):
        Layout.of(config, 2, 10, 32, devices=jax.devices() * 4)


def test_one_device_needs_no_layout():
    assert Layout.of(DevicesConfig(), 5, 10, 32, devices=jax.devices()) is None
