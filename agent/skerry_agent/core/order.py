"""Which modules come before which: ``after`` in the manifest, as a pure function.

It is an order and no bond: a module waits for another that is on its way, not for one that has
failed, has ended or is not there. So nothing waits for ever, whatever a document says.
"""

from collections.abc import Iterator, Mapping

from skerry_contract.desired import ModuleSpec


def comes_before(name: str, spec: ModuleSpec, modules: Mapping[str, ModuleSpec]) -> tuple[str, ...]:
    """Return the modules that ``name`` starts after, of those that are there.

    In a circle nobody would be first, so what leads back to ``name`` does not count.

    Args:
        name: A module.
        spec: What runs as it.
        modules: All modules, by name.
    """
    return tuple(
        other
        for other in spec.run.after
        if other in modules and name not in {other, *_ancestors(other, modules)}
    )


def _ancestors(name: str, modules: Mapping[str, ModuleSpec]) -> Iterator[str]:
    """Yield every module that ``name`` starts after, directly or not, each once."""
    known = {name}
    waiting = [name]
    while waiting:
        spec = modules.get(waiting.pop())
        for other in spec.run.after if spec is not None else ():
            yield other
            if other not in known:
                known.add(other)
                waiting.append(other)
