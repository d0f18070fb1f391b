"""`dataclass`, `field` and `replace` of the standard library, made at a tenth of their cost.

A command makes some sixty of these classes before it can answer. The standard library's module
brings `inspect` with it and compiles six methods for each class; here only the `__init__` of a
class of many objects is compiled, the others are shared, and that module is imported when
`dataclasses.fields` or pydantic look at a class. The classes are dataclasses all the same:
`fields`, `replace`, `asdict` and pydantic see no difference.
Error: the same methods, held against the standard library's by tests/sizing/test_values.py.
"""

from __future__ import annotations

from operator import attrgetter

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from dataclasses import dataclass, field, replace
    from typing import Any, Final, TypeVar

    _T = TypeVar("_T")
else:

    def dataclass(
        **options: bool,
    ) -> Callable[[type[_T]], type[_T]]:
        """Return the decorator that makes such a class; the options are the standard library's."""
        return lambda cls: _made(cls, **options)

    def field(**options: object) -> _Field:
        """Return what a class says of a field; the options are the standard library's."""
        return _Field(**options)

    def replace(value: _T, /, **changes: object) -> _T:
        """Return a copy with some fields changed."""
        if not hasattr(value, "__fields_given__"):
            import dataclasses  # noqa: PLC0415 - a class of the standard library's own

            return dataclasses.replace(value, **changes)
        kept = {
            given.name: getattr(value, given.name)
            for given in value.__fields_given__
            if given.init and given.name not in changes
        }
        return value.__class__(**kept, **changes)


__all__ = ["annotations_of", "dataclass", "field", "field_names", "replace"]

_UNSET: Final = object()
_FEW: Final = 4  # three classes of four get no more objects than this in one answer


class _Field:
    """What is known of a field: its name, its annotation, and the options of `field`."""

    __slots__ = ("compare", "default", "default_factory", "init", "kw_only", "name", "repr", "type")

    def __init__(
        self,
        *,
        default: object = _UNSET,
        default_factory: Any = _UNSET,  # noqa: ANN401 - called without arguments
        init: bool = True,
        repr: bool = True,  # noqa: A002 - as the standard library names it
        compare: bool = True,
        kw_only: bool = False,
    ) -> None:
        """Keep the options; `_made` adds the name and the annotation."""
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare
        self.kw_only = kw_only
        self.name = self.type = ""

    def standard(self) -> tuple[str, str, Any]:
        """Return the name, the annotation and the standard library's own field."""
        import dataclasses  # noqa: PLC0415 - only where somebody asks for it

        options = {
            name: getattr(self, name)
            for name in ("init", "repr", "compare", "kw_only", "default", "default_factory")
            if getattr(self, name) is not _UNSET
        }
        return self.name, self.type, dataclasses.field(**options)


class _Later:
    """An attribute of a class, made when it is first looked at; what is made takes this place."""

    __slots__ = ("make", "name", "owner")

    def __init__(self, name: str, owner: type[Any], make: Callable[[], object]) -> None:
        """Stand in for the attribute `name` of `owner`."""
        self.name = name
        self.owner = owner
        self.make = make

    def __get__(self, _: object, __: type[Any]) -> object:
        made = self.make()
        setattr(self.owner, self.name, made)
        return made


