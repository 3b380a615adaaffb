"""Pictures of sound: the logarithm of its power by frequency and time (AdaMML, supplement, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

#: Samples of a Fourier transform; half of it and one more are the frequencies.
N_FFT = 511
FREQUENCIES = N_FFT // 2 + 1
#: Length of a window, and how far it moves from column to column, in seconds.
WINDOW_SEC, HOP_SEC = 0.010, 0.005
#: Added to the power, so that silence has a logarithm: -13.8.
FLOOR = 1e-6


def log_spectrogram(samples: Tensor, rate_hz: int) -> Tensor:
    """Return log(|S|^2 + 1e-6) of `samples` (..., N): (..., 256, N // hop), row 0 being frequency 0.

    S is the short-time Fourier transform in Hann windows of 10 ms, one each 5 ms, up to half the rate; column t is
    centred on sample t * hop, and zeros are beyond both ends. At 24 kHz a window has 240 samples, the hop is 120, and
    1.28 s are 256 columns.

    Args:
        samples: floating point, -1 to 1, `rate_hz` a second; the result is of their type, computed in float32.
        rate_hz: at most 51,100, so that a window fits the transform.

    Raises ValueError where the rate is higher, or there is less than a hop of sound.
    """
    window, hop = round(rate_hz * WINDOW_SEC), round(rate_hz * HOP_SEC)
    count = samples.shape[-1]
    if not 1 <= window <= N_FFT or count < hop:
        raise ValueError(f"expected {hop} samples or more, at a rate of at most 51100 Hz, got {count} at {rate_hz} Hz")
    spectrum = torch.stft(
        samples.reshape(-1, count).float(),
        n_fft=N_FFT,
        hop_length=hop,
        win_length=window,
        window=torch.hann_window(window, device=samples.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    power = spectrum.real.square() + spectrum.imag.square()
    log = (power + FLOOR).log()[..., : count // hop]
    return log.reshape(*samples.shape[:-1], FREQUENCIES, count // hop).to(samples.dtype)
