"""Knowledge: documents, their passages, vectors, and the full-text index of each database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The index follows the table by triggers, also where a person's or a conversation's documents go with them.
SQLITE = (
    "CREATE VIRTUAL TABLE kb_chunk_fts USING fts5(terms, content='kb_chunk', content_rowid='id', tokenize='ascii')",
    "CREATE VIRTUAL TABLE kb_chunk_vocab USING fts5vocab('kb_chunk_fts', 'row')",
    "CREATE TRIGGER kb_chunk_added AFTER INSERT ON kb_chunk BEGIN "
    "INSERT INTO kb_chunk_fts (rowid, terms) VALUES (new.id, new.terms); END",
    "CREATE TRIGGER kb_chunk_gone AFTER DELETE ON kb_chunk BEGIN "
    "INSERT INTO kb_chunk_fts (kb_chunk_fts, rowid, terms) VALUES ('delete', old.id, old.terms); END",
)
# The terms are cut already: an array becomes the vector as it is, past PostgreSQL's own notion of words.
POSTGRESQL = (
    "ALTER TABLE kb_chunk ADD COLUMN tsv tsvector "
    "GENERATED ALWAYS AS (array_to_tsvector(string_to_array(terms, ' '))) STORED",
    "ALTER TABLE kb_chunk ALTER COLUMN tsv SET STATISTICS 1000",
    "CREATE INDEX ix_kb_chunk_tsv ON kb_chunk USING gin (tsv)",
)


def upgrade() -> None:
    _documents()
    _chunks()
    _embeddings()
    op.create_table(
        "kb_state",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_kb_state"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_kb_state_tenant_id_tenant", ondelete="CASCADE"),
    )
    for statement in POSTGRESQL if op.get_context().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)


def _documents() -> None:
    op.create_table(
        "kb_document",
        sa.Column("id", sa.Text, nullable=False),
        _tenant(),
        sa.Column("person_id", sa.Text),
        sa.Column("conversation_id", sa.Text),
        *(_text(name) for name in ("scope", "uri", "title", "kind")),
        sa.Column("size", sa.BigInteger, nullable=False),
        _text("sha256"),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("recipe", sa.Integer, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kb_document"),
        sa.UniqueConstraint("tenant_id", "scope", "uri", name="uq_kb_document_tenant_id_scope_uri"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_kb_document_tenant_id_tenant"),
        _owner("person"),
        _owner("conversation"),
    )
    op.create_index("ix_kb_document_person_id", "kb_document", ["person_id"])
    op.create_index("ix_kb_document_conversation_id", "kb_document", ["conversation_id"])


def _chunks() -> None:
    op.create_table(
        "kb_chunk",
        sa.Column("id", NUMBER, nullable=False),
        _tenant(),
        *(_text(name) for name in ("document_id", "scope")),
        sa.Column("ordinal", sa.Integer, nullable=False),
        *(_text(name) for name in ("headings", "place", "text", "terms")),
        sa.PrimaryKeyConstraint("id", name="pk_kb_chunk"),
        sa.UniqueConstraint("document_id", "ordinal", name="uq_kb_chunk_document_id_ordinal"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_kb_chunk_tenant_id_tenant"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["kb_document.id"], name="fk_kb_chunk_document_id_kb_document", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )


def _embeddings() -> None:
    op.create_table(
        "kb_embedding",
        sa.Column("chunk_id", NUMBER, nullable=False),
        _text("model"),
        _tenant(),
        _text("scope"),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("chunk_id", "model", name="pk_kb_embedding"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_kb_embedding_tenant_id_tenant"),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["kb_chunk.id"], name="fk_kb_embedding_chunk_id_kb_chunk", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_kb_embedding_tenant_id_model_chunk_id", "kb_embedding", ["tenant_id", "model", "chunk_id"])


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text, nullable=False, server_default="default")


def _owner(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_kb_document_{table}_id_{table}"
    return sa.ForeignKeyConstraint([f"{table}_id"], [f"{table}.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _drop_derived()
    else:
        op.execute("DROP TABLE kb_chunk_vocab")
        op.execute("DROP TABLE kb_chunk_fts")
    for table in ("kb_state", "kb_embedding", "kb_chunk", "kb_document"):
        op.drop_table(table)


def _drop_derived() -> None:
    """Drop the tables of nearest-neighbour indexes, one for each model that was used."""
    op.execute(
        "DO $$ DECLARE name text; BEGIN "
        "FOR name IN SELECT tablename FROM pg_tables "
        "WHERE schemaname = current_schema() AND tablename LIKE 'kb\\_hnsw\\_%' LOOP "
        "EXECUTE format('DROP TABLE %I', name); END LOOP; END $$"
    )