def _made(
    cls: type[_T],
    *,
    frozen: bool = False,
    slots: bool = False,
    eq: bool = True,
    repr: bool = True,  # noqa: A002 - as the standard library names it
    kw_only: bool = False,
) -> type[_T]:
    """Return `cls` as a dataclass; methods that it has itself are kept."""
    own = frozenset(vars(cls))
    fresh = _own_fields(cls, kw_only=kw_only)
    known = {given.name: given for base in cls.__mro__[:0:-1] for given in _fields_of(base)}
    given = (*(known | {each.name: each for each in fresh}).values(),)
    new: Any = _with_slots(cls, fresh) if slots else _with_defaults(cls, fresh)
    new.__fields_given__ = given
    later: dict[str, Callable[[], object]] = {
        "__dataclass_fields__": lambda: _twin(new).__dataclass_fields__,
        "__dataclass_params__": lambda: _parameters(new, frozen=frozen, eq=eq, repr=repr),
        "__signature__": lambda: _signature(new),
    }
    methods: dict[str, object] = {name: _Later(name, new, make) for name, make in later.items()}
    methods["__init__"] = _init_at_first(new, given)
    methods["__match_args__"] = tuple(each.name for each in given if each.init and not each.kw_only)
    if repr:
        methods["__repr__"] = _repr([each.name for each in given if each.repr])
    if eq:
        compared = [each.name for each in given if each.compare]
        methods["__eq__"] = _equal(compared)
        methods["__hash__"] = _hash(compared) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        if slots:
            names = [each.name for each in given]
            methods |= {"__getstate__": _get_state(names), "__setstate__": _set_state(names)}
    for name, method in methods.items():
        if name not in own:
            setattr(new, name, method)
    return new  # type: ignore[no-any-return]


def _twin(cls: type[Any], *, init: bool = False) -> Any:  # noqa: ANN401 - it has attributes
    """Return a dataclass of the standard library's own with the same fields."""
    import dataclasses  # noqa: PLC0415 - only where somebody asks for it

    fields = [given.standard() for given in _fields_of(cls)]
    return dataclasses.make_dataclass(cls.__name__, fields, init=init, eq=False, repr=False)


def _signature(cls: type[Any]) -> object:
    """Return the parameters of a class, as the standard library has them."""
    import inspect  # noqa: PLC0415 - only where somebody asks for it

    return inspect.signature(_twin(cls, init=True))


def _parameters(cls: type[Any], **options: bool) -> object:
    """Return the options as the standard library keeps them."""
    kept = _twin(cls).__dataclass_params__
    for name, value in {"init": True, **options}.items():
        setattr(kept, name, value)
    return kept


def field_names(value: object) -> tuple[str, ...] | None:
    """Return the names of the fields of a dataclass's object; None where it is none."""
    cls: Any = type(value)
    if "__fields_given__" in cls.__dict__:
        return tuple([given.name for given in _fields_of(cls)])
    if not hasattr(cls, "__dataclass_fields__"):
        return None
    import dataclasses  # noqa: PLC0415 - a class of the standard library's own

    return tuple([given.name for given in dataclasses.fields(cls)])


def annotations_of(value: object) -> tuple[tuple[str, str], ...]:
    """Return name and annotation, as it was written, of each field of an object of this module."""
    return tuple([(given.name, given.type) for given in _fields_of(type(value))])


def _fields_of(cls: type[Any]) -> tuple[_Field, ...]:
    """Return the fields of a class that was made here; none of any other."""
    fields: tuple[_Field, ...] = vars(cls).get("__fields_given__", ())
    return fields


def _own_fields(cls: type[object], *, kw_only: bool) -> list[_Field]:
    """Return what a class says itself of its fields, in its order."""
    found = []
    for name, annotation in cls.__annotations__.items():
        if annotation.startswith("ClassVar"):
            continue
        default = vars(cls).get(name, _UNSET)
        given = default if isinstance(default, _Field) else _Field(default=default)
        if hasattr(given.default, "default_factory"):
            raise TypeError(f"{cls.__qualname__}.{name}: `field` is to be that of this module")
        if given.default.__class__.__hash__ is None:
            raise ValueError(f"{cls.__qualname__}.{name}: a default that may change is shared")
        given.name, given.type = name, annotation
        given.kw_only |= kw_only
        found.append(given)
    return found


def _with_slots(cls: type[Any], fresh: Iterable[_Field]) -> type[Any]:
    """Return the class anew, its fields as slots instead of attributes that hold defaults."""
    names = [given.name for given in fresh]
    left_out = {*names, "__dict__", "__weakref__"}
    kept = {name: value for name, value in vars(cls).items() if name not in left_out}
    inherited = {slot for base in cls.__mro__[1:] for slot in getattr(base, "__slots__", ())}
    slots = tuple(name for name in names if name not in inherited)
    kind: Any = type(cls)
    new: type[Any] = kind(cls.__name__, cls.__bases__, {**kept, "__slots__": slots})
    new.__qualname__ = cls.__qualname__
    return new


