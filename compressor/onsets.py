"""Onsets of sounds, read off the audio selector's scores. Costs no computation of its own.

Knows nothing about audio: a token is heard where its score reaches `quiet_score`, which a
checkpoint states (docs/adr/0010). Heard tokens are the first to be kept, so what is kept is enough.
"""

from compressor.tokens import CompressedChunk, Modality

TOKENS_PER_S = 25  # of audio
MIN_QUIET_S = 0.2  # a sound begins after so much silence; calibrated on made-up scenes


def sound_onsets(
    chunk: CompressedChunk, quiet_score: float, heard_until_s: float
) -> tuple[tuple[float, ...], float]:
    """Find where sounds begin in a chunk.

    Args:
        chunk: Compressed by a profile that scores audio.
        quiet_score: Score from which on a token is heard; 0 where the checkpoint does not say.
        heard_until_s: Stream time up to which something was heard before the chunk.

    Returns:
        Stream times of onsets, and the new `heard_until_s`. None are found where scores mean
        nothing: without `quiet_score`, and in a chunk without video, which guides the selector.
    """
    if quiet_score == 0 or chunk.counts_in.video == 0:
        return (), heard_until_s
    is_heard = (chunk.modality == Modality.AUDIO) & (chunk.scores >= quiet_score)
    onsets = []
    for index in chunk.kept[is_heard].tolist():
        start_s = chunk.start_s + (index - chunk.counts_in.video) / TOKENS_PER_S
        if start_s - heard_until_s >= MIN_QUIET_S - 1e-6:
            onsets.append(start_s)
        heard_until_s = start_s + 1 / TOKENS_PER_S
    return tuple(onsets), heard_until_s


__all__ = ["sound_onsets"]
