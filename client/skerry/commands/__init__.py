"""One file per noun: each reads its options, asks ``api`` and hands the answer to ``output``."""
