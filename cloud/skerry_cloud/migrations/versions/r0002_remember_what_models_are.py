"""Remember what models are and where they come from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table("counters", schema=None) as batch_op:
        batch_op.alter_column(
            "name",
            existing_type=sa.VARCHAR(length=127),
            type_=sa.String(length=255),
            existing_nullable=False,
        )

    with op.batch_alter_table("model_files", schema=None) as batch_op:
        batch_op.alter_column(
            "model",
            existing_type=sa.VARCHAR(length=63),
            type_=sa.String(length=255),
            existing_nullable=False,
        )

    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("created_by", sa.String(length=255), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("digest", sa.String(length=71), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("archived", sa.Double(), nullable=True))
        batch_op.add_column(
            sa.Column("parent", sa.String(length=265), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("more", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("findings", sa.JSON(), server_default="[]", nullable=False))
        batch_op.alter_column(
            "name",
            existing_type=sa.VARCHAR(length=63),
            type_=sa.String(length=255),
            existing_nullable=False,
        )
        batch_op.create_index(batch_op.f("ix_models_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_models_parent"), ["parent"], unique=False)

    with op.batch_alter_table("module_models", schema=None) as batch_op:
        batch_op.alter_column(
            "model",
            existing_type=sa.VARCHAR(length=63),
            type_=sa.String(length=255),
            existing_nullable=False,
        )
