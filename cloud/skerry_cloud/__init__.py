"""The server: registry, compiler, deployments, devices, ingest and the API over them."""