def _with_defaults(cls: type[object], fresh: Iterable[_Field]) -> type[object]:
    """Return the class itself, its attributes the defaults of its fields."""
    for given in fresh:
        if given.default is not _UNSET:
            setattr(cls, given.name, given.default)
        elif given.name in vars(cls):
            delattr(cls, given.name)
    return cls


def _init_at_first(cls: type[Any], given: Iterable[_Field]) -> object:
    """Return an `__init__` that looks fields up one by one, and gives way to a compiled one.

    To compile takes as long as thirty objects made this way, and most classes get fewer. What is
    not a plain call is left to the compiled one, which knows what to say of it.
    """
    fields = [each for each in given if each.init]
    positional = [each.name for each in fields if not each.kw_only]
    left = _FEW

    def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: ANN401, N807 - see above
        nonlocal left
        values = dict(zip(positional, args, strict=False))
        is_plain = len(values) == len(args) and named.keys().isdisjoint(values)
        values |= named
        for each in fields:
            if each.name not in values:
                if each.default_factory is not _UNSET:
                    values[each.name] = each.default_factory()
                else:
                    values[each.name] = each.default
                    is_plain &= each.default is not _UNSET
        left -= 1
        if left < 0 or not is_plain or len(values) != len(fields):
            cls.__init__ = _init(cls, given)
            cls.__init__(self, *args, **named)
            return
        for each in fields:
            object.__setattr__(self, each.name, values[each.name])
        if hasattr(cls, "__post_init__"):
            self.__post_init__()

    return __init__


def _init(cls: type[object], given: Iterable[_Field]) -> Callable[..., None]:
    """Return `__init__`: the one method that has to know the fields by name.

    Fields that are no parameters are left to `__post_init__`.
    """
    known: dict[str, object] = {"_set": object.__setattr__, "_UNSET": _UNSET}
    parameters, body = ["self"], []
    keywords: list[str] = []
    for number, each in enumerate(each for each in given if each.init):
        name = value = parameter = each.name
        if each.default_factory is not _UNSET:
            known[f"_make{number}"] = each.default_factory
            parameter = f"{name}=_UNSET"
            value = f"_make{number}() if {name} is _UNSET else {name}"
        elif each.default is not _UNSET:
            known[f"_default{number}"] = each.default
            parameter = f"{name}=_default{number}"
        (keywords if each.kw_only else parameters).append(parameter)
        body.append(f" _set(self, {name!r}, {value})\n")
    if keywords:
        parameters += ["*", *keywords]
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()\n")
    text = f"def __init__({', '.join(parameters)}):\n{''.join(body) or ' pass'}"
    exec(text, known)  # noqa: S102 - fields of our own classes
    made: Any = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made  # type: ignore[no-any-return]


def _values(names: list[str]) -> Callable[[Any], Any]:
    """Return what reads the named attributes of an object at once."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _equal(names: list[str]) -> object:
    values = _values(names)

    def __eq__(self: Any, other: object) -> bool:  # noqa: ANN401, N807 - it becomes the method
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(values(self) == values(other))

    return __eq__


def _hash(names: list[str]) -> object:
    values = _values(names)

    def __hash__(self: Any) -> int:  # noqa: ANN401, N807 - it becomes the method
        return hash(values(self))

    return __hash__


def _repr(names: list[str]) -> object:
    def __repr__(self: Any) -> str:  # noqa: ANN401, N807 - it becomes the method
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _refuse_to_set(_: object, name: str, __: object) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - only where it is raised

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - only where it is raised

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(names: list[str]) -> object:
    return lambda self: [getattr(self, name) for name in names]


def _set_state(names: list[str]) -> object:
    def __setstate__(self: object, state: list[object]) -> None:  # noqa: N807 - see above
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__
