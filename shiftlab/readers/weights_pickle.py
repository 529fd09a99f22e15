"""A pickle reader that cannot run anything: it walks the opcodes and knows a short list of globals.

A pickle is a program for a stack machine whose GLOBAL and REDUCE opcodes call any function of any module.
Here no module is imported and nothing is called: each allowed global is a name, each allowed call builds one
of our own inert values, and every other global or opcode is refused with file and name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from shiftlab.errors import BadInputError

STORAGE_DTYPES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip
_DTYPE_NAMES = {
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
}  # fmt: skip
_INERT = {  # bookkeeping of training loops that says nothing about weights: built as `Opaque`
    "torch Size", "torch device", "torch.serialization _get_layout", "torch._utils _rebuild_device_tensor",
    "builtins set", "__builtin__ set", "collections defaultdict", "collections Counter", "_codecs encode",
    "numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "numpy dtype", "numpy ndarray",
    "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct",
}  # fmt: skip
_DICTS = {"collections OrderedDict"}
_TENSORS = {f"torch._utils _rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_PARAMETERS = {"torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state"}
_MAX_OPCODES = 20_000_000


@dataclass(frozen=True)
class Global:
    """A global that a pickle names, kept as its name."""

    name: str


@dataclass(frozen=True, eq=False)
class Opaque:
    """An inert stand-in for a value that holds no weights."""

    name: str


@dataclass(frozen=True, eq=False)
class StorageRef:
    """A block of numbers stored beside the pickle: key, element type, number of elements."""

    key: str
    dtype: str
    numel: int
    offset: int = 0  # in elements, for views of older files


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A strided view on a storage, not yet read."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str


_MARK = object()


def read_pickle(stream: IO[bytes], source: str) -> Any:
    """The plain value of one pickle: dicts, lists, tuples, numbers, strings and `TensorRef`.

    Raises BadInputError naming `source` and the global or opcode that is not allowed; nothing was run then.
    """
    machine = _Machine(source)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count > _MAX_OPCODES:
                raise BadInputError(f"{source}: more than {_MAX_OPCODES:,} pickle opcodes")
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument, position or 0)
    except BadInputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise BadInputError(f"{source}: damaged or truncated pickle ({error})") from None
    raise BadInputError(f"{source}: the pickle ends without its STOP opcode; the file is truncated")


@dataclass
class _Machine:
    source: str
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, name: str, argument: Any, position: int) -> None:
        if name in _PUSH_ARGUMENT:
            self.stack.append(argument)
        elif name in _PUSH_CONSTANT:
            self.stack.append(_PUSH_CONSTANT[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise BadInputError(f"{self.source}: pickle opcode {name} at byte {position} is not allowed")

    def since_mark(self) -> list[Any]:
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                items = self.stack[start + 1 :]
                del self.stack[start:]
                return items
        raise ValueError("a MARK is missing")

    def pop_mark(self) -> None:
        self.since_mark()

    def name_global(self, module: Any, name: Any) -> Global:
        full = f"{module} {name}"
        storage = module in ("torch", "torch.storage") and name in STORAGE_DTYPES
        dtype = module == "torch" and name in _DTYPE_NAMES
        if not (storage or dtype or full in _DICTS | _TENSORS | _PARAMETERS | _INERT):
            raise BadInputError(
                f"{self.source}: the pickle names the global {module}.{name}, which is not on the list of "
                "harmless ones; refused, nothing was run. If the file is a whole pickled module that you "
                "trust, save its state_dict (better: as safetensors) where it was made"
            )
        return Global(full)

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise BadInputError(f"{self.source}: the pickle calls something that is no known global; refused")
        if function.name in _TENSORS:
            return _tensor(function.name, arguments)
        if function.name in _PARAMETERS:
            return arguments[0]
        if function.name in _DICTS:
            return dict(*arguments)
        if function.name in _INERT:
            return Opaque(function.name)
        raise BadInputError(f"{self.source}: the pickle calls {function.name}, which is no function; refused")

    def persistent(self, identity: Any) -> StorageRef:
        if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
            raise BadInputError(f"{self.source}: the pickle refers to something that is no tensor storage")
        _, kind, key, _, numel, *view = identity
        name = kind.name.split()[1] if isinstance(kind, Global) else ""
        if name not in STORAGE_DTYPES or type(numel) is not int or numel < 0:
            raise BadInputError(f"{self.source}: storage {key!r} has no known type or size")
        offset = view[0][1] if view and view[0] else 0
        return StorageRef(str(key), STORAGE_DTYPES[name], numel, int(offset))


def _tensor(function: str, arguments: tuple[Any, ...]) -> TensorRef:
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, StorageRef):
        raise ValueError("a tensor without a storage")
    if not all(type(number) is int for number in (offset, *shape, *stride)) or len(shape) != len(stride):
        raise ValueError("a tensor with an odd shape or stride")
    dtype = storage.dtype
    if function.endswith("_v3"):
        dtype = arguments[6].name.split()[1]
    return TensorRef(storage, offset, tuple(shape), tuple(stride), dtype)


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if isinstance(target, dict):
        target.update(zip(items[::2], items[1::2], strict=True))
    elif not isinstance(target, Opaque):
        raise ValueError("items for something that is no dict")


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Opaque):
        raise ValueError("elements for something that is no list")


def _binary(machine: _Machine) -> tuple[Any, Any]:
    second = machine.stack.pop()
    return machine.stack.pop(), second


def _memoize(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.stack[-1]


def _global(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.name_global(*argument.split(" ", 1)))


def _reduce(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.call(*_binary(machine)))


def _drop_state(machine: _Machine, _: Any) -> None:
    """BUILD: the state of an OrderedDict (its version notes) or of an opaque value is dropped."""
    target, _state = _binary(machine)
    if not isinstance(target, dict | Opaque | TensorRef):
        raise ValueError("state for something that takes none")
    machine.stack.append(target)


def _mark(machine: _Machine, _: Any) -> None:
    machine.stack.append(_MARK)


def _tuple(size: int | None) -> Callable[[_Machine, Any], None]:
    def build(machine: _Machine, _: Any) -> None:
        items = machine.since_mark() if size is None else [machine.stack.pop() for _ in range(size)][::-1]
        machine.stack.append(tuple(items))

    return build


def _ignore(machine: _Machine, _: Any) -> None:
    return None


_PUSH_ARGUMENT = {
    "INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_PUSH_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list,
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _ignore,
    "FRAME": _ignore,
    "MARK": _mark,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": _memoize,
    "BINPUT": _memoize,
    "LONG_BINPUT": _memoize,
    "MEMOIZE": _memoize,
    "GET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "TUPLE": _tuple(None),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": lambda machine, _: _dict(machine),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.since_mark()),
    "SETITEM": lambda machine, _: _set_items(machine, list(_binary(machine))),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.since_mark()),
    "APPEND": lambda machine, _: _extend(machine, [machine.stack.pop()]),
    "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
    "ADDITEMS": lambda machine, _: _extend(machine, machine.since_mark()),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda machine, _: machine.stack.append(machine.name_global(*_binary(machine))),
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "BUILD": _drop_state,
    "PERSID": lambda machine, _: machine.stack.append(machine.persistent(None)),
    "BINPERSID": lambda machine, _: machine.stack.append(machine.persistent(machine.stack.pop())),
}


def _dict(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.stack.append(dict(zip(items[::2], items[1::2], strict=True)))
