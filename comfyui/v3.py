"""The nodes for ComfyUI's V3 interface."""

from comfy_api.latest import ComfyExtension, io, ui

from .nodes import CATEGORY, NODES

_TYPES = {
    "IMAGE": io.Image,
    "AUDIO": io.Audio,
    "VIDEO": io.Video,
    "INT": io.Int,
    "FLOAT": io.Float,
    "STRING": io.String,
    "BOOLEAN": io.Boolean,
}


def _kind(name):
    return _TYPES.get(name) or io.Custom(name)


def _input(i):
    options = {"tooltip": i.tooltip, "optional": i.optional, **i.more}
    if isinstance(i.type, list):
        return io.Combo.Input(i.name, options=i.type, default=i.default, **options)
    if i.default is not None:
        options["default"] = i.default
    return _kind(i.type).Input(i.name, **options)


def _class(node):
    class Made(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                node_id=node.id,
                display_name=node.title,
                category=CATEGORY,
                description=node.description,
                inputs=[_input(i) for i in node.inputs()],
                outputs=[_kind(kind).Output(display_name=name) for kind, name in node.outputs],
                is_output_node=node.shows_text,
            )

        @classmethod
        def execute(cls, **given):
            result = node.run(**given)
            return io.NodeOutput(*result, ui=ui.PreviewText(result[0]) if node.shows_text else None)

    Made.__name__ = Made.__qualname__ = node.id
    return Made


class MemsafeExtension(ComfyExtension):
    async def get_node_list(self):
        return [_class(node) for node in NODES]


async def comfy_entrypoint():
    return MemsafeExtension()
