"""LatentCompressor: every bit, or a loss that is what it says; bytes that are none are refused."""

import math
import os
import struct
import threading
import zlib

import numpy as np
import pytest

import memsafe


def moving(frames=20, shape=(4, 24, 24), dtype=np.float32):
    """Latents of a face that moves: some patterns that come and go, and noise."""
    rng = np.random.default_rng(7)
    patterns = rng.normal(size=(3, *shape))
    times = np.stack([np.sin(np.arange(frames) * f) for f in (0.1, 0.3, 0.5)], 1)
    return (np.tensordot(times, patterns, 1) + 0.02 * rng.normal(size=(frames, *shape))).astype(dtype)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_every_bit_comes_back(dtype):
    x = moving(dtype=dtype)
    bits = x.view(np.uint32 if dtype == np.float32 else np.uint16).reshape(-1)
    bits[:6] = (
        [0, 1, 0x8000, 0x7C00, 0x7C01, 0xFFFF]
        if dtype == np.float16
        else [0, 1, 1 << 31, 0x7F800000, 0x7F800001, 0xFFFFFFFF]
    )
    blob = memsafe.LatentCompressor().compress(x)
    assert isinstance(blob, bytes) and not blob.report.lossy and blob.psnr_db == math.inf
    assert same(memsafe.LatentCompressor().decompress(blob), x)
    assert same(memsafe.LatentCompressor().decompress(bytes(blob)), x)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_other_byte_order_is_the_same_numbers(dtype):
    x = np.random.default_rng(1).normal(size=(20, 4, 8, 8)).astype(dtype)
    swapped = x.astype(x.dtype.newbyteorder())
    for rank in (None, 99):
        blob = memsafe.LatentCompressor(rank).compress(swapped)
        assert blob == memsafe.LatentCompressor(rank).compress(x)
    assert np.array_equal(memsafe.LatentCompressor().decompress(memsafe.LatentCompressor().compress(swapped)), x)


def test_alike_frames_become_smaller():
    blob = memsafe.LatentCompressor().compress(moving())
    assert blob.ratio > 1.1 and blob.ratio == pytest.approx(moving().nbytes / len(blob))
    still = memsafe.LatentCompressor().compress(np.repeat(moving(1), 16, 0))
    assert still.ratio > 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "bits"])
def test_noise_is_kept_as_it_is(dtype):
    bits = np.random.default_rng(2).integers(0, 1 << 16, (10, 4, 32, 32), dtype=np.uint16)
    x = bits.view(np.float16) if dtype == "bits" else np.random.default_rng(2).normal(size=bits.shape).astype(dtype)
    header = 16 + 8 * 4
    for rank in (None, 50):
        blob = memsafe.LatentCompressor(rank).compress(x)
        assert len(blob) <= x.nbytes + header and blob.ratio == x.nbytes / len(blob) == blob.report.raw_bytes / blob.report.bytes
        if blob.report.stored:
            assert not blob.report.lossy and blob.psnr_db == math.inf and blob.report.max_error == 0
        if rank is None or blob.report.stored:
            assert same(memsafe.LatentCompressor().decompress(bytes(blob)), x)
    assert memsafe.LatentCompressor().compress(x).report.stored == (dtype != "float32")
    assert not memsafe.LatentCompressor().compress(moving()).report.stored


def test_stored_latents_that_are_damaged():
    compressor = memsafe.LatentCompressor()
    x = np.random.default_rng(2).integers(0, 1 << 16, (3, 20), dtype=np.uint16).view(np.float16)
    blob = bytearray(compressor.compress(x))
    assert blob[6] & 4
    for at in range(len(blob)):
        blob[at] ^= 0x25
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(bytes(blob))
        blob[at] ^= 0x25
    for wrong in (blob[:-1], blob + b"x", blob[:20]):
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(bytes(wrong))
    assert same(compressor.decompress(bytes(blob)), x)
    with pytest.raises(memsafe.BadMedia, match="limit="):
        compressor.decompress(bytes(blob), limit=100)


OLD = (
    "4d534c5001010002f59fb17a0200000000000000060000000000000080000000000000004d534c4201000000020000000100"
    "00000600000000000000f9f8ff440ed8dc2c8000000000000000eccc41bafbff7f3f1400000030000000356fd34c28b52ffd"
    "20185d0000280000002000010009d002010101cb01000001011800010000807040004040008ec0006aeefb017d7349b57001"
    "0ff6897a7a0076717d837b008870"
)


