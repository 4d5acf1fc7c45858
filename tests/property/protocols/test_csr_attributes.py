"""Whatever a profile wants, /csrattrs says it in DER, and in both styles alike."""

from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from enroll.options import CSRAttributesStyle
from enroll.policy.names import ATTRIBUTE_TYPES
from enroll.profiles import SIGNING, KeyUsageBit
from enroll.requirements import (
    AlternativeNameKind,
    RequestRequirements,
    WantedAttribute,
    WantedName,
)
from protocols.est.csr_attributes import encode
from tests.support.csr_attributes import read

ALTERNATIVE_NAME = "2.5.29.17"
WHOLE = "1.2.840.113549.1.9.14"
CURVES_AND_RSA = ("1.2.840.10045.2.1", "1.2.840.113549.1.1.1")

types = st.sampled_from(sorted(set(ATTRIBUTE_TYPES.values()), key=lambda oid: oid.dotted_string))
values = st.text("abc é", min_size=2, max_size=2)
attributes = st.builds(WantedAttribute, type=types, value=st.none()) | st.builds(
    WantedAttribute,
    type=types.filter(lambda oid: oid not in {ATTRIBUTE_TYPES["C"], ATTRIBUTE_TYPES["DC"]}),
    value=values,
)
hosts = st.from_regex(r"[a-z]{1,60}\.example", fullmatch=True)
names = (
    st.builds(WantedName, kind=st.sampled_from(AlternativeNameKind), value=st.none())
    | st.builds(WantedName, kind=st.just(AlternativeNameKind.DNS), value=hosts.map(x509.DNSName))
    | st.builds(
        WantedName,
        kind=st.just(AlternativeNameKind.IP),
        value=st.ip_addresses().map(x509.IPAddress),
    )
)
purposes = st.integers(1, 40).map(lambda each: x509.ObjectIdentifier(f"1.3.6.1.5.5.7.3.{each}"))
requirements = st.builds(
    RequestRequirements,
    key=st.none() | st.sampled_from(sorted(SIGNING)),
    subject=st.lists(attributes, max_size=5).map(tuple),
    alternative_names=st.lists(names, max_size=5).map(tuple),
    key_usage=st.frozensets(st.sampled_from(KeyUsageBit)),
    extended_key_usage=st.lists(purposes, max_size=3, unique=True).map(tuple),
)


@given(requirements)
def test_est_A10_both_styles_say_the_same(wanted: RequestRequirements) -> None:
    der = encode(wanted, CSRAttributesStyle.BOTH)
    if not der:
        assert wanted == RequestRequirements()
        return

    listed, template = read(der)

    assert template is not None
    extensions = dict(template.extensions)
    if listed.request != template.request:
        # Only what the list cannot say in part is a bare identifier there.
        assert template.request != WHOLE
        assert ALTERNATIVE_NAME in listed.oids
        extensions.pop(ALTERNATIVE_NAME)
    assert listed.extensions == extensions
    subject = [kind for kind, _ in template.subject or ()]
    assert [each for each in listed.oids if each in subject] == list(dict.fromkeys(subject))
    if template.key is None:
        assert listed.key is None
    elif template.key[0] in CURVES_AND_RSA:
        assert listed.key is not None
        bits = template.key_bits
        assert listed.key == (template.key[0], str(bits) if bits else template.key[1])
    else:
        assert template.key[0] in listed.oids


@given(requirements)
def test_est_A7_the_list_alone_is_the_list_beside_a_template(wanted: RequestRequirements) -> None:
    alone = encode(wanted, CSRAttributesStyle.LIST)
    beside = encode(wanted, CSRAttributesStyle.BOTH)

    assert bool(alone) is bool(beside)
    if alone:
        assert read(alone)[0] == read(beside)[0]
