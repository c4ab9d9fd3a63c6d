"""What runs in the converters' environments, in a process of its own; it never imports skerry."""