def test_blobs_of_before_are_read():
    """One that a version without the stored form has made: a float16 that is larger than its values."""
    old = bytes.fromhex(OLD)
    x = np.random.default_rng(5).integers(0, 1 << 16, (2, 6), dtype=np.uint16).view(np.float16)
    assert len(old) > x.nbytes + 32 and same(memsafe.LatentCompressor().decompress(old), x)


def test_lossy_by_rank_says_what_it_lost():
    x = moving()
    last = 0
    for rank in (20, 50, 90):
        compressor = memsafe.LatentCompressor(rank=rank)
        blob = compressor.compress(x)
        back = compressor.decompress(blob)
        error = np.abs(x.astype(np.float64) - back)
        psnr = 10 * math.log10((float(x.max()) - float(x.min())) ** 2 / (error**2).mean())
        assert blob.report.lossy and blob.psnr_db == pytest.approx(psnr, rel=1e-6)
        assert blob.report.max_error == pytest.approx(error.max())
        assert psnr > 30 and psnr >= last and blob.ratio > memsafe.LatentCompressor().compress(x).ratio
        last = psnr
    half = memsafe.LatentCompressor(rank=50).compress(moving(dtype=np.float16))
    back = memsafe.LatentCompressor().decompress(half)
    error = np.abs(moving(dtype=np.float16).astype(np.float64) - back.astype(np.float64))
    assert back.dtype == np.float16 and half.report.max_error == pytest.approx(error.max())


def test_what_is_not_finite_is_kept_exactly_also_where_it_may_lose():
    x = moving()
    x[3, 0, 0, 0] = np.nan
    blob = memsafe.LatentCompressor(rank=50, window=32).compress(x)
    assert not blob.report.lossy and same(memsafe.LatentCompressor().decompress(blob), x)


@pytest.mark.parametrize("shape", [(), (7,), (1, 1), (0, 4), (4, 0), (300, 5), (2, 3, 4, 5, 6)])
def test_shapes(shape):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for window in (1, 16, 256):
        assert same(
            memsafe.LatentCompressor().decompress(memsafe.LatentCompressor(window=window).compress(x)), x
        )
    assert same(
        memsafe.LatentCompressor().decompress(memsafe.LatentCompressor().compress(moving()[::2, :, ::-1])),
        np.ascontiguousarray(moving()[::2, :, ::-1]),
    )


def test_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    compressor = memsafe.LatentCompressor()
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.from_numpy(moving()).to(dtype)
        back = compressor.decompress(compressor.compress(x))
        assert isinstance(back, torch.Tensor) and back.dtype == dtype and torch.equal(back, x)
        assert compressor.compress(x.requires_grad_()) == compressor.compress(x.detach())
        plain = compressor.decompress(compressor.compress(x), like="numpy")
        assert isinstance(plain, np.ndarray) and np.array_equal(
            plain.astype(np.float32), x.detach().float().numpy()
        )
    x = (
        torch.from_numpy(np.arange(0, 1 << 16, dtype=np.uint16).view(np.int16))
        .view(torch.bfloat16)
        .reshape(256, 256)
    )
    back = compressor.decompress(compressor.compress(x))
    assert torch.equal(back.view(torch.int16), x.view(torch.int16))
    assert torch.equal(
        compressor.decompress(compressor.compress(moving()), like="torch"), torch.from_numpy(moving())
    )
    lossy = memsafe.LatentCompressor(rank=50).compress(torch.from_numpy(moving()).to(torch.bfloat16))
    assert 20 < lossy.psnr_db < math.inf


def test_tensors_that_are_views_or_none_of_ours():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    compressor = memsafe.LatentCompressor()
    for dtype in (torch.float32, torch.bfloat16):
        negative = torch._neg_view(torch.from_numpy(moving()).to(dtype))
        assert negative.is_neg() and torch.equal(compressor.decompress(compressor.compress(negative)), negative)
    for wrong, says in (
        (torch.zeros(3, 4).to(torch.float8_e4m3fn), "not float8_e4m3fn: convert them first"),
        (torch.zeros(3, 4, dtype=torch.complex64).conj(), "not complex64"),
        (torch.eye(4).to_sparse(), "a dense tensor, not sparse_coo"),
        (torch.zeros(3, device="meta"), "meta device have a shape and no values"),
    ):
        with pytest.raises(memsafe.InvalidArgument, match=says):
            compressor.compress(wrong)


