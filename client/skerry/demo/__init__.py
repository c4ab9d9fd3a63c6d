"""The whole story, told with real parts: ``skerry demo``.

``story`` says what happens, ``stage`` runs and ends the processes it takes, ``listener`` is an MQTT
client that knows nothing of Skerry but its topics, ``material`` finds templates and manifests.
"""
