"""Push, show and withdraw deployments."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, tuple_

from skerry_cloud.clock import Clock, moment
from skerry_cloud.database import (
    Database,
    deployment_devices,
    deployment_modules,
    deployments,
    device_desired,
    next_number,
    put,
)
from skerry_cloud.deployments import manifest_file
from skerry_cloud.deployments.choice import Candidate, agent_spec, current, specs
from skerry_cloud.deployments.policy import check_code_in_models
from skerry_cloud.fleet.devices import Device, list_devices, require_devices
from skerry_cloud.fleet.messages import latest
from skerry_cloud.registry.modules import Module, find_module
from skerry_cloud.trust import Director
from skerry_contract import shape
from skerry_contract.desired import AgentSpec, Desired, ModuleSpec
from skerry_contract.errors import NotFoundError
from skerry_contract.manifest import Manifest, Window
from skerry_contract.names import Reference, parse_reference

Announce = Callable[[Iterable[str]], None]
"""Called with the ids of devices whose desired document has changed, after it is stored."""

_NOTHING_DAYS = 3650.0
"""How long a document holds that wants nothing of a device."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What signing for devices needs to know.

    Attributes:
        id: Id of the fleet.
        platform: What a device is taken for until it tells.
    """

    id: str
    platform: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a deployment, and the devices that it names.

    Attributes:
        reference: Name and version.
        description: For people.
        text: The manifest as it was pushed.
        created: When, in seconds since 1970.
        devices: Each device as it stands now.
        replaces: What the push took the place of, by device; only a push itself tells.
    """

    reference: Reference
    description: str
    text: str
    created: float
    devices: Sequence[Device]
    replaces: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meant:
    """What is meant for a device; by default, nothing.

    Attributes:
        deployment: ``name:version`` of the deployment.
        days: How long that may still be installed.
        modules: What runs.
        agent: What runs them.
        windows: When it may go over to that.
    """

    deployment: str = ""
    days: float = _NOTHING_DAYS
    modules: Mapping[str, ModuleSpec] = field(default_factory=dict)
    agent: AgentSpec | None = None
    windows: tuple[Window, ...] = ()


