"""Module images: what they say of themselves, how they leave the cloud, and in which forms."""
