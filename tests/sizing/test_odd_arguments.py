"""Arguments of kinds that nobody meant are refused by the name of the field and of the kind."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whatfits.sizing import BadInputError, check


class Name(Enum):
    """A name that is no text."""

    MODEL = "llama-3.2-1b"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": Path("llama-3.2-1b.gguf")}, "model 'PosixPath'; allowed: text"),
        ({"model": b"llama-3.2-1b"}, "model 'bytes'"),
        ({"model": Name.MODEL}, "model 'Name'"),
        ({"model": None}, "model 'NoneType'"),
        ({"machine": Path("8gb.json")}, "machine (a name is text) 'pathlib"),
        ({"machine": 8}, "machine (a name is text) 'int'"),
        ({"file_type": b"Q4_K_M"}, "file type 'bytes'"),
        ({"file_type": 15}, "file type 'int'"),
        ({"workload": [("context_tokens", 4096)]}, "workload 'list'"),
        ({"workload": {"context_tokens": np.int64(4096)}}, "workload.context_tokens 'numpy.int64'"),
        ({"workload": {"swa_full": np.bool_(True)}}, "workload.swa_full 'numpy.bool"),
        ({"workload": {"context_tokens": Decimal(4096)}}, "context_tokens 'decimal.Decimal'"),
        ({"placement": {"gpu_layers": np.int32(3)}}, "placement.gpu_layers 'numpy.int32'"),
        ({"placement": "cpu"}, "placement 'str'"),
    ],
)
def test_another_kind_of_argument_is_refused_by_its_name(
    changed: dict[str, Any], said: str
) -> None:
    asked: dict[str, Any] = {"model": "llama-3.2-1b", "machine": "8gb", **changed}
    with pytest.raises(BadInputError) as error:
        check(asked.pop("model"), **asked)
    assert said in str(error.value)
