"""The nodes for ComfyUI without V3."""

import importlib.util

from .nodes import CATEGORY, NODES


def _input(i):
    options = {"tooltip": i.tooltip, **i.more}
    if i.default is not None:
        options["default"] = i.default
    return (i.type, options)


def _class(node):
    class Made:
        FUNCTION = "run"
        DESCRIPTION = node.description
        RETURN_TYPES = tuple(kind for kind, _ in node.outputs)
        RETURN_NAMES = tuple(name for _, name in node.outputs)
        OUTPUT_NODE = node.shows_text

        @classmethod
        def INPUT_TYPES(cls):
            inputs = node.inputs()
            return {
                "required": {i.name: _input(i) for i in inputs if not i.optional},
                "optional": {i.name: _input(i) for i in inputs if i.optional},
            }

        def run(self, **given):
            result = node.run(**given)
            return {"ui": {"text": [result[0]]}, "result": result} if node.shows_text else result

    Made.CATEGORY = CATEGORY
    Made.__name__ = Made.__qualname__ = node.id
    return Made


def _has_video():
    return (
        importlib.util.find_spec("comfy_api") is not None
        and importlib.util.find_spec("comfy_api.input_impl") is not None
    )


_offered = [node for node in NODES if _has_video() or not node.needs_video]
NODE_CLASS_MAPPINGS = {node.id: _class(node) for node in _offered}
NODE_DISPLAY_NAME_MAPPINGS = {node.id: node.title for node in _offered}
