"""A session of the library: frames in, frames out."""

import contextlib
import ctypes as C
from functools import partial
from typing import Any, Optional, Tuple

import numpy as np
import numpy.typing as npt

from . import _abi, _errors
from ._library import Handle, call, filled, lib, sized
from ._worker import Worker

Frame = npt.NDArray[Any]


def _cancel(session: Handle) -> None:
    """Whoever cancels may come while another thread frees it, and then has nothing to cancel."""
    with contextlib.suppress(_errors.InvalidArgument), session.use() as handle:
        lib().ms_session_cancel(handle)


class Session:
    """ms_session with Python's ownership. One thread at a time, but for cancel()."""

    def __init__(self, model: Handle, params: _abi.ms_session_params) -> None:
        self.owned = Handle("the lip sync", lambda value: lib().ms_session_destroy(C.byref(value)), of=model)
        params.model = model.value
        self.floats: bool = params.format == _abi.MS_PIXEL_RGB_F32
        self.shape: Tuple[int, int, int] = (params.height, params.width, 3)
        self._handle = self.owned.value
        try:
            call("ms_session_create_sized", *sized(params), C.byref(self._handle))
        except BaseException:
            self.owned.close()
            raise
        # Not its own cancel(): a worker that held the session would keep it until garbage is collected.
        self._worker = Worker(partial(_cancel, self.owned))

    def open(self) -> None:
        try:
            self._worker.run(lambda: call("ms_session_open", self._handle))
        except _errors.BudgetError as e:
            e.needs_bytes = self.info().least_bytes or None
            raise

    def close(self) -> None:
        """Ends it; frames that were not pulled are lost."""
        if self.owned:
            self.cancel()  # Ctrl-C may have come when a call had just been handed over
            try:
                self._worker.close()
            finally:
                self.owned.close()

    def cancel(self) -> None:
        """From any thread: what is under way ends soon with Cancelled."""
        _cancel(self.owned)

    def push_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """16 kHz, one channel, -1 to 1."""
        samples = np.ascontiguousarray(samples, np.float32)
        call("ms_session_push_speech", self._handle, samples.ctypes.data_as(C.POINTER(C.c_float)), samples.size)

    def end_speech(self) -> None:
        call("ms_session_end_speech", self._handle)

    def push(
        self, pixels: Frame, landmarks: Optional[npt.NDArray[np.float32]] = None, begins: bool = False, again: Optional[int] = None
    ) -> bool:
        """A frame; False: there is no room before frames are pulled. The arrays are looked at in this call alone."""
        frame = _abi.ms_session_frame()
        frame.pixels = pixels.ctypes.data
        frame.stride_bytes = pixels.strides[0]
        frame.begins_scene = begins
        frame.again = 0 if again is None else again + 1
        if landmarks is not None:
            frame.landmarks = landmarks.ctypes.data_as(C.POINTER(C.c_float * 2))
        taken = C.c_bool()
        self._worker.run(lambda: call("ms_session_push_sized", self._handle, *sized(frame), C.byref(taken)))
        return taken.value

    def end(self) -> None:
        call("ms_session_end", self._handle)

    def pull(self) -> Optional[Tuple[int, Frame, bool]]:
        """The next frame's number, pixels and whether its mouth was redrawn; None: more must be pushed, or all were pulled.

        The pixels are the session's own memory, read-only, valid until the next push, pull or close.
        """
        frame, got = _abi.ms_session_frame(), C.c_bool()
        self._worker.run(lambda: call("ms_session_pull_sized", self._handle, *sized(frame), C.byref(got)))
        if not got.value:
            return None
        kind = C.c_float if self.floats else C.c_uint8
        pixels = np.ctypeslib.as_array(C.cast(frame.pixels, C.POINTER(kind)), self.shape)
        pixels.flags.writeable = False
        return frame.number, pixels, frame.redrawn

    @property
    def ended(self) -> bool:
        return bool(lib().ms_session_ended(self._handle))

    def info(self) -> _abi.ms_session_info:
        return filled(_abi.ms_session_info, "ms_session_get_info_sized", self._handle)

    def progress(self) -> _abi.ms_session_progress:
        return filled(_abi.ms_session_progress, "ms_session_get_progress_sized", self._handle)
