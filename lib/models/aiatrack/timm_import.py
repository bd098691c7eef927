"""timm, imported without torch.compile's machinery.

timm and torchvision import torch._dynamo, a second and 150 MiB, for two functions of it: one is
called where a function that must not be compiled runs, the other where regions are pooled. Here
both import it when they are called.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

DYNAMO = "torch._dynamo"
UTILS = f"{DYNAMO}.utils"


@contextmanager
def dynamo_deferred() -> Iterator[None]:
    """Imports of torch._dynamo within get stand-ins, but where something else is asked of it."""
    if DYNAMO in sys.modules:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in (DYNAMO, UTILS)}
    for name, module in stand_ins.items():
        vars(module)["__getattr__"] = functools.partial(_ask_the_real_one, stand_ins, name)
    vars(stand_ins[DYNAMO]).update(__path__=[], utils=stand_ins[UTILS], disable=_disable)
    vars(stand_ins[UTILS])["is_compile_supported"] = _is_compile_supported
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        _remove(stand_ins)


def _remove(stand_ins: dict[str, ModuleType]) -> None:
    for name, module in stand_ins.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


def _ask_the_real_one(stand_ins: dict[str, ModuleType], name: str, attribute: str) -> Any:
    if attribute.startswith("__"):  # inspect looks at the files of all modules
        raise AttributeError(attribute)
    _remove(stand_ins)
    return getattr(importlib.import_module(name), attribute)


def _disable(function: Callable[..., Any], *options: Any, **named: Any) -> Callable[..., Any]:
    """As torch._dynamo.disable, which is applied when the function is called."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        disable = importlib.import_module(DYNAMO).disable
        return disable(function, *options, **named)(*args, **kwargs)

    return run


def _is_compile_supported(device_type: str) -> bool:
    return importlib.import_module(UTILS).is_compile_supported(device_type)


with dynamo_deferred():
    import timm

__all__ = ["timm"]
