"""What can be seen of the host from outside: logs, metrics and traces."""
