"""What Alembic runs for each command: it works on the connection that it is given."""

from alembic import context

from skerry_cloud.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by making it anew, and like PostgreSQL undoes that on an error.
    render_as_batch=True,
    transactional_ddl=True,
)
# The caller's transaction holds all of it.
context.run_migrations()
