"""Options of a render whose segments other machines make."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from vidcolor.errors import OptionsError

STORES = {"s3": "s3fs", "gs": "gcsfs", "file": "fsspec"}
"""Kinds of stores, and the package that speaks to each."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where the workers of a render are; none of it changes a pixel."""

    ray: str | None = None
    """Render on a Ray cluster: auto (the one of this machine), local (begin one), or HOST:PORT."""
    store: str | None = None
    """Where the machines of --ray share no folder: s3://BUCKET/PREFIX, gs:// or file:// for all."""
    worker_gpus: float = 1.0
    """GPUs of a worker on Ray, with --device cuda or a GPU here; 0.5 lets two share one."""
    worker_cpus: float = 1.0
    """CPUs of a worker on Ray."""

    def check_cluster(self) -> None:
        """Refuse what Ray cannot deal out, and a store that is none.

        Raises:
            OptionsError: says which.
        """
        for option in ("worker_gpus", "worker_cpus"):
            value = getattr(self, option)
            name = f"--{option.replace('_', '-')} {value:g}"
            if value <= 0:
                raise OptionsError(f"{name}: must be above 0, as 1 or 0.5")
            if value > 1 and value % 1:
                raise OptionsError(f"{name}: Ray divides one, not several; take a whole number")
        if self.store is not None:
            self._check_store(self.store)

    def _check_store(self, store: str) -> None:
        address = urlsplit(store)
        if address.scheme not in STORES or not (address.netloc or address.path.strip("/")):
            raise OptionsError(
                f"--store {store}: not a store; write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or "
                "file:///FOLDER"
            )
        if self.ray is None:
            raise OptionsError(f"--store {store}: is for other machines; add --ray ADDRESS")
