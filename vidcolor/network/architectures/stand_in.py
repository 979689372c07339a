"""A stand-in for torchvision, which cannot be imported with another build of torch than its own.

Libraries that import it for a little of it import this instead, for as long as that takes.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def torchvision_stand_in(modules: Mapping[str, Mapping[str, Any]], *users: str) -> Iterator[None]:
    """Let imports find these modules in torchvision, and nothing else of it, in this block.

    Args:
        modules: the attributes of each, by its name.
        users: packages that are imported again in the block, and removed after it.
    """
    kept = _take_modules("torchvision", *users)
    for name, attributes in modules.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        sys.modules[name] = module
    try:
        yield
    finally:
        _take_modules("torchvision", *users)
        sys.modules.update(kept)


def _take_modules(*packages: str) -> dict[str, ModuleType]:
    """Forget that these packages were imported, and return their modules."""
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}