def test_the_loss_of_a_constant_is_against_its_size():
    for value in (1.0, -3e-5):
        x = np.full((20, 40), value, np.float32)
        blob = memsafe.LatentCompressor(rank=50).compress(x)
        error = np.abs(memsafe.LatentCompressor().decompress(blob).astype(np.float64) - x)
        assert blob.report.max_error == error.max() and blob.report.lossy
        assert (blob.psnr_db == math.inf) == (blob.report.max_error == 0)
        if blob.report.max_error:
            assert blob.psnr_db == pytest.approx(10 * math.log10(float(abs(x[0, 0])) ** 2 / (error**2).mean()))


def test_damage_is_refused_wherever_it_is():
    compressor = memsafe.LatentCompressor()
    blob = bytearray(compressor.compress(np.repeat(moving(1, (40,)), 8, 0)))
    assert not blob[6]  # a block, and not what is stored as it is
    for at in range(len(blob)):
        blob[at] ^= 0x25
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(bytes(blob))
        blob[at] ^= 0x25
    for end in range(len(blob)):
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(bytes(blob[:end]))
    with pytest.raises(memsafe.BadMedia):
        compressor.decompress(bytes(blob) + b"x")
    for noise in (b"", b"MSLP\x01", os.urandom(300), b"MSLP\x01" + os.urandom(300)):
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(noise)


def forged(shape, blocks=b"", kind=0, flags=0):
    front = b"MSLP\x01" + bytes((kind, flags, len(shape)))
    sides = struct.pack(f"<{len(shape)}Q", *shape)
    return front + struct.pack("<I", zlib.crc32(front + sides)) + sides + blocks


def test_hostile_headers_take_no_memory():
    compressor = memsafe.LatentCompressor()
    x = np.repeat(moving(1, (100,)), 2, 0)
    good = bytes(compressor.compress(x))
    assert not good[6]  # a block
    block = good[12 + 16 :]
    assert same(compressor.decompress(forged((2, 100), block)), x)
    for shape in (
        (1 << 40, 1 << 40),
        (1 << 63, 2),
        (1 << 20, 1 << 12),
        (2, 101),
        (3, 100),
        (1, 100),
        (0, 100),
        (0, 1 << 63),
    ):
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(forged(shape, block))
    for wrong in (
        forged((2, 100), block, kind=9),
        forged((2, 100), block, flags=8),
        forged((2, 100), block, flags=4),
        forged((2, 100), block, kind=1, flags=6),
        forged((2, 100), block, flags=2),
    ):
        with pytest.raises(memsafe.BadMedia):
            compressor.decompress(wrong)
    with pytest.raises(memsafe.BadMedia, match="limit="):
        compressor.decompress(good, limit=799)
    assert same(compressor.decompress(good, limit=800), x)


def test_arguments_that_are_none():
    assert memsafe.LatentCompressor(rank=0).rank is None  # as svd_rank says it
    for wrong in ({"rank": -1}, {"rank": 100}, {"rank": 1.5}, {"rank": False}, {"window": 0}, {"window": 257}):
        with pytest.raises(memsafe.InvalidArgument):
            memsafe.LatentCompressor(**wrong)
    for x in (np.zeros(3), np.zeros(3, np.int32), np.zeros((1,) * 17, np.float32)):
        with pytest.raises(memsafe.InvalidArgument):
            memsafe.LatentCompressor().compress(x)
    with pytest.raises(memsafe.InvalidArgument, match="like"):
        memsafe.LatentCompressor().decompress(b"", like="jax")


def test_threads():
    wrong = []

    def work():
        for _ in range(5):
            x = moving()
            if not same(memsafe.LatentCompressor().decompress(memsafe.LatentCompressor().compress(x)), x):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_what_a_block_is() -> None:
    blob = memsafe.LatentCompressor().compress(np.zeros((2, 4, 8, 8), np.float32))
    assert repr(blob).startswith("<memsafe.Latents, ") and len(repr(blob)) < 80
    assert repr(memsafe.Latents(b"12")) == "<memsafe.Latents, 2 bytes>"
    with pytest.raises(TypeError, match="bytes that compress"):
        memsafe.LatentCompressor().decompress("x")
