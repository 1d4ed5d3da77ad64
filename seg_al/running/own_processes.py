"""Makes this process start all processes of a training, whatever the environment of the machine suggests."""

from __future__ import annotations

from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port


class OwnProcesses(LightningEnvironment):
    """Ignores what Slurm, torchrun or a cluster's profile states about other processes."""

    creates_processes_externally = False
    main_address = "127.0.0.1"

    def __init__(self) -> None:
        super().__init__()
        self._port: int | None = None

    @property
    def main_port(self) -> int:
        """A free port of this machine, found once, because runs side by side need different ports."""
        if self._port is None:
            self._port = find_free_network_port()
        return self._port

    def node_rank(self) -> int:
        return 0
