"""Create all tables, and the full-text index of each database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001_first"
down_revision = None
branch_labels = None
depends_on = None

# Columns are written out instead of imported from the tables: this migration does not change with them.
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = (
    *("kb_state", "kb_embedding", "kb_chunk", "kb_document"),
    *("desk_worker", "access", "rate_bucket", "outbound", "inbound_file", "inbound_event"),
    *("audit", "link_code", "fact", "conversation_summary", "tool_call"),
    *("feedback", "turn", "attachment", "message", "conversation", "person_identity", "person", "tenant"),
)

# Triggers keep SQLite's index up to date, also for documents that are deleted with a person or a conversation.
SQLITE_FULL_TEXT = (
    "CREATE VIRTUAL TABLE kb_chunk_fts USING fts5(terms, content='kb_chunk', content_rowid='id', tokenize='ascii')",
    "CREATE VIRTUAL TABLE kb_chunk_vocab USING fts5vocab('kb_chunk_fts', 'row')",
    "CREATE TRIGGER kb_chunk_added AFTER INSERT ON kb_chunk BEGIN "
    "INSERT INTO kb_chunk_fts (rowid, terms) VALUES (new.id, new.terms); END",
    "CREATE TRIGGER kb_chunk_gone AFTER DELETE ON kb_chunk BEGIN "
    "INSERT INTO kb_chunk_fts (kb_chunk_fts, rowid, terms) VALUES ('delete', old.id, old.terms); END",
)
# The text is split into terms already, so the vector is built from an array and not by a PostgreSQL parser.
POSTGRESQL_FULL_TEXT = (
    "ALTER TABLE kb_chunk ADD COLUMN tsv tsvector "
    "GENERATED ALWAYS AS (array_to_tsvector(string_to_array(terms, ' '))) STORED",
    "ALTER TABLE kb_chunk ALTER COLUMN tsv SET STATISTICS 1000",
    "CREATE INDEX ix_kb_chunk_tsv ON kb_chunk USING gin (tsv)",
)


def upgrade() -> None:
    op.create_table("tenant", _text("id", primary_key=True), _text("name"))
    op.execute("INSERT INTO tenant (id, name) VALUES ('default', 'Default')")
    _people()
    _conversations()
    _turns()
    _facts()
    _inbox()
    _outbox()
    _access()
    _documents()
    is_postgresql = op.get_context().dialect.name == "postgresql"
    for statement in POSTGRESQL_FULL_TEXT if is_postgresql else SQLITE_FULL_TEXT:
        op.execute(statement)


def _people() -> None:
    _create(
        "person",
        sa.Column("remembers", sa.Boolean, nullable=False, server_default=sa.true()),
        _json("listed_facts", nullable=True),
        _moment("created_at"),
    )
    _create(
        "person_identity",
        _reference("person_id", "person"),
        _text("channel"),
        _text("account"),
        _text("external_user_id"),
        _moment("created_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_user_id"),
    )
    _index("person_identity", "person_id")


def _conversations() -> None:
    _create(
        "conversation",
        _text("channel"),
        _text("account"),
        _text("external_id"),
        _integer("next_sequence"),
        _text("title"),
        _text("mode", server_default="bot"),
        _text("locale", nullable=True),
        _json("settings", server_default=sa.text("'{}'")),
        _integer("learned_sequence", server_default=sa.text("0")),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_id"),
        sa.CheckConstraint("mode IN ('bot', 'waiting', 'human', 'resolved', 'snoozed')", name="mode"),
    )
    _index("conversation", "tenant_id", "updated_at")
    _create(
        "message",
        _reference("conversation_id", "conversation"),
        _integer("sequence"),
        _text("role"),
        _integer("part"),
        _reference("person_id", "person", nullable=True),
        _text("text"),
        _json("parts", nullable=True),
        _text("model", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("conversation_id", "sequence", "role", "part"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="role"),
    )
    _index("message", "person_id")
    _create(
        "attachment",
        _reference("message_id", "message"),
        _integer("ordinal"),
        _text("kind"),
        _text("mime"),
        _text("name"),
        _integer("size"),
        _text("sha256"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("message_id", "ordinal"),
    )
    _create(
        "conversation_summary",
        _reference("conversation_id", "conversation"),
        _integer("to_sequence"),
        _text("text"),
        _text("model"),
        _moment("created_at"),
        sa.UniqueConstraint("conversation_id", "to_sequence"),
    )


def _turns() -> None:
    _create(
        "turn",
        _reference("conversation_id", "conversation"),
        _integer("sequence"),
        _reference("question_id", "message"),
        _text("status"),
        _text("error", nullable=True),
        _text("role", nullable=True),
        sa.Column("confidence", sa.Double),
        _text("model", nullable=True),
        _text("engine", nullable=True),
        _json("receipt", nullable=True),
        _text("thinking", server_default=""),
        _moment("started_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.UniqueConstraint("question_id"),
        sa.CheckConstraint("status IN ('running', 'done', 'failed', 'stopped')", name="status"),
    )
    _index("turn", "conversation_id", name="ix_turn_running", where="status = 'running'")
    _create(
        "feedback",
        _reference("turn_id", "turn"),
        _reference("person_id", "person", nullable=True),
        _integer("rating"),
        _text("preferred_role", nullable=True),
        _text("preferred_model", nullable=True),
        _text("comment", nullable=True),
        _moment("created_at"),
        sa.CheckConstraint("rating IN (1, -1)", name="rating"),
    )
    _index("feedback", "turn_id")
    _index("feedback", "person_id")
    _create(
        "tool_call",
        _reference("turn_id", "turn"),
        _integer("ordinal"),
        _text("name"),
        _json("arguments"),
        sa.Column("ok", sa.Boolean, nullable=False),
        _text("result"),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.UniqueConstraint("turn_id", "ordinal"),
    )


def _facts() -> None:
    _create(
        "fact",
        _reference("person_id", "person"),
        _text("namespace", server_default=""),
        _text("key"),
        _text("value"),
        _json("data", nullable=True),
        _text("category"),
        sa.Column("confidence", sa.Double, nullable=False),
        _reference("source_message_id", "message", nullable=True, ondelete="SET NULL"),
        _moment("valid_from"),
        _moment("valid_to", nullable=True),
        sa.Column(
            "superseded_by",
            sa.Text,
            sa.ForeignKey("fact.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"),
        ),
    )
    key = ("tenant_id", "namespace", "key", "person_id")
    _index("fact", *key, name="uq_fact_live", where="valid_to IS NULL", unique=True)
    _index("fact", "person_id", "namespace", "id", name="ix_fact_newest")
    _index("fact", "source_message_id")
    _index("fact", "superseded_by")
    _create(
        "link_code",
        _text("digest"),
        _reference("owner_id", "person_identity"),
        _reference("other_id", "person_identity", nullable=True),
        sa.Column("owner_entered", sa.Boolean, nullable=False),
        _moment("expires_at"),
        sa.UniqueConstraint("tenant_id", "digest"),
    )
    _index("link_code", "owner_id")
    _index("link_code", "other_id")
    _create("audit", _moment("at"), _text("action"), _text("subject"), _json("counts"))
    _index("audit", "tenant_id", "at")


def _inbox() -> None:
    _create(
        "inbound_event",
        _text("channel"),
        _text("account"),
        _text("event", nullable=True),
        _reference("conversation_id", "conversation"),
        _integer("sequence"),
        _text("person"),
        _json("payload"),
        _text("status", server_default="queued"),
        _integer("runs", server_default=sa.text("0")),
        _integer("forgiven_runs", server_default=sa.text("0")),
        _integer("generation", server_default=sa.text("0")),
        _json("saved_reply", nullable=True),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _text("error", nullable=True),
        _moment("received_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "channel", "account", "event"),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name="status"),
    )
    _index("inbound_event", "conversation_id", name="ix_inbound_event_open", where="status = 'queued'")
    _index("inbound_event", "finished_at", name="ix_inbound_event_finished", where="finished_at IS NOT NULL")
    _create(
        "inbound_file",
        _reference("inbound_id", "inbound_event"),
        _integer("ordinal"),
        _text("kind"),
        _text("mime"),
        _text("name"),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    _index("inbound_file", "inbound_id")


def _outbox() -> None:
    _create(
        "outbound",
        _text("key"),
        _reference("inbound_id", "inbound_event", nullable=True),
        _reference("conversation_id", "conversation"),
        _integer("part"),
        _text("text"),
        _text("plain", server_default=""),
        _text("status"),
        _text("message_id", nullable=True),
        _integer("attempts", server_default=sa.text("0")),
        _text("error", nullable=True),
        _moment("created_at"),
        _moment("sent_at", nullable=True),
        sa.UniqueConstraint("key"),
        sa.CheckConstraint("status IN ('queued', 'sending', 'sent', 'failed')", name="status"),
    )
    _index("outbound", "inbound_id")
    _index("outbound", "conversation_id", "id")
    _index("outbound", "id", name="ix_outbound_failed", where="status = 'failed'")


def _access() -> None:
    _create(
        "access",
        _text("channel"),
        _text("account"),
        _text("person"),
        _text("display_name"),
        _text("state"),
        _text("role", server_default="person"),
        _text("code", nullable=True),
        _moment("expires_at", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "person"),
        sa.UniqueConstraint("code"),
        sa.CheckConstraint("state IN ('waiting', 'allowed', 'denied')", name="state"),
        sa.CheckConstraint("role IN ('person', 'operator', 'owner')", name="role"),
    )
    op.create_table(
        "rate_bucket",
        _text("key", primary_key=True),
        _tenant(),
        sa.Column("tokens", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    _create("desk_worker", _text("host"), _integer("process"), _moment("started_at"), _moment("seen_at"))


def _documents() -> None:
    _create(
        "kb_document",
        _reference("person_id", "person", nullable=True),
        _reference("conversation_id", "conversation", nullable=True),
        _text("scope"),
        _text("uri"),
        _text("title"),
        _text("kind"),
        sa.Column("size", sa.BigInteger, nullable=False),
        _text("sha256"),
        _integer("chunks"),
        _integer("conversion_version"),
        _integer("terms_version", server_default=sa.text("1")),
        _text("notes", server_default=""),
        _moment("added_at"),
        sa.UniqueConstraint("tenant_id", "scope", "uri"),
    )
    _index("kb_document", "person_id")
    _index("kb_document", "conversation_id")
    op.create_table(
        "kb_chunk",
        sa.Column("id", NUMBER, primary_key=True),
        _tenant(),
        _reference("document_id", "kb_document"),
        _text("scope"),
        _integer("ordinal"),
        _text("headings"),
        _text("place"),
        _text("text"),
        _text("terms"),
        sa.UniqueConstraint("document_id", "ordinal"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "kb_embedding",
        sa.Column("chunk_id", NUMBER, sa.ForeignKey("kb_chunk.id", ondelete="CASCADE"), primary_key=True),
        _text("model", primary_key=True),
        _tenant(),
        _text("scope"),
        _integer("dimension"),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    _index("kb_embedding", "tenant_id", "model", "chunk_id")
    op.create_table(
        "kb_state",
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _drop_vector_indexes()
    else:
        op.execute("DROP TABLE IF EXISTS kb_chunk_vocab")
        op.execute("DROP TABLE IF EXISTS kb_chunk_fts")
    for table in TABLES:
        op.drop_table(table, if_exists=True)


def _drop_vector_indexes() -> None:
    """Drop the tables of nearest-neighbour indexes; there is one for each embedding model."""
    op.execute(
        "DO $$ DECLARE name text; BEGIN "
        "FOR name IN SELECT tablename FROM pg_tables "
        "WHERE schemaname = current_schema() AND tablename LIKE 'kb\\_hnsw\\_%' LOOP "
        "EXECUTE format('DROP TABLE %I', name); END LOOP; END $$"
    )


def _create(table: str, *items: Any) -> None:
    op.create_table(table, _text("id", primary_key=True), _tenant(), *items)


def _index(table: str, *columns: str, name: str | None = None, where: str | None = None, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        name or op.f(f"ix_{table}_{'_'.join(columns)}"),
        table,
        list(columns),
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _tenant() -> sa.Column[str]:
    return _reference("tenant_id", "tenant", ondelete=None, server_default="default")


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _integer(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, **options)


def _json(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, JSON, **{"nullable": False, **options})


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **options})


def _reference(
    name: str, table: str, *, nullable: bool = False, ondelete: str | None = "CASCADE", **options: Any
) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable, **options)
