"""How the agent replaces itself, on the device; ``core.agent_update`` decides."""