class Deployments:
    """All deployments of one fleet."""

    def __init__(
        self,
        database: Database,
        director: Director,
        fleet: Fleet,
        announce: Announce,
        clock: Clock,
    ) -> None:
        self._database = database
        self._director = director
        self._fleet = fleet
        self._announce = announce
        self._clock = clock

    def push(self, data: bytes) -> Deployment:
        """Store a manifest as the next version of its name, and sign it for its devices.

        All of it or nothing: a device or module that does not exist refuses the whole push.

        Raises:
            ManifestError: Naming line, column and field.
            NotFoundError: It names a device, module or platform that there is not.
            ContractError: A device's document would be too large.
        """
        manifest = manifest_file.read(data)
        targets = sorted(set(manifest.target.devices))
        with self._database.write() as connection:
            require_devices(connection, targets)
            modules = _modules_of(connection, manifest)
            check_code_in_models(connection, manifest, modules)
            before = _named(connection, manifest.name, _newest(connection, manifest.name))
            reference = Reference(
                manifest.name, next_number(connection, "deployment", manifest.name)
            )
            self._insert(connection, reference, data.decode(), manifest, modules)
            followed = _follows(connection, {*targets, *before})
            changed = self._settle(connection, followed)
        self._announce(changed)
        replaced = {device: followed[device] for device in changed if followed[device]}
        return replace(self.get(reference.name, reference.version), replaces=replaced)

    def get(self, name: str, version: int | None = None) -> Deployment:
        """Return one version, by default the latest.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            found = version or _newest(connection, name)
            row = connection.execute(
                select(deployments).where(
                    deployments.c.name == name, deployments.c.version == found
                )
            ).one_or_none()
            if row is None:
                raise _unknown(connection, name, version)
            return self._views(connection, [row])[0]

    def latest(self) -> list[Deployment]:
        """Return the latest version of every deployment, by name."""
        newest = select(deployments.c.name, func.max(deployments.c.version)).group_by(
            deployments.c.name
        )
        wanted = tuple_(deployments.c.name, deployments.c.version).in_(newest)
        with self._database.read() as connection:
            rows = connection.execute(
                select(deployments).where(wanted).order_by(deployments.c.name)
            )
            return self._views(connection, rows)

    def versions(self, name: str) -> list[Deployment]:
        """Return all versions of one deployment, latest first.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                select(deployments)
                .where(deployments.c.name == name)
                .order_by(deployments.c.version.desc())
            ).all()
            if not rows:
                raise _unknown(connection, name, None)
            return self._views(connection, rows)

    def delete(self, name: str, version: int | None = None) -> dict[str, str]:
        """Withdraw one version, by default the latest; its number is not used again.

        Its devices return to what else is meant for them: the version before it, another
        deployment, or nothing. What that is, empty for nothing, is returned by device.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.write() as connection:
            found = version or _newest(connection, name)
            mine = (deployments.c.name == name) & (deployments.c.version == found)
            if connection.scalar(select(deployments.c.push).where(mine)) is None:
                raise _unknown(connection, name, version)
            affected = set(_named(connection, name, found))
            for table in (deployment_devices, deployment_modules, deployments):
                where = (table.c.name == name) & (table.c.version == found)
                connection.execute(delete(table).where(where))
            affected.update(_named(connection, name, _newest(connection, name)))
            changed = self._settle(connection, affected)
            follows = _follows(connection, changed)
        self._announce(changed)
        return follows

    def refresh(self, device: str) -> None:
        """Choose a device's images anew if it is another platform than it was taken for.

        Raises:
            NotFoundError: A module was not built for it, or there is no such device.
        """
        with self._database.write() as connection:
            require_devices(connection, [device])
            changed = self._settle(connection, [device])
        self._announce(changed)

    # --- one transaction -----------------------------------------------------------------------

    def _insert(
        self,
        connection: Connection,
        reference: Reference,
        text: str,
        manifest: Manifest,
        modules: dict[str, Module],
    ) -> None:
        mine = {"name": reference.name, "version": reference.version}
        row = {
            **mine,
            "push": next_number(connection, "push", ""),
            "description": manifest.description,
            "text": text,
            "manifest": shape.write(manifest),
            "created": self._clock(),
        }
        connection.execute(deployments.insert(), row)
        targets = [{**mine, "device": device} for device in set(manifest.target.devices)]
        connection.execute(deployment_devices.insert(), targets)
        used = [
            {**mine, "module": module.reference.name, "module_version": module.reference.version}
            for module in modules.values()
        ]
        if used:
            connection.execute(deployment_modules.insert(), used)

    def _settle(self, connection: Connection, affected: Collection[str]) -> list[str]:
        """Sign anew for each device that does not have what is meant for it; return their ids."""
        said = latest(connection)
        manifests: dict[tuple[str, int], tuple[Manifest, dict[str, Module]]] = {}
        changed = []
        for device in sorted(affected):
            chosen = current(_candidates(connection, device))
            caps = said[device].caps if device in said else None
            platform = caps.platform if caps else self._fleet.platform
            deployment = f"{chosen.name}:{chosen.version}" if chosen else ""
            stands = _stands(connection, device)
            if stands == (deployment, platform if deployment else stands[1]):
                continue
            meant = Meant()
            if chosen:
                key = (chosen.name, chosen.version)
                if key not in manifests:
                    manifest = _manifest(connection, chosen)
                    manifests[key] = (manifest, _modules_of(connection, manifest))
                manifest, modules = manifests[key]
                meant = Meant(
                    deployment,
                    manifest.expires_days,
                    specs(manifest, modules, device=device, platform=platform),
                    agent_spec(manifest, modules, device=device, platform=platform),
                    manifest.windows,
                )
            self._sign(connection, device, platform, meant)
            changed.append(device)
        return changed

    def _sign(self, connection: Connection, device: str, platform: str, meant: Meant) -> None:
        now = moment(self._clock()).replace(microsecond=0)
        version = next_number(connection, "desired", device)
        # Whole seconds are all that a signature holds; rounding down could leave no time at all.
        expires = now + timedelta(seconds=max(1, round(meant.days * 86_400)))
        desired = Desired(
            self._fleet.id,
            device,
            version,
            now,
            expires,
            meant.deployment,
            meant.modules,
            meant.agent,
            meant.windows,
        )
        row = {
            "device": device,
            "version": version,
            "deployment": meant.deployment,
            "platform": platform,
            "document": self._director.sign(desired).decode(),
        }
        put(connection, device_desired, row)

    def _views(self, connection: Connection, rows: Iterable[Row[Any]]) -> list[Deployment]:
        known = {device.id: device for device in list_devices(connection, self._clock())}
        return [
            Deployment(
                Reference(row.name, row.version),
                row.description,
                row.text,
                row.created,
                [known[device] for device in sorted(_named(connection, row.name, row.version))],
            )
            for row in rows
        ]


def desired_document(connection: Connection, device: str) -> bytes | None:
    """Return the signed envelope for a device, or None if nothing was ever wanted of it."""
    found = connection.scalar(
        select(device_desired.c.document).where(device_desired.c.device == device)
    )
    return None if found is None else str(found).encode()


def _modules_of(connection: Connection, manifest: Manifest) -> dict[str, Module]:
    images = {module.image for module in manifest.modules.values()}
    images |= {manifest.agent} if manifest.agent is not None else set()
    return {image: find_module(connection, parse_reference(image)) for image in sorted(images)}


def _manifest(connection: Connection, chosen: Candidate) -> Manifest:
    mine = (deployments.c.name == chosen.name) & (deployments.c.version == chosen.version)
    value = connection.scalar(select(deployments.c.manifest).where(mine))
    return shape.read(Manifest, value)


def _candidates(connection: Connection, device: str) -> list[Candidate]:
    named = (
        select(deployment_devices.c.device)
        .where(
            deployment_devices.c.device == device,
            deployment_devices.c.name == deployments.c.name,
            deployment_devices.c.version == deployments.c.version,
        )
        .exists()
    )
    rows = select(deployments.c.name, deployments.c.version, deployments.c.push, named)
    ever = select(deployment_devices.c.name).where(deployment_devices.c.device == device)
    found = connection.execute(rows.where(deployments.c.name.in_(ever)))
    return [Candidate(*row) for row in found]


def _stands(connection: Connection, device: str) -> tuple[str, str]:
    row = connection.execute(
        select(device_desired.c.deployment, device_desired.c.platform).where(
            device_desired.c.device == device
        )
    ).one_or_none()
    return (row.deployment, row.platform) if row else ("", "")


def _follows(connection: Connection, devices: Iterable[str]) -> dict[str, str]:
    """Return the deployment that each device's document is for, empty for none."""
    return {device: _stands(connection, device)[0] for device in sorted(devices)}


def _newest(connection: Connection, name: str) -> int:
    newest = select(func.max(deployments.c.version)).where(deployments.c.name == name)
    return connection.scalar(newest) or 0


def _named(connection: Connection, name: str, version: int) -> list[str]:
    mine = (deployment_devices.c.name == name) & (deployment_devices.c.version == version)
    return list(connection.scalars(select(deployment_devices.c.device).where(mine)))


def _unknown(connection: Connection, name: str, version: int | None) -> NotFoundError:
    versions = select(deployments.c.version).where(deployments.c.name == name)
    known = [f"{name}:{found}" for found in connection.scalars(versions.order_by("version"))]
    if not known:
        names = select(deployments.c.name).distinct().order_by(deployments.c.name).limit(20)
        known = list(connection.scalars(names))
    which = f"{name}:{version}" if version else name
    return NotFoundError(
        f"there is no deployment {which}", remedy=f"There is: {', '.join(known) or 'none yet'}."
    )
