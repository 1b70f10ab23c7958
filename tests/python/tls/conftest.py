"""Contexts of both sides of a TLS connection."""

import pytest

from ..support.certificates import Contexts, make_contexts


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return make_contexts(tmp_path_factory.mktemp("certificate"))
