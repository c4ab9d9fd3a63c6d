"""The manifest: a good one is read whole, and each wrong field is named by its path."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from skerry_contract import manifest
from skerry_contract.errors import ContractError
from skerry_contract.manifest import (
    Check,
    CommandInput,
    DataPolicy,
    FolderInput,
    HttpInput,
    Probe,
    Resources,
    Route,
    RunSettings,
    Shadow,
    TimerInput,
    TopicInput,
    Window,
)
from skerry_contract.shape import hints_of

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "deploy-manifests" / "every-field.yaml").read_text()
)
FACES = "modules.faces"


def test_a_whole_manifest_is_read_field_by_field() -> None:
    found = manifest.read(EXAMPLE)
    assert (found.name, found.schema, found.expires_days) == ("porch", 1, 30.0)
    assert found.target.devices == ("porch-camera", "attic-camera")
    faces = found.modules["faces"]
    assert faces.image == "face-detector:1"
    assert faces.run == RunSettings(
        env={"MIN_SCORE": "0.6"},
        inputs={
            "frames": FolderInput("frames", "*.png"),
            "yard": TopicInput("sensors/+/raw"),
            "meter": CommandInput(("python3", "read_meter.py")),
            "calls": HttpInput("/score"),
            "minute": TimerInput(60),
        },
        network="host",
        data=DataPolicy(10, {"email": "drop", "user": "hash"}, 64),
        resources=Resources(512, 100, 64),
        shadow=Shadow(20, 300, 95, 1, slower_percent=50),
        probe=Probe(60, 10, 5, 3, live=Check("/healthz", 8080), ready=Check("/readyz", 8080)),
        device_files=("/dev/video0",),
        folders={"calibration": "/srv/calibration"},
        routes={"site": Route("site/{module}/{stream}")},
        requires=("memory", "root"),
    )
    assert found.windows == (Window("02:00", "04:00", ("mon", "tue", "wed", "thu", "fri")),)


def test_a_short_manifest_gets_its_defaults() -> None:
    short = {"name": "a", "target": {"devices": ["abc"]}, "modules": {"m": {"image": "x:1"}}}
    found = manifest.read(short)
    assert found.modules["m"].run == RunSettings()
    assert (found.description, found.expires_days) == ("", 30.0)


def test_a_deployment_may_be_empty_which_stops_everything() -> None:
    assert manifest.read({**EXAMPLE, "modules": {}}).modules == {}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the example with the field at ``path`` replaced, or removed for ``...``."""
    result = copy.deepcopy(EXAMPLE)
    *above, last = path.split(".")
    place = result
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("name", ..., "name: is missing"),
        ("name", "Porch", "name: expected a name"),
        ("name", "porch\n", "name: expected a name"),
        ("target", ..., "target: is missing"),
        ("target", ["porch-camera"], "target: expected an object, got a list"),
        ("target.devices", [], "target.devices: 0 entries, expected 1 to 10000"),
        ("target.devices", ["ok1", "x"], "target.devices[1]: expected an id"),
        ("target.devices", "porch", 'target.devices: expected a list, got "porch"'),
        ("target.device", ["a"], "target.device: unknown field; did you mean 'devices'?"),
        ("modules", ..., "modules: is missing"),
        ("modules", {"Faces": {}}, "modules.Faces: expected a name"),
        ("modules", {"event": {"image": "x:1"}}, "modules.event: expected a name"),
        ("modules", {"m": {}}, "modules.m.image: is missing"),
        ("modules", {f"m{n}": {"image": "x:1"} for n in range(51)}, "modules: 51 entries"),
        ("schema", 2, "schema: expected one of 1, got 2"),
        ("description", "x" * 1001, "description: 1001 characters"),
        ("expires_days", 0, "expires_days: must be at least 0.0001"),
        ("expires_days", 3651, "expires_days: must be at most 3650"),
        ("expires_days", float("nan"), "expires_days: expected a number"),
        ("expire_days", 3, "expire_days: unknown field; did you mean 'expires_days'?"),
        (f"{FACES}.image", "face-detector", f"{FACES}.image: expected 'name:version'"),
        (f"{FACES}.image", "face-detector:latest", f"{FACES}.image: expected 'name:version'"),
        (f"{FACES}.restart", "sometimes", f"{FACES}.restart: expected one of always, on-unhealthy"),
        (f"{FACES}.restart", False, f"{FACES}.restart: expected one of"),
        (f"{FACES}.update", "blue-green", f"{FACES}.update: expected one of side-by-side"),
        (f"{FACES}.env.MIN_SCORE", 0.6, f"{FACES}.env.MIN_SCORE: expected text, got 0.6"),
        (f"{FACES}.env.MIN_SCORE", "a\0b", f"{FACES}.env.MIN_SCORE: expected text without NUL"),
        (f"{FACES}.env.A=B", "x", f"{FACES}.env.A=B: expected a variable's name"),
        (f"{FACES}.env.1A", "x", f"{FACES}.env.1A: expected a variable's name"),
        (
            f"{FACES}.inputs.frames.folder",
            ...,
            f"{FACES}.inputs.frames: expected one of folder, topic",
        ),
        (
            f"{FACES}.inputs.frames.topic",
            "a",
            f"{FACES}.inputs.frames: expected one of folder, topic",
        ),
        (f"{FACES}.inputs.yard.topic", "a/#/b", f"{FACES}.inputs.yard.topic: expected a topic"),
        (f"{FACES}.inputs.yard.topic", "a+", f"{FACES}.inputs.yard.topic: expected a topic filter"),
        (f"{FACES}.inputs.yard.topic", "", f"{FACES}.inputs.yard.topic: expected a topic filter"),
        (f"{FACES}.inputs.yard.broker.port", 0, f"{FACES}.inputs.yard.broker.port: must be at"),
        (f"{FACES}.inputs.yard.broker.key_file", "k/", f"{FACES}.inputs.yard.broker.key_file: exp"),
        (f"{FACES}.inputs.yard.broker.key_file", "k", f"{FACES}.inputs.yard.broker: certificate"),
        (
            f"{FACES}.inputs.yard.broker.password_file",
            "password",
            f"{FACES}.inputs.yard.broker: a password needs a user",
        ),
        (
            f"{FACES}.inputs.yard.broker",
            {"user": "u", "password": "p", "password_file": "f"},
            f"{FACES}.inputs.yard.broker: either password or password_file",
        ),
        (
            f"{FACES}.inputs.yard.broker",
            {"tls": True, "ca": "x", "ca_file": "f"},
            f"{FACES}.inputs.yard.broker: either ca or ca_file",
        ),
        (
            f"{FACES}.inputs.yard.broker",
            {"certificate_file": "c", "key_file": "k"},
            f"{FACES}.inputs.yard.broker: a certificate is shown over TLS only",
        ),
        (f"{FACES}.network", "none", f"{FACES}.inputs.yard.topic: 127.0.0.1 is out of reach: set"),
        (f"{FACES}.inputs.meter.command", [], f"{FACES}.inputs.meter.command: 0 entries"),
        (f"{FACES}.inputs.calls.http", "/v2", f"{FACES}.inputs.calls.http: expected"),
        (f"{FACES}.inputs.minute", {"http": "/score"}, f"{FACES}.inputs.minute.http: /score is"),
        (f"{FACES}.inputs.minute.every_s", 0.5, f"{FACES}.inputs.minute.every_s: expected a whole"),
        (f"{FACES}.inputs.frames.folder", "/etc", f"{FACES}.inputs.frames.folder: expected a rel"),
        (f"{FACES}.inputs.frames.folder", "../x", f"{FACES}.inputs.frames.folder: expected a rel"),
        (f"{FACES}.inputs.frames.folder", "a/../b", f"{FACES}.inputs.frames.folder: expected a"),
        (f"{FACES}.inputs.frames.folder", "a/", f"{FACES}.inputs.frames.folder: expected a"),
        (f"{FACES}.inputs.frames.folder", "a/.b", f"{FACES}.inputs.frames.folder: expected a"),
        (f"{FACES}.inputs.frames.pattern", "a/*", f"{FACES}.inputs.frames.pattern: expected a s"),
        (f"{FACES}.inputs.frames.pattern", "", f"{FACES}.inputs.frames.pattern: expected a s"),
        (f"{FACES}.stream", "a/b", f"{FACES}.stream: expected a name"),
        (f"{FACES}.resources.memory_mb", 15, f"{FACES}.resources.memory_mb: must be at least 16"),
        (f"{FACES}.resources.memory_mb", 512.0, f"{FACES}.resources.memory_mb: expected a whole"),
        (f"{FACES}.resources.cpu_percent", 0, f"{FACES}.resources.cpu_percent: must be at least"),
        (f"{FACES}.resources.pids", "64", f"{FACES}.resources.pids: expected a whole number"),
        (f"{FACES}.probe.timeout_s", 61, f"{FACES}.probe.timeout_s: must be at most 60"),
        (f"{FACES}.probe.failures", True, f"{FACES}.probe.failures: expected a whole number"),
        (f"{FACES}.probe.timeout", 5, f"{FACES}.probe.timeout: unknown field; did you mean"),
        (f"{FACES}.network", "My net", f"{FACES}.network: expected none, host or a network"),
        (
            f"{FACES}.device_files",
            ["/dev/../etc/shadow"],
            f"{FACES}.device_files[0]: expected a path below",
        ),
        (
            f"{FACES}.device_files",
            ["/etc/shadow"],
            f"{FACES}.device_files[0]: expected a path below /dev",
        ),
        (f"{FACES}.folders", {"a": "etc"}, f"{FACES}.folders.a: expected an absolute path"),
        (f"{FACES}.folders", {"a": "/etc/../root"}, f"{FACES}.folders.a: expected an absolute"),
        (f"{FACES}.inputs.frames", {"stream": "scores"}, f"{FACES}.inputs.frames.stream: expected"),
        (
            f"{FACES}.inputs.frames",
            {"stream": "mic/scores"},
            f"{FACES}.inputs.frames.stream: there is no",
        ),
        (
            f"{FACES}.inputs.frames",
            {"stream": "faces/*"},
            f"{FACES}.inputs.frames.stream: faces would be fed",
        ),
        (f"{FACES}.routes.site.topic", "a/#", f"{FACES}.routes.site.topic: expected a topic"),
        (
            f"{FACES}.routes.site.broker.ca_file",
            "ca.pem",
            f"{FACES}.routes.site.broker.ca_file: the",
        ),
        (f"{FACES}.routes.site.priority", 10, f"{FACES}.routes.site.priority: must be at most 9"),
        (f"{FACES}.upstream", ["a/b"], f"{FACES}.upstream[0]: expected a stream's name"),
        (f"{FACES}.requires", ["ram"], f"{FACES}.requires[0]: expected one of memory, cpu, pids"),
    ],
)
def test_a_wrong_field_of_a_manifest_is_named_by_its_path(path: str, value: Any, told: str) -> None:
    with pytest.raises(ContractError) as caught:
        manifest.read(changed(path, value))
    assert str(caught.value).startswith(f"manifest: {told}")


