import itertools
from datetime import UTC, datetime
from uuid import UUID

import pytest

from enroll.device import TRANSITIONS, Cause, DeviceState, new_id


def test_every_transition_starts_from_a_state_that_something_leads_to() -> None:
    reached = set(TRANSITIONS.values()) | {None}

    assert all(state in reached for state, _ in TRANSITIONS)


def test_every_cause_is_in_the_table() -> None:
    assert {cause for _, cause in TRANSITIONS} == set(Cause)


@pytest.mark.parametrize("cause", Cause)
def test_nothing_leads_out_of_deleted(cause: Cause) -> None:
    assert (DeviceState.DELETED, cause) not in TRANSITIONS


def test_lifecycle_T03_T04_a_decision_and_time_alone_lead_out_of_unapproved() -> None:
    leading = {
        cause: after
        for (state, cause), after in TRANSITIONS.items()
        if state is DeviceState.PENDING_APPROVAL
    }

    assert leading == {
        Cause.APPROVE: DeviceState.ENROLLED,
        Cause.REJECT: DeviceState.DELETED,
        Cause.APPROVAL_EXPIRED: DeviceState.DELETED,
    }


def test_only_registration_makes_a_device() -> None:
    making = {cause for state, cause in TRANSITIONS if state is None}

    assert making == {Cause.REGISTER, Cause.APPLY}


def test_provisioned_is_reached_only_by_meeting_the_requirements() -> None:
    leading = {
        cause
        for (state, cause), after in TRANSITIONS.items()
        if after is DeviceState.PROVISIONED and state is not DeviceState.PROVISIONED
    }

    assert leading == {Cause.REQUIREMENTS_MET}


def test_DC1_ids_are_uuids_of_version_seven_in_the_order_of_time() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    later = datetime(2026, 1, 2, tzinfo=UTC)
    octets = [bytes([value]) * 10 for value in (0x00, 0xFF, 0x5A)]

    made = [new_id(at, each) for at, each in itertools.product((first, later), octets)]

    assert len(set(made)) == len(made)
    assert {UUID(each).version for each in made} == {7}
    assert {UUID(each).variant for each in made} == {UUID(made[0]).variant}
    assert max(made[:3]) < min(made[3:])
