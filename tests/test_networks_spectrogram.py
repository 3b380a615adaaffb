"""Spectrograms against scipy's, which knows nothing of torch's, and against what a tone must look like."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.networks.spectrogram import FLOOR, log_spectrogram


def by_scipy(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return log(|S|^2 + 1e-6), every column a transform of 511 samples that the window is in the middle of."""
    length, hop = round(0.010 * rate_hz), round(0.005 * rate_hz)
    window = np.zeros(511)
    first = (511 - length) // 2
    window[first : first + length] = scipy.signal.get_window("hann", length)
    padded = np.pad(samples.astype(np.float64), 255)
    _, _, spectrum = scipy.signal.stft(
        padded, rate_hz, window=window, nperseg=511, noverlap=511 - hop, boundary=None, padded=False
    )
    return np.log(np.abs(spectrum * window.sum()) ** 2 + 1e-6)[:, : len(samples) // hop]


@pytest.mark.parametrize(("rate_hz", "count"), [(24_000, 30_720), (24_000, 7_681), (16_000, 5_003), (44_100, 9_999)])
def test_it_is_scipys(rate_hz: int, count: int) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32)
    expected = by_scipy(samples, rate_hz)
    got = log_spectrogram(torch.from_numpy(samples), rate_hz)
    assert got.shape == (256, count // round(0.005 * rate_hz)) == expected.shape
    np.testing.assert_allclose(got.double().exp(), np.exp(expected), rtol=1e-3, atol=1e-5)


def test_a_window_of_the_paper_is_a_square_picture_and_silence_the_logarithm_of_the_floor() -> None:
    silence = log_spectrogram(torch.zeros(2, 5, 30_720), 24_000)
    assert silence.shape == (2, 5, 256, 256)
    torch.testing.assert_close(silence, torch.full_like(silence, float(np.log(FLOOR))))


@settings(max_examples=15, deadline=None)
@given(row=st.integers(12, 243))
def test_a_tone_is_a_line_at_its_frequency(row: int) -> None:
    time = torch.arange(7_200) / 24_000
    tone = torch.sin(2 * torch.pi * (row * 24_000 / 511) * time)
    assert (log_spectrogram(tone, 24_000)[:, 3:-3].argmax(dim=0) == row).all()


@settings(max_examples=15, deadline=None)
@given(sample=st.integers(200, 4_600))
def test_a_click_is_in_the_columns_around_its_time(sample: int) -> None:
    """A column sees 120 samples before and behind its own, sample t * 120."""
    samples = torch.zeros(4_800)
    samples[sample] = 1.0
    heard = (log_spectrogram(samples, 24_000) > np.log(2 * FLOOR)).any(dim=0).nonzero().flatten()
    assert len(heard) in (1, 2) and ((heard * 120 - sample).abs() <= 120).all()


def test_each_sound_is_by_itself_and_the_type_stays() -> None:
    sounds = torch.rand(3, 2, 1_203, dtype=torch.float64) * 2 - 1
    whole = log_spectrogram(sounds, 24_000)
    assert whole.dtype == torch.float64
    for one, expected in zip(sounds.flatten(0, 1), whole.flatten(0, 1), strict=True):
        torch.testing.assert_close(log_spectrogram(one, 24_000), expected)


@pytest.mark.parametrize(("rate_hz", "count"), [(24_000, 119), (24_000, 0), (52_000, 9_000), (0, 100)])
def test_too_little_sound_and_rates_whose_window_does_not_fit_are_refused(rate_hz: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"got {count} at {rate_hz} Hz"):
        log_spectrogram(torch.zeros(count), rate_hz)
