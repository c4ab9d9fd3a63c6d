"""The scorer host: it runs an entry script inside a module, and knows nothing of the others."""
