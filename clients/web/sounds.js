// The sounds of the sample scene, as the embedded model was taught them
// (compressor/training/sounds.py). Knows nothing about when they are played.

const RATE_HZ = 48_000;
const FADE_S = 0.006;

const VOICES = {
  beep: { durationS: 0.2, wave: (t) => Math.sin(2 * Math.PI * 1000 * t) },
  buzz: { durationS: 0.22, wave: (t) => Math.sign(Math.sin(2 * Math.PI * 210 * t)) },
  chirp: { durationS: 0.2, wave: (t) => Math.sin(2 * Math.PI * (600 * t + 6500 * t * t)) },
  bell: {
    durationS: 0.25,
    wave: (t) =>
      Math.exp(-6 * t) * Math.sin(2 * Math.PI * 720 * t) +
      0.7 * Math.exp(-9 * t) * Math.sin(2 * Math.PI * 1987 * t) +
      0.5 * Math.exp(-14 * t) * Math.sin(2 * Math.PI * 3888 * t),
  },
};
const LEVEL = 0.35;

/** @returns {{track: MediaStreamTrack, timeS: () => number, play: (kind: string, atS: number) => void, stop: () => void}} */
export function openSounds() {
  const context = new AudioContext({ sampleRate: RATE_HZ });
  const output = context.createMediaStreamDestination();
  const buffers = Object.fromEntries(Object.keys(VOICES).map((kind) => [kind, bufferOf(kind)]));
  const room = context.createBufferSource();
  room.buffer = hiss();
  room.loop = true;
  room.connect(output);
  room.start();
  context.resume();
  return {
    track: output.stream.getAudioTracks()[0],
    timeS: () => context.currentTime,
    play(kind, atS) {
      const source = context.createBufferSource();
      source.buffer = buffers[kind];
      source.connect(output);
      source.start(Math.max(atS, context.currentTime));
    },
    stop: () => context.close(),
  };
}

function bufferOf(kind) {
  const { durationS, wave } = VOICES[kind];
  const samples = Float32Array.from({ length: durationS * RATE_HZ }, (_, n) => wave(n / RATE_HZ));
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const ramp = (n) => Math.min(1, n / (FADE_S * RATE_HZ), (samples.length - n) / (FADE_S * RATE_HZ));
  return toBuffer(samples.map((value, n) => (LEVEL * value * ramp(n)) / peak));
}

// a quiet room: digital silence is something the model has never heard
function hiss() {
  return toBuffer(Float32Array.from({ length: 2 * RATE_HZ }, () => 0.004 * (Math.random() - 0.5)));
}

function toBuffer(samples) {
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE_HZ });
  buffer.copyToChannel(samples, 0);
  return buffer;
}
