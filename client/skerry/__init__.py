"""What people type and import; it talks to the cloud over HTTP only."""
