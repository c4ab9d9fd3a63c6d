"""Any OCI registry: where it is, who we are there, and how an image gets into it."""
