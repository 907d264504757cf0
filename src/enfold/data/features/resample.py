"""Audio at another sampling rate: band-limited interpolation by a windowed sinc.

The filter has one phase per output sample of a period of `new / gcd` (J. O. Smith, Digital Audio
Resampling, https://ccrma.stanford.edu/~jos/resample/).  Shapes: C channels, T samples.
"""

from __future__ import annotations

from math import ceil, gcd

import numpy as np

_ZEROS = 16  # zero crossings of the sinc on each side
_ROLLOFF = 0.945  # of the lower Nyquist frequency


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """`samples` [C, T] of `rate` Hz at `new_rate` Hz: [C, ceil(T * new_rate / rate)]."""
    if rate == new_rate:
        return samples
    step, phases = rate // gcd(rate, new_rate), new_rate // gcd(rate, new_rate)
    kernel, reach = _kernel(step, phases)
    length = samples.shape[1]
    padded = np.pad(samples, ((0, 0), (reach, reach + step)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1], axis=1)[:, ::step]
    resampled = (windows @ kernel.T).reshape(len(samples), -1)
    return np.ascontiguousarray(resampled[:, :ceil(length * new_rate / rate)], dtype=np.float32)


def _kernel(step: int, phases: int) -> tuple[np.ndarray, int]:
    """One filter per phase, [phases, 2 * reach + step], and its reach in input samples."""
    cutoff = min(step, phases) * _ROLLOFF / step  # 1 is the input's Nyquist frequency
    reach = ceil(_ZEROS / cutoff)
    inputs = np.arange(-reach, reach + step)
    times = (inputs - np.arange(phases)[:, None] * step / phases) * cutoff
    window = np.cos(np.clip(times / _ZEROS, -1, 1) * np.pi / 2) ** 2
    return (np.sinc(times) * window * cutoff).astype(np.float32), reach
