"""The stubs of the Rust half, where the type checkers in use here are content with too little."""

import ast

from qtloop import _core

from ..support.child import REPOSITORY


def test_what_is_made_is_of_the_class_that_is_called() -> None:
    """Else `EventLoop()` is but a `Loop` for pyright, which goes by `__new__`."""
    stub = ast.parse((REPOSITORY / "python/qtloop/_core.pyi").read_text())
    makers = [
        it for it in ast.walk(stub) if isinstance(it, ast.FunctionDef) and it.name == "__new__"
    ]
    assert {ast.unparse(maker.returns) for maker in makers if maker.returns} == {"Self"}


def test_the_stubs_say_what_the_classes_say() -> None:
    """The reference is made of the stubs, and `help` is not."""
    stub = ast.parse((REPOSITORY / "python/qtloop/_core.pyi").read_text())
    said = {
        f"{cls.name}.{method.name}": text
        for cls in stub.body
        if isinstance(cls, ast.ClassDef)
        for method in cls.body
        if isinstance(method, ast.FunctionDef)
        if (text := ast.get_docstring(method)) is not None
    }
    assert "Loop.call_soon" in said
    different = []
    for name, text in said.items():
        owner, _, method = name.partition(".")
        if text.split() != (vars(getattr(_core, owner))[method].__doc__ or "").split():
            different.append(name)
    assert different == []


def test_every_public_method_of_the_loop_is_described() -> None:
    members = {name for name in vars(_core.Loop) if not name.startswith("_")}
    assert [name for name in sorted(members) if not vars(_core.Loop)[name].__doc__] == []
    stub = (REPOSITORY / "python/qtloop/_core.pyi").read_text()
    [loop] = [
        it for it in ast.parse(stub).body if isinstance(it, ast.ClassDef) and it.name == "Loop"
    ]
    described = {
        it.name for it in loop.body if isinstance(it, ast.FunctionDef) and ast.get_docstring(it)
    }
    assert described == members
