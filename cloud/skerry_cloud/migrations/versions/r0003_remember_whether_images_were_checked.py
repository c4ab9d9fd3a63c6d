"""Remember whether images were checked."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table("module_images", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("checked", sa.String(length=16), server_default="unknown", nullable=False)
        )
