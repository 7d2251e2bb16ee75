// Whether anything is heard in a stream's sound. Knows no page.

const LOOK_MS = 500;
const PATIENCE_MS = 5000;
const FAINT = 0.0003; // -70 dBFS: a quiet room is louder
const WINDOW = 32_768; // samples looked at, more than come between two looks

/**
 * Follow a stream's sound until `signal` aborts; a stream without sound is left alone.
 * @param {MediaStream} stream
 * @param {AbortSignal} signal
 * @param {(isSilent: boolean) => void} onChange told when silence has lasted, and when it ends
 */
export function followSound(stream, signal, onChange) {
  if (!stream.getAudioTracks().length || signal.aborted) return;
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: WINDOW });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(WINDOW);
  let heardMs = performance.now();
  let isSilent = false;
  const timer = setInterval(() => {
    if (context.state !== "running") return;
    analyser.getFloatTimeDomainData(samples);
    const now = performance.now();
    if (samples.some((sample) => Math.abs(sample) > FAINT)) heardMs = now;
    if (now - heardMs > PATIENCE_MS === isSilent) return;
    isSilent = !isSilent;
    onChange(isSilent);
  }, LOOK_MS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    context.close();
  });
}
