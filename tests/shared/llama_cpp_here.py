"""What tests that ask llama.cpp itself are marked with."""

from __future__ import annotations

import importlib.util
import sys

import pytest

__all__ = ["needs_llama_cpp"]

needs_llama_cpp = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        importlib.util.find_spec("llama_cpp") is None or sys.platform != "linux",
        reason="needs llama-cpp-python on Linux",
    ),
]
