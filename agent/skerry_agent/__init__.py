"""The program on the device: it makes what runs match what the cloud wants."""
