"""A broker that dies is started again, with pauses that grow."""

from itertools import pairwise

from skerry_cloud.keeper import MAX_PAUSE_S, Keeper
from skerry_contract.errors import BrokerError


class Patient:
    """A process that starts only ``healthy`` of the time it is asked to."""

    def __init__(self) -> None:
        self.running = True
        self.starts = 0
        self.can_start = True

    def alive(self) -> bool:
        return self.running

    def restart(self) -> None:
        self.starts += 1
        if not self.can_start:
            raise BrokerError("no room")
        self.running = True

    def stop(self) -> None:
        self.running = False


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_broker_that_lives_is_left_alone() -> None:
    patient, watch = Patient(), Watch()
    keeper = Keeper(patient, watch)
    keeper.look()
    assert patient.starts == 0


def test_a_broker_that_died_is_started_at_once() -> None:
    patient, watch = Patient(), Watch()
    keeper = Keeper(patient, watch)
    patient.running = False
    keeper.look()
    assert (patient.starts, patient.running) == (1, True)


def test_a_broker_that_does_not_start_is_tried_more_and_more_rarely() -> None:
    patient, watch = Patient(), Watch()
    patient.running = patient.can_start = False
    keeper = Keeper(patient, watch)
    tries = []
    while watch.now < 600:
        before = patient.starts
        keeper.look()
        if patient.starts > before:
            tries.append(watch.now)
        watch.now += 0.5
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1.0
    assert pauses[-1] == MAX_PAUSE_S


def test_after_a_good_while_the_next_start_does_not_wait() -> None:
    patient, watch = Patient(), Watch()
    keeper = Keeper(patient, watch)
    for _ in range(3):
        patient.running = False
        keeper.look()
        watch.now += 1000
    assert patient.starts == 3
