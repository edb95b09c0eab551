"""What the nodes want of ComfyUI: its folders, its progress bar, its interrupt, its memory."""

import contextlib
import importlib.util
import os
import threading
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
from memsafe._models import models_in

FOLDER = "latentsync"  # below ComfyUI's models folder; memsafe looks there, too
_POLL_S = 0.1


def has_v3():
    return (
        importlib.util.find_spec("comfy_api") is not None
        and importlib.util.find_spec("comfy_api.latest") is not None
    )


def models_folder():
    return os.path.join(folder_paths.models_dir, FOLDER)


def register_models_folder():
    """models/latentsync, and what extra_model_paths.yaml calls latentsync."""
    folder_paths.add_model_folder_path(FOLDER, models_folder(), is_default=True)


def model_folders():
    """Name -> folder of each model in a registered folder."""
    found = {}
    for root in folder_paths.get_folder_paths(FOLDER):
        for name, folder in models_in(Path(root)):
            found.setdefault(name, str(folder))
    return found


def make_room():
    """ComfyUI's own models leave the card to memsafe, whose budget is what is free."""
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()


@contextlib.contextmanager
def temporary_file(suffix):
    """A new name in ComfyUI's folder for temporary files, which it empties when it starts. Removed again on failure."""
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"memsafe-{os.urandom(8).hex()}{suffix}")
    try:
        yield path
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


@contextlib.contextmanager
def watched(cancel, cancelled):
    """Gives a function (done, total) that moves ComfyUI's progress bar.

    ComfyUI's interrupt calls ``cancel`` from another thread, because a window of frames may take minutes. The exception
    ``cancelled`` that this ends in becomes ComfyUI's own, which leaves the queue as if the node had stopped by itself.
    """
    bar = comfy.utils.ProgressBar(1)
    ended = threading.Event()
    stopped = threading.Event()

    def watch():
        while not ended.wait(_POLL_S):
            if comfy.model_management.processing_interrupted():
                stopped.set()
                cancel()

    watcher = threading.Thread(target=watch, name="memsafe-interrupt", daemon=True)
    watcher.start()

    def tell(done, total):
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total or max(done, 1))

    try:
        yield tell
    except cancelled:
        if not stopped.is_set():
            raise
    finally:
        ended.set()
        watcher.join()
    comfy.model_management.throw_exception_if_processing_interrupted()
