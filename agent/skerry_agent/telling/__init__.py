"""What the device says of itself: the outbox, the connection that carries it, health and checks."""
