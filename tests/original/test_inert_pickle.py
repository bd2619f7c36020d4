"""Pickles are read without being executed: values come out whole, and code stays inert."""

import collections
import os
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original.inert_pickle import read
from gpo_vae_jax.original.inert_values import Called, everything_in
from tests.original import malicious

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def nested(of):
    """Return a strategy for containers of some values."""
    return st.recursive(
        of,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        ),
        max_leaves=20,
    )


EVENTS = ("os.", "subprocess", "exec", "compile", "import", "open", "shutil", "ctypes", "pickle")


@given(nested(scalars), st.integers(0, 5))
def test_plain_values_come_back(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@given(nested(scalars | st.binary(max_size=300)), st.integers(3, 5))
def test_bytes_come_back_where_the_protocol_has_them(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


class Watch:
    """Collect what the interpreter does while it is on; an audit hook cannot be removed."""

    def __init__(self):
        self.seen, self.on = [], False
        sys.addaudithook(self._hear)

    def _hear(self, event, arguments):
        if self.on and event.startswith(EVENTS):
            self.seen.append((event, arguments))


@pytest.fixture(scope="module")
def watch():
    return Watch()


def test_malicious_pickles_run_nothing(watch, tmp_path):
    trace = tmp_path / "executed"
    before = set(sys.modules)
    programs = list(malicious.programs(trace))
    assert len(programs) > 200
    for name, program in programs:
        for protocol in range(6):
            data = bytes((0x80, protocol)) + program[2:]
            watch.seen, watch.on = [], True
            try:
                read(data)
            except DataError:
                pass
            finally:
                watch.on = False
            assert watch.seen == [], name
            assert not trace.exists(), name
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "name",
    [
        "os.system by reduce",
        "builtins.exec by obj",
        "builtins.eval by inst",
        "os.mkdir by stack_global",
        "os.mkdir by memo",
    ],
)
def test_the_traps_work(name, tmp_path):
    """What Python's own unpickler does with the same bytes leaves a trace."""
    pickle.loads(dict(malicious.programs(tmp_path / "executed"))[name])
    assert (tmp_path / "executed").exists()


def test_foreign_objects_are_inert_and_keep_what_they_were_given():
    value = read(pickle.dumps({"a": collections.Counter("abca"), "b": np.arange(3)}))
    assert isinstance(value["a"], Called) and value["a"].name == "collections.Counter"
    assert isinstance(value["b"], Called)
    assert value["b"].name.endswith("multiarray._reconstruct")
    assert {"a": 2, "b": 1, "c": 1} in list(everything_in(value))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "damaged"),
        (b"\x80\x04.", "damaged"),
        (b"\x80\x04]", "does not end|damaged"),
        (b"\x80\x04h\x07.", "damaged"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x02X\x03\x00\x00\x00keyQ.", "persistent id"),
        (b"\x80\x04K\x01K\x02\x93.", "damaged"),
        (b"\x80\x02K\x01K\x02a.", "damaged"),
        (pickle.dumps(list(range(300)))[:-40], "damaged|does not end"),
    ],
)
def test_damaged_pickles_are_one_clear_error(data, says):
    with pytest.raises(DataError, match=says):
        read(data)


def message_of(data):
    """Return the error of reading bytes, or nothing."""
    try:
        read(data)
    except DataError as error:
        return str(error)
    return ""


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_an_error(data):
    assert "\n" not in message_of(b"\x80\x04" + data)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_gives_a_value_or_an_error(where, byte):
    data = bytearray(pickle.dumps({"a": [1, (2, "x")], "b": collections.OrderedDict(c=2.5)}))
    data[where % len(data)] = byte
    assert "\n" not in message_of(bytes(data))


def test_values_that_nest_deeply_or_refer_to_themselves_do_no_harm():
    deep = read(b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b".")
    assert isinstance(deep, list)
    key = read(b"\x80\x04}" + b")" + b"\x85" * 50_000 + b"K\x01s.")
    assert list(key.values()) == [1]
    round_trip = read(b"\x80\x04]q\x00h\x00a.")
    assert round_trip[0] is round_trip
    assert len(list(everything_in(round_trip))) == 1
    assert os.getpid()  # still here


def test_builders_are_the_only_functions_that_run():
    called = []
    data = pickle.dumps(collections.OrderedDict(a=1), 2)
    value = read(data, {"collections.OrderedDict": lambda *given: called.append(given) or dict()})
    assert called and value == {"a": 1}
