"""Read a pickle without executing it: names are never looked up, and nothing is called.

A pickle is a program for a stack machine. This machine builds plain values (numbers, text, tuples,
lists, dictionaries). Wherever the program names a class or a function, calls one, or sets the state
of an object, an inert `Named`, `Called` or its `state` stands in its place. The only functions that
run are the caller's `builders`, such as the one that makes an array of a tensor.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original.inert_values import Called, Named

LARGEST = 1 << 28  # bytes of a pickle without its tensors
_OPENINGS = {"PROTO", "FRAME"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_PLAIN = (str, bytes, int, float)  # keys, as None is; a tuple of these is one, too


Builders = Mapping[str, Callable[..., Any]]


def read(
    data: bytes,
    builders: Builders | None = None,
    stored: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the value that a pickle describes, with inert stand-ins for foreign objects.

    Args:
      data: the pickle, of any protocol.
      builders: what a call of a name, such as "collections.OrderedDict", returns.
      stored: what a persistent id stands for; without it such a pickle is refused.

    Raises:
      DataError: the pickle is damaged, too large, or does what no value needs (extension codes,
        buffers outside of it).
    """
    if len(data) > LARGEST:
        raise DataError(f"the pickle has {len(data):,} bytes; at most {LARGEST:,} are read")
    machine = _Machine(builders or {}, stored)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if machine.step(opcode.name, argument):
                return machine.result
    except DataError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, EOFError) as error:
        raise DataError(f"the pickle is damaged: {type(error).__name__}: {error}") from error
    raise DataError("the pickle is damaged: it does not end")


class _Machine:
    """The stack, its marks and the memo of a pickle that is being read."""

    def __init__(self, builders: Builders, stored: Callable[[Any], Any] | None):
        self.builders, self.stored = builders, stored
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> bool:
        """Follow one opcode; return whether it was the last."""
        if name == "STOP":
            self.result = self.pop()
            return True
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in _OPENINGS:
            followed = getattr(self, f"on_{name.lower()}", None)
            if followed is None:
                raise DataError(f"the pickle uses {name}, which no checkpoint needs")
            followed(argument)
        return False

    def pop(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise ValueError("a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def after_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    # stack and memo
    def on_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def on_pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def on_pop_mark(self, _: Any) -> None:
        self.after_mark()

    def on_dup(self, _: Any) -> None:
        self.stack.append(self.top())

    def on_put(self, at: int) -> None:
        self.memo[at] = self.top()

    on_binput = on_long_binput = on_put

    def on_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def on_get(self, at: int) -> None:
        self.stack.append(self.memo[at])

    on_binget = on_long_binget = on_get

    # containers
    def on_empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def on_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.after_mark()))

    def on_tuple1(self, _: Any) -> None:
        self._tuple_of(1)

    def on_tuple2(self, _: Any) -> None:
        self._tuple_of(2)

    def on_tuple3(self, _: Any) -> None:
        self._tuple_of(3)

    def _tuple_of(self, n: int) -> None:
        values = [self.pop() for _ in range(n)]
        self.stack.append(tuple(reversed(values)))

    def on_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def on_list(self, _: Any) -> None:
        self.stack.append(self.after_mark())

    def on_append(self, _: Any) -> None:
        value = self.pop()
        _extend(self.top(), [value])

    def on_appends(self, _: Any) -> None:
        values = self.after_mark()
        _extend(self.top(), values)

    on_additems = on_appends

    def on_empty_set(self, _: Any) -> None:
        self.stack.append(Called("builtins.set", ()))

    def on_frozenset(self, _: Any) -> None:
        self.stack.append(Called("builtins.frozenset", (self.after_mark(),)))

    def on_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def on_dict(self, _: Any) -> None:
        values, found = self.after_mark(), {}
        _store(found, values)
        self.stack.append(found)

    def on_setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        _store(self.top(), [key, value])

    def on_setitems(self, _: Any) -> None:
        values = self.after_mark()
        _store(self.top(), values)

    # names, calls and objects
    def on_global(self, name: str) -> None:
        self.stack.append(Named(".".join(name.split(" "))))

    def on_stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name is no text")
        self.stack.append(Named(f"{module}.{name}"))

    def on_reduce(self, _: Any) -> None:
        arguments, called = self.pop(), self.pop()
        self.stack.append(self._called(called, arguments))

    on_newobj = on_reduce

    def on_newobj_ex(self, _: Any) -> None:
        named, arguments, called = self.pop(), self.pop(), self.pop()
        self.stack.append(Called(_name_of(called), (arguments, named)))

    def on_obj(self, _: Any) -> None:
        called, *arguments = self.after_mark()
        self.stack.append(Called(_name_of(called), tuple(arguments)))

    def on_inst(self, name: str) -> None:
        self.stack.append(Called(".".join(name.split(" ")), tuple(self.after_mark())))

    def on_build(self, _: Any) -> None:
        state, built = self.pop(), self.top()
        if isinstance(built, Called):
            built.state = state  # of anything else it is left out: a dictionary has no attributes

    def on_binpersid(self, _: Any) -> None:
        self.stack.append(self._stored(self.pop()))

    def on_persid(self, text: str) -> None:
        self.stack.append(self._stored(text))

    def _stored(self, key: Any) -> Any:
        if self.stored is None:
            raise DataError("the pickle refers to values outside of it (a persistent id)")
        return self.stored(key)

    def _called(self, called: Any, arguments: Any) -> Any:
        name = _name_of(called)
        build = self.builders.get(name) if isinstance(called, Named) else None
        if build is None or not isinstance(arguments, tuple):
            return Called(name, arguments)
        return build(*arguments)


def _name_of(called: Any) -> str:
    return called.name if isinstance(called, (Named, Called)) else type(called).__name__


def _extend(target: Any, values: list[Any]) -> None:
    """Append to a list, or remember what an inert object would have been given."""
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Called):
        target.items.extend(values)
    else:
        raise ValueError(f"values are appended to a {type(target).__name__}")


def _store(target: Any, values: list[Any]) -> None:
    """Store keys and values by turns in a dictionary or an inert object."""
    pairs = list(zip(values[::2], values[1::2], strict=True))
    if isinstance(target, Called):
        target.entries.extend(pairs)
    elif isinstance(target, dict):
        for key, value in pairs:
            target[key if _is_key(key) else id(key)] = value
    else:
        raise ValueError(f"entries are stored in a {type(target).__name__}")


def _is_key(key: Any) -> bool:
    """Return whether hashing a key is safe: deep tuples would exhaust the C stack."""
    if isinstance(key, tuple):
        return all(part is None or isinstance(part, _PLAIN) for part in key)
    return key is None or isinstance(key, (*_PLAIN, Named, Called))
