"""The stubs of the Rust half, where the type checkers in use here are content with too little."""

import ast

from ..support.child import REPOSITORY


def test_what_is_made_is_of_the_class_that_is_called() -> None:
    """Else `EventLoop()` is but a `Loop` for pyright, which goes by `__new__`."""
    stub = ast.parse((REPOSITORY / "python/qtloop/_core.pyi").read_text())
    makers = [
        it for it in ast.walk(stub) if isinstance(it, ast.FunctionDef) and it.name == "__new__"
    ]
    assert {ast.unparse(maker.returns) for maker in makers if maker.returns} == {"Self"}
