"""From MQTT to the store, with exactly-once effect.

``sequences`` decides what of a batch is new, what is lost and what may be acknowledged; ``inbox``
reads messages, ``store`` keeps them in one transaction per bundle, ``worker`` joins the two to
the connection, ``retention`` bounds what is kept.
"""
