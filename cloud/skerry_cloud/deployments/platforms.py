"""Choose a device's images anew when it turns out to be another platform than it was taken for."""

from collections.abc import Mapping

from skerry_cloud.clock import Clock
from skerry_cloud.database import Database
from skerry_cloud.deployments.service import Deployments
from skerry_cloud.fleet import messages
from skerry_contract.errors import SkerryError


class PlatformWatch:
    """Told by the ingest what platforms devices are."""

    def __init__(self, database: Database, deployments: Deployments, clock: Clock) -> None:
        self._database = database
        self._deployments = deployments
        self._clock = clock

    def look(self, devices: Mapping[str, str]) -> None:
        """Sign anew for those that need it; what does not work is kept as the device's error."""
        for device in devices:
            try:
                self._deployments.refresh(device)
            except SkerryError as error:
                with self._database.write() as connection:
                    messages.keep_error(connection, device, error, self._clock())
