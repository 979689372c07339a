"""Options of a render whose segments other machines make."""

from dataclasses import dataclass

from vidcolor.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where the workers of a render are; none of it changes a pixel."""

    ray: str | None = None
    """Render on a Ray cluster: auto (the one of this machine), local (begin one), or HOST:PORT."""
    worker_gpus: float = 1.0
    """GPUs of a worker on Ray; 0.5 lets two share one. Where the cluster has none, it is 0."""
    worker_cpus: float = 1.0
    """CPUs of a worker on Ray."""

    def check_cluster(self) -> None:
        """Refuse shares that Ray cannot deal out.

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
