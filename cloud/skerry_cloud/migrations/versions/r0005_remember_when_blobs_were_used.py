"""Remember when blobs were used."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "blob_uses",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("used", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("blob_uses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_blob_uses_used"), ["used"], unique=False)
