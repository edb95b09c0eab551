"""Nodes for ComfyUI: lip sync, its memory plan and its score, by memsafe.

ComfyUI asks for ``comfy_entrypoint`` (its V3 interface); one that has no V3 finds NODE_CLASS_MAPPINGS.
"""

from . import host

host.register_models_folder()

if host.has_v3():
    from .v3 import comfy_entrypoint

    __all__ = ["comfy_entrypoint"]
else:
    from .legacy import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
