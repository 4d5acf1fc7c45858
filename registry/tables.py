"""Every table. Times are ISO 8601 text in UTC with microseconds: portable, sortable, readable."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()
_ID = String(36)
_TIME = String(32)
_HASH = String(64)
# On SQLite only INTEGER counts by itself, and it is as wide.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

# What is on its way in or out, beside the many that are in use: indexes of these stay small.
IS_NOT_ACTIVE = text("status <> 'active'")
HAS_TRANSACTION = text("transaction_id IS NOT NULL")
IS_OPEN = text("state = 'pending' OR state = 'approved' AND kind = 'certificate'")
IS_REFUSED = text("outcome IN ('denied', 'failed')")

versions = Table(
    "versions",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", Integer, nullable=False),
)

tenants = Table(
    "tenants",
    METADATA,
    Column("tenant_id", _ID, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("document", Text, nullable=False),
)

groups = Table(
    "groups",
    METADATA,
    Column("group_id", _ID, primary_key=True),
    Column("tenant_id", _ID, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("tenant_id", "name", name="groups_name"),
)

enrollment_profiles = Table(
    "enrollment_profiles",
    METADATA,
    Column("slug", String(64), primary_key=True),
    Column("tenant_id", _ID, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("document", Text, nullable=False),
)

certificate_profiles = Table(
    "certificate_profiles",
    METADATA,
    Column("tenant_id", _ID, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", Text, nullable=False),
)

trust_anchors = Table(
    "trust_anchors",
    METADATA,
    Column("anchor_id", _ID, primary_key=True),
    Column("tenant_id", _ID, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("tenant_id", "name", name="trust_anchors_name"),
)

devices = Table(
    "devices",
    METADATA,
    Column("device_id", _ID, primary_key=True),
    Column("tenant_id", _ID, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("group_id", _ID, ForeignKey("groups.group_id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("description", Text),
    Column("source", String(32), nullable=False),
    Column("attributes", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("status", String(10), nullable=False),
    Column("status_reason", Text),
    Column("connection", String(16), nullable=False),
    Column("assurance", String(8), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("tenant_id", "name", name="devices_name"),
    Index("devices_group", "group_id"),
)

device_identities = Table(
    "device_identities",
    METADATA,
    # The tenant's id, or "*" for kinds that are unique in the whole installation.
    Column("scope", _ID, primary_key=True),
    Column("kind", String(24), primary_key=True),
    Column("value", String(255), primary_key=True),
    Column("device_id", _ID, ForeignKey("devices.device_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Index("device_identities_device", "device_id"),
)

device_keys = Table(
    "device_keys",
    METADATA,
    Column("spki_sha256", _HASH, primary_key=True),
    Column("device_id", _ID),
    Column("compromised", Boolean, nullable=False),
    Column("since", _TIME, nullable=False),
)

codes = Table(
    "codes",
    METADATA,
    Column("code_id", _ID, primary_key=True),
    Column("device_id", _ID, ForeignKey("devices.device_id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("wrapped", LargeBinary),
    Column("max_uses", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
    Index("codes_device", "device_id"),
    Index("codes_digest", "digest"),
)

decryption_keys = Table(
    "decryption_keys",
    METADATA,
    Column("device_id", _ID, ForeignKey("devices.device_id"), primary_key=True),
    Column("key_identifier", _HASH, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("octets", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

certificates = Table(
    "certificates",
    METADATA,
    Column("fingerprint", _HASH, primary_key=True),
    Column("issuer", String(64), nullable=False),
    Column("serial_number", String(40), nullable=False),
    Column("device_id", _ID, ForeignKey("devices.device_id")),
    Column("profile", String(64), nullable=False),
    Column("certificate_class", String(16), nullable=False),
    Column("certificate_profile", String(64), nullable=False),
    Column("certificate_profile_version", Integer, nullable=False),
    Column("spki_sha256", _HASH, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_valid_before", _TIME, nullable=False),
    Column("not_valid_after", _TIME, nullable=False),
    Column("status", String(16), nullable=False),
    Column("issued_at", _TIME, nullable=False),
    Column("credential_id", _HASH),
    Column("attempt_id", String(32)),
    Column("transaction_id", String(256)),
    Column("confirm_until", _TIME),
    Column("confirmed_at", _TIME),
    Column("superseded_at", _TIME),
    Column("revoked_at", _TIME),
    Column("revocation_reason", String(24)),
    Column("held_by", String(128)),
    Column("revocation_transaction", String(256)),
    UniqueConstraint("serial_number", "issuer", name="certificates_serial"),
    Index("certificates_device", "device_id", "status"),
    Index("certificates_issued", "issued_at"),
    Index(
        "certificates_transaction",
        "transaction_id",
        "credential_id",
        unique=True,
        sqlite_where=HAS_TRANSACTION,
        postgresql_where=HAS_TRANSACTION,
    ),
    Index(
        "certificates_status",
        "status",
        "issuer",
        "profile",
        sqlite_where=IS_NOT_ACTIVE,
        postgresql_where=IS_NOT_ACTIVE,
    ),
)

orders = Table(
    "orders",
    METADATA,
    Column("order_id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("device_id", _ID, ForeignKey("devices.device_id"), nullable=False),
    # Empty for the approval of the device itself: NULL would be unlike any other NULL.
    Column("profile", String(64), nullable=False),
    Column("wish", Text),
    Column("reference", Text),
    Column("state", String(16), nullable=False),
    Column("requested_by", String(128), nullable=False),
    Column("requested_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("decided_by", String(128)),
    Column("decided_at", _TIME),
    Column("reason", Text),
    Column("fingerprint", _HASH),
    Column("version", Integer, nullable=False),
    Index("orders_slot", "device_id", "profile"),
    Index("orders_reference", "reference"),
    Index(
        "orders_open",
        "device_id",
        "profile",
        unique=True,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    ),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("attempt_id", String(32), nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("device_id", _ID),
    Column("document", Text, nullable=False),
    Index("attempts_time", "occurred_at"),
    Index("attempts_device", "device_id"),
    Index("attempts_refused", "number", sqlite_where=IS_REFUSED, postgresql_where=IS_REFUSED),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    METADATA,
    Column("stream", String(64), primary_key=True),
    Column("number", _NUMBER, primary_key=True),
    Column("occurred_at", _TIME, nullable=False),
    Column("name", String(48), nullable=False),
    Column("device_id", _ID),
    Column("actor", String(128), nullable=False),
    Column("correlation_id", String(32)),
    Column("facts", Text, nullable=False),
    Column("previous_hash", _HASH, nullable=False),
    Column("hash", _HASH, nullable=False),
    Index("events_device", "device_id"),
)

event_streams = Table(
    "event_streams",
    METADATA,
    Column("stream", String(64), primary_key=True),
    Column("number", _NUMBER, nullable=False),
    Column("hash", _HASH, nullable=False),
    Column("seal", _HASH, nullable=False),
)

tallies = Table(
    "tallies",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("period", String(10), nullable=False),
    Column("taken", Integer, nullable=False),
    Column("most", Integer, nullable=False),
)

crls = Table(
    "crls",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", _TIME, nullable=False),
    Column("next_update", _TIME, nullable=False),
    Column("revocation_version", Integer, nullable=False),
)

access_keys = Table(
    "access_keys",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME),
    Column("revoked_at", _TIME),
)
