"""Models that commands load."""

from __future__ import annotations

from typing import Any

from enfold.errors import ConfigError


def as_saved(name: str, *, where: dict[str, Any], **options: Any) -> Any:
    """A model with the head that its config names; the bare model if it names none.

    where: arguments of from_pretrained that say where the files are; options: the others.
    """
    import enfold

    config = enfold.AutoConfig.from_pretrained(name, **where)
    title = next(iter(config.architectures or ()), "AutoModel")
    auto: Any = getattr(enfold, title, None)
    if auto is None:
        raise ConfigError(f"{name}: its config.json names the architecture {title}, expected one "
                          f"that enfold has. Do: name one of model_type {config.model_type!r} "
                          "under \"architectures\"")
    return auto.from_pretrained(name, **where, **options)
