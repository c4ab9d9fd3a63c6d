"""What the pages promise is true: their examples are read by the code that they describe."""

import json
import re
from pathlib import Path

import pytest

from skerry_contract import commands, messages, shape, topics
from skerry_contract.desired import read_signed
from skerry_contract.device import DeviceConfig
from skerry_contract.envelope import Envelope

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/topics.md").read_text()
PAYLOADS = {
    "t/<module>/<stream>": messages.Batch,
    "reported": messages.Reported,
    "state": messages.State,
    "health": messages.Health,
    "caps": messages.Caps,
    "event/<type>": messages.Batch,
    "desired": Envelope,
    "ack": messages.Ack,
    "cmd/<type>/<id>/req": commands.Request,
    "cmd/<type>/<id>/res": commands.Response,
    "log/<module>": commands.LogLines,
}


def example(page: str, heading: str) -> object:
    section = page[page.index(f"## `{heading}`") :]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None, heading
    return json.loads(found[1])


@pytest.mark.parametrize("topic", PAYLOADS)
def test_every_payload_on_the_page_is_one_that_we_read(topic: str) -> None:
    shape.read(PAYLOADS[topic], example(PAGE, topic), strict=True)


def test_the_event_and_the_signed_part_on_the_page_are_ones_that_we_read() -> None:
    event = shape.read(messages.Batch, example(PAGE, "event/<type>"))
    shape.read(messages.Event, event.items[0].data, strict=True)
    envelope = shape.read(Envelope, example(PAGE, "desired"))
    assert read_signed(envelope.director.targets.signed).deployment == "face-detector:3"


def test_every_command_is_on_the_page_with_its_arguments() -> None:
    asked = shape.read(commands.Request, example(PAGE, "cmd/<type>/<id>/req"))
    commands.read_args("restart", asked.command.signed["args"])
    for type_ in commands.ARGS:
        assert f"| `{type_}` |" in PAGE


def test_every_topic_that_the_contract_knows_is_on_the_page() -> None:
    fixed = {topics.DESIRED, topics.REPORTED, topics.STATE, topics.CAPS, topics.HEALTH, topics.ACK}

    assert fixed <= PAYLOADS.keys()


def test_the_device_folders_example_is_one_that_the_agent_reads() -> None:
    page = (ROOT / "docs/device-folder.md").read_text()
    found = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert found is not None
    shape.read(DeviceConfig, json.loads(found[1]), strict=True)


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"
