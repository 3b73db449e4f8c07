"""Create all tables, and the full-text index of each database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, flag, index, integer, json, moment, reference, tenant, text

revision = "0001_first"
down_revision = None
branch_labels = None
depends_on = None

# Columns are written out instead of imported from the tables: this migration does not change with them.
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
    op.create_table("tenant", text("id", primary_key=True), text("name"))
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
    create(
        "person",
        flag("remembers", sa.true()),
        json("listed_facts", nullable=True),
        moment("created_at"),
    )
    create(
        "person_identity",
        reference("person_id", "person"),
        text("channel"),
        text("account"),
        text("external_user_id"),
        moment("created_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_user_id"),
    )
    index("person_identity", "person_id")


def _conversations() -> None:
    create(
        "conversation",
        text("channel"),
        text("account"),
        text("external_id"),
        integer("next_sequence"),
        text("title"),
        text("mode", server_default="bot"),
        text("locale", nullable=True),
        json("settings", server_default=sa.text("'{}'")),
        integer("learned_sequence", server_default=sa.text("0")),
        moment("created_at"),
        moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_id"),
        sa.CheckConstraint("mode IN ('bot', 'waiting', 'human', 'resolved', 'snoozed')", name="mode"),
    )
    index("conversation", "tenant_id", "updated_at")
    create(
        "message",
        reference("conversation_id", "conversation"),
        integer("sequence"),
        text("role"),
        integer("part"),
        reference("person_id", "person", nullable=True),
        text("text"),
        json("parts", nullable=True),
        text("model", nullable=True),
        moment("created_at"),
        sa.UniqueConstraint("conversation_id", "sequence", "role", "part"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="role"),
    )
    index("message", "person_id")
    create(
        "attachment",
        reference("message_id", "message"),
        integer("ordinal"),
        text("kind"),
        text("mime"),
        text("name"),
        integer("size"),
        text("sha256"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("message_id", "ordinal"),
    )
    create(
        "conversation_summary",
        reference("conversation_id", "conversation"),
        integer("to_sequence"),
        text("text"),
        text("model"),
        moment("created_at"),
        sa.UniqueConstraint("conversation_id", "to_sequence"),
    )


def _turns() -> None:
    create(
        "turn",
        reference("conversation_id", "conversation"),
        integer("sequence"),
        reference("question_id", "message"),
        text("status"),
        text("error", nullable=True),
        text("role", nullable=True),
        sa.Column("confidence", sa.Double),
        text("model", nullable=True),
        text("engine", nullable=True),
        json("receipt", nullable=True),
        text("thinking", server_default=""),
        moment("started_at"),
        moment("finished_at", nullable=True),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.UniqueConstraint("question_id"),
        sa.CheckConstraint("status IN ('running', 'done', 'failed', 'stopped')", name="status"),
    )
    index("turn", "conversation_id", name="ix_turn_running", where="status = 'running'")
    create(
        "feedback",
        reference("turn_id", "turn"),
        reference("person_id", "person", nullable=True),
        integer("rating"),
        text("preferred_role", nullable=True),
        text("preferred_model", nullable=True),
        text("comment", nullable=True),
        moment("created_at"),
        sa.CheckConstraint("rating IN (1, -1)", name="rating"),
    )
    index("feedback", "turn_id")
    index("feedback", "person_id")
    create(
        "tool_call",
        reference("turn_id", "turn"),
        integer("ordinal"),
        text("name"),
        json("arguments"),
        sa.Column("ok", sa.Boolean, nullable=False),
        text("result"),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.UniqueConstraint("turn_id", "ordinal"),
    )


def _facts() -> None:
    create(
        "fact",
        reference("person_id", "person"),
        text("namespace", server_default=""),
        text("key"),
        text("value"),
        json("data", nullable=True),
        text("category"),
        sa.Column("confidence", sa.Double, nullable=False),
        reference("source_message_id", "message", nullable=True, ondelete="SET NULL"),
        moment("valid_from"),
        moment("valid_to", nullable=True),
        sa.Column(
            "superseded_by",
            sa.Text,
            sa.ForeignKey("fact.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"),
        ),
    )
    key = ("tenant_id", "namespace", "key", "person_id")
    index("fact", *key, name="uq_fact_live", where="valid_to IS NULL", unique=True)
    index("fact", "person_id", "namespace", "id", name="ix_fact_newest")
    index("fact", "source_message_id")
    index("fact", "superseded_by")
    create(
        "link_code",
        text("digest"),
        reference("owner_id", "person_identity"),
        reference("other_id", "person_identity", nullable=True),
        sa.Column("owner_entered", sa.Boolean, nullable=False),
        moment("expires_at"),
        sa.UniqueConstraint("tenant_id", "digest"),
    )
    index("link_code", "owner_id")
    index("link_code", "other_id")
    create("audit", moment("at"), text("action"), text("subject"), json("counts"))
    index("audit", "tenant_id", "at")


def _inbox() -> None:
    create(
        "inbound_event",
        text("channel"),
        text("account"),
        text("event", nullable=True),
        reference("conversation_id", "conversation"),
        integer("sequence"),
        text("person"),
        json("payload"),
        text("status", server_default="queued"),
        integer("runs", server_default=sa.text("0")),
        integer("forgiven_runs", server_default=sa.text("0")),
        integer("generation", server_default=sa.text("0")),
        json("saved_reply", nullable=True),
        flag("cancel_requested", sa.text("false")),
        text("error", nullable=True),
        moment("received_at"),
        moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "channel", "account", "event"),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name="status"),
    )
    index("inbound_event", "conversation_id", name="ix_inbound_event_open", where="status = 'queued'")
    index("inbound_event", "finished_at", name="ix_inbound_event_finished", where="finished_at IS NOT NULL")
    create(
        "inbound_file",
        reference("inbound_id", "inbound_event"),
        integer("ordinal"),
        text("kind"),
        text("mime"),
        text("name"),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    index("inbound_file", "inbound_id")


def _outbox() -> None:
    create(
        "outbound",
        text("key"),
        reference("inbound_id", "inbound_event", nullable=True),
        reference("conversation_id", "conversation"),
        integer("part"),
        text("text"),
        text("plain", server_default=""),
        text("status"),
        text("message_id", nullable=True),
        integer("attempts", server_default=sa.text("0")),
        text("error", nullable=True),
        moment("created_at"),
        moment("sent_at", nullable=True),
        sa.UniqueConstraint("key"),
        sa.CheckConstraint("status IN ('queued', 'sending', 'sent', 'failed')", name="status"),
    )
    index("outbound", "inbound_id")
    index("outbound", "conversation_id", "id")
    index("outbound", "id", name="ix_outbound_failed", where="status = 'failed'")


def _access() -> None:
    create(
        "access",
        text("channel"),
        text("account"),
        text("person"),
        text("display_name"),
        text("state"),
        text("role", server_default="person"),
        text("code", nullable=True),
        moment("expires_at", nullable=True),
        moment("created_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "person"),
        sa.UniqueConstraint("code"),
        sa.CheckConstraint("state IN ('waiting', 'allowed', 'denied')", name="state"),
        sa.CheckConstraint("role IN ('person', 'operator', 'owner')", name="role"),
    )
    op.create_table(
        "rate_bucket",
        text("key", primary_key=True),
        tenant(),
        sa.Column("tokens", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    create("desk_worker", text("host"), integer("process"), moment("started_at"), moment("seen_at"))


def _documents() -> None:
    create(
        "kb_document",
        reference("person_id", "person", nullable=True),
        reference("conversation_id", "conversation", nullable=True),
        text("scope"),
        text("uri"),
        text("title"),
        text("kind"),
        sa.Column("size", sa.BigInteger, nullable=False),
        text("sha256"),
        integer("chunks"),
        integer("conversion_version"),
        integer("terms_version", server_default=sa.text("1")),
        text("notes", server_default=""),
        moment("added_at"),
        sa.UniqueConstraint("tenant_id", "scope", "uri"),
    )
    index("kb_document", "person_id")
    index("kb_document", "conversation_id")
    op.create_table(
        "kb_chunk",
        sa.Column("id", NUMBER, primary_key=True),
        tenant(),
        reference("document_id", "kb_document"),
        text("scope"),
        integer("ordinal"),
        text("headings"),
        text("place"),
        text("text"),
        text("terms"),
        sa.UniqueConstraint("document_id", "ordinal"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "kb_embedding",
        sa.Column("chunk_id", NUMBER, sa.ForeignKey("kb_chunk.id", ondelete="CASCADE"), primary_key=True),
        text("model", primary_key=True),
        tenant(),
        text("scope"),
        integer("dimension"),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    index("kb_embedding", "tenant_id", "model", "chunk_id")
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