@pytest.mark.parametrize("value", [None, [], "x", 1, {}])
def test_what_is_no_manifest_at_all_is_refused(value: Any) -> None:
    with pytest.raises(ContractError, match=r"^manifest: "):
        manifest.read(value)


def test_no_setting_that_travels_holds_a_fraction() -> None:
    """Canonical JSON has whole numbers only, so a fraction could not be signed."""
    for kind in (RunSettings, Probe, Resources, FolderInput):
        assert [name for name, hint in hints_of(kind).items() if "float" in repr(hint)] == []


def test_two_inputs_never_share_a_folder() -> None:
    def module(**inputs: str) -> dict[str, object]:
        return {"image": "m:1", "inputs": {name: {"folder": f} for name, f in inputs.items()}}

    def written(**modules: object) -> dict[str, object]:
        return {"name": "d", "target": {"devices": ["porch"]}, "modules": modules}

    manifest.read(written(a=module(x="one", y="two"), b=module(x="three")))
    with pytest.raises(ContractError, match=r"is read by modules\.a\.inputs\.x already") as caught:
        manifest.read(written(a=module(x="one", y="one")))
    assert caught.value.path == ("modules", "a", "inputs", "y", "folder")
    with pytest.raises(ContractError, match="'one' is read by") as caught:
        manifest.read(written(a=module(x="one"), b=module(z="one")))
    assert caught.value.path == ("modules", "b", "inputs", "z", "folder")


