"""Remember commands to devices and gaps in their streams."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=63), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("issued", sa.Double(), nullable=False),
        sa.Column("issued_by", sa.String(length=255), nullable=False),
        sa.Column("deadline", sa.Double(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("bundle", sa.String(length=71), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.create_index("commands_by_device", ["device", "number"], unique=True)
        batch_op.create_index(batch_op.f("ix_commands_state"), ["state"], unique=False)

    op.create_table(
        "gaps",
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("boot", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=127), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("noticed", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"]),
        sa.PrimaryKeyConstraint("device", "boot", "stream", "first"),
    )
    with op.batch_alter_table("gaps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gaps_noticed"), ["noticed"], unique=False)

    op.create_table(
        "command_lines",
        sa.Column("command", sa.String(length=16), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["command"], ["commands.id"]),
        sa.PrimaryKeyConstraint("command", "n"),
    )
