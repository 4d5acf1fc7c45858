"""Whoever the profile names outside has agreed, before a person is asked or a key is touched."""

from dataclasses import replace

from enroll.failures import NotAuthorized
from enroll.orders import OrderState
from enroll.policy.wishes import shown_names, shown_subject
from enroll.ruling import Enrichment, Question, Ruling, Unanswered
from enroll.stages.authorize import check_names
from enroll.steps import Authorized, Held, Identified
from enroll.trace import DecisionTrace

CHECK = "webhook"


def consult(step: Authorized | Held, trace: DecisionTrace) -> Authorized | Held:
    """Apply the ruling that the trace brings along.

    What waits for a person was asked about before it did, and what a person approved is that
    person's to answer for. Raises Unanswered if there is no ruling on this very question yet,
    NotAuthorized if it is no.
    """
    name = step.identified.authenticated.addressed.profile.decision_webhook
    if name is None or _is_a_persons(step):
        return step
    question = _question(name, step)
    answered = trace.answered
    if answered is None or answered.question != question:
        raise Unanswered(question)
    ruling = answered.ruling
    if not ruling.allowed:
        trace.failed(CHECK, _note(name, "deny", ruling))
        raise NotAuthorized(
            f"webhook {name!r} denies it: {ruling.reason or 'no reason given'}",
            finding="webhook_denied",
        )
    enrichment = _enrichment(name, step.identified, ruling)
    if enrichment is None:
        trace.passed(CHECK, _note(name, "allow", ruling))
        return step
    trace.passed(CHECK, _note(name, f"sets {', '.join(sorted(enrichment.after))}", ruling))
    return _enriched(step, enrichment, trace)


def _is_a_persons(step: Authorized | Held) -> bool:
    """Tell whether an order has it in hand; one that nobody has to decide any more does not."""
    if step.order is None:
        return False
    return isinstance(step, Held) or step.order.state is OrderState.APPROVED


def _question(name: str, step: Authorized | Held) -> Question:
    authenticated = step.identified.authenticated
    addressed, device = authenticated.addressed, step.identified.device
    request, origin = addressed.request, addressed.request.origin
    wanted = request.certificate_request
    return Question(
        webhook=name,
        correlation_id=origin.correlation_id,
        protocol=origin.protocol,
        operation=request.operation,
        profile=addressed.profile.slug,
        device_id=device.device_id,
        device_name=device.name,
        device_serial_number=device.serial_number,
        group=step.identified.group.name,
        attributes=dict(device.attributes),
        subject=shown_subject(wanted),
        names=shown_names(wanted),
        spki_sha256=wanted.spki_sha256 if request.key_wish is None else None,
        key_algorithm=step.key_algorithm,
        credential=authenticated.authentication.kind,
        registration_authority=authenticated.acting.name if authenticated.acting else None,
        peer_address=origin.peer_address,
    )


def _enrichment(name: str, step: Identified, ruling: Ruling) -> Enrichment | None:
    """Find what the ruling changes, if it changes anything."""
    known = step.device.attributes
    after = {key: value for key, value in ruling.attributes.items() if known.get(key) != value}
    if not after:
        return None
    before = {key: known[key] for key in after if key in known}
    return Enrichment(webhook=name, before=before, after=after)


def _enriched(
    step: Authorized | Held, enrichment: Enrichment, trace: DecisionTrace
) -> Authorized | Held:
    """Give the device its attributes, and judge anew what names were asked for."""
    device = step.identified.device
    identified = replace(
        step.identified,
        device=replace(device, attributes={**device.attributes, **enrichment.after}),
        enrichment=enrichment,
    )
    try:
        check_names(identified)
    except NotAuthorized as error:
        trace.failed("authorization", error.finding)
        raise
    return replace(step, identified=identified)


def _note(name: str, verdict: str, ruling: Ruling) -> str:
    return f"{name}: {verdict}" + (f" ({ruling.reason})" if ruling.reason else "")