def ordered(**after: list[str]) -> dict[str, Any]:
    modules = {name: {"image": "x:1", "after": others} for name, others in after.items()}
    return {"name": "a", "target": {"devices": ["abc"]}, "modules": modules}


def test_modules_may_start_in_an_order() -> None:
    found = manifest.read(ordered(camera=[], faces=["camera"], alarm=["faces", "camera"]))
    assert found.modules["alarm"].run.after == ("faces", "camera")


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({"m": ["n"]}, r"modules.m.after\[0\]: there is no module 'n' in this deployment"),
        ({"m": ["m"]}, "modules.m.after: nobody is first: m after m"),
        ({"m": ["n"], "n": ["m"]}, "nobody is first"),
        ({"m": ["n"], "n": ["o"], "o": ["m"], "p": []}, "nobody is first"),
    ],
)
def test_an_order_in_which_nobody_is_first_is_refused(
    after: dict[str, list[str]], told: str
) -> None:
    with pytest.raises(ContractError, match=told):
        manifest.read(ordered(**after))


def test_a_port_is_asked_only_on_the_device_s_network() -> None:
    module = {"image": "x:1", "probe": {"ready": {"path": "/up", "port": 80}}}
    document = {"name": "a", "target": {"devices": ["abc"]}, "modules": {"m": module}}
    with pytest.raises(ContractError, match=r"modules\.m\.probe\.ready\.port: 80 is out of reach"):
        manifest.read(document)

    manifest.read({**document, "modules": {"m": {**module, "network": "host"}}})


@pytest.mark.parametrize("wrong", ["24:00", "2:00", "02:60", "02:00:00", ""])
def test_a_window_s_time_is_hours_and_minutes(wrong: str) -> None:
    with pytest.raises(ContractError, match=r"windows\[0\]\.start: "):
        manifest.read({**EXAMPLE, "windows": [{"start": wrong, "end": "04:00"}]})
