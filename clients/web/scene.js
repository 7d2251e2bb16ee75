// The sample scene: coloured shapes on a textured ground, and tones. Needs no hardware.

const WIDTH = 448;
const HEIGHT = 336;
const FRAME_RATE = 15;
const RADIUS = 44;
const ACT_S = 2; // every 2 s another shape, in another colour, with another sound
const COLOURS = ["#dc2828", "#28be3c", "#3250e6", "#ebd732", "#aa3cc8", "#3cd2dc"];
const SHAPES = ["square", "circle", "triangle", "cross", "ring"];
const TONES_HZ = [320, 1500, 0];

/** @returns {{stream: MediaStream, stop: () => void}} */
export function startScene() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext("2d", { alpha: false });
  const ground = texture();
  const sound = startSound();
  const draw = () => {
    const time = sound.time();
    const act = Math.floor(time / ACT_S);
    pen.drawImage(ground, 0, 0);
    pen.fillStyle = COLOURS[pick(act, 1, COLOURS.length)];
    const x = (0.5 + 0.36 * Math.sin(0.9 * time)) * WIDTH;
    const y = (0.5 + 0.33 * Math.sin(1.3 * time + 1)) * HEIGHT;
    drawShape(pen, SHAPES[pick(act, 2, SHAPES.length)], x, y);
    sound.play(act);
  };
  draw();
  const timer = setInterval(draw, 1000 / FRAME_RATE);
  const stream = canvas.captureStream(FRAME_RATE);
  stream.addTrack(sound.track);
  return {
    stream,
    stop() {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      sound.stop();
    },
  };
}

function startSound() {
  const context = new AudioContext();
  const output = context.createMediaStreamDestination();
  const oscillator = context.createOscillator();
  const level = context.createGain();
  level.gain.value = 0;
  oscillator.connect(level).connect(output);
  oscillator.start();
  context.resume();
  let played = -1;
  return {
    track: output.stream.getAudioTracks()[0],
    time: () => context.currentTime,
    // an act's tone fills its middle second; ramps of 20 ms, since steps click
    play(act) {
      if (act === played) return;
      played = act;
      const tone = TONES_HZ[pick(act, 3, TONES_HZ.length)];
      const start = Math.max(context.currentTime, act * ACT_S + 0.5);
      oscillator.frequency.setValueAtTime(tone || 440, start);
      level.gain.setTargetAtTime(tone ? 0.25 : 0, start, 0.007);
      level.gain.setTargetAtTime(0, act * ACT_S + 1.5, 0.007);
    },
    stop: () => context.close(),
  };
}

function drawShape(pen, shape, x, y) {
  pen.beginPath();
  if (shape === "square") {
    pen.rect(x - 0.85 * RADIUS, y - 0.85 * RADIUS, 1.7 * RADIUS, 1.7 * RADIUS);
  } else if (shape === "circle") {
    pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
  } else if (shape === "triangle") {
    pen.moveTo(x, y - RADIUS);
    pen.lineTo(x + RADIUS, y + 0.8 * RADIUS);
    pen.lineTo(x - RADIUS, y + 0.8 * RADIUS);
  } else if (shape === "cross") {
    pen.rect(x - RADIUS, y - 0.3 * RADIUS, 2 * RADIUS, 0.6 * RADIUS);
    pen.rect(x - 0.3 * RADIUS, y - RADIUS, 0.6 * RADIUS, 2 * RADIUS);
  } else {
    pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
    pen.arc(x, y, 0.55 * RADIUS, 0, 2 * Math.PI, true);
  }
  pen.fill();
}

function texture() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext("2d");
  const tile = 56;
  for (let y = 0; y < HEIGHT; y += tile) {
    for (let x = 0; x < WIDTH; x += tile) {
      pen.fillStyle = `hsl(${360 * Math.random()} 16% ${30 + 28 * Math.random()}%)`;
      pen.fillRect(x, y, tile, tile);
    }
  }
  const grain = pen.getImageData(0, 0, WIDTH, HEIGHT);
  for (let i = 0; i < grain.data.length; i += 4) {
    const shift = 28 * (Math.random() - 0.5);
    for (let c = 0; c < 3; c += 1) grain.data[i + c] += shift;
  }
  pen.putImageData(grain, 0, 0);
  return canvas;
}

// a number below `count` that looks random and is the same for the same act
function pick(act, salt, count) {
  const mixed = Math.sin(act * 127.1 + salt * 311.7) * 43758.5453;
  return Math.floor((mixed - Math.floor(mixed)) * count);
}
