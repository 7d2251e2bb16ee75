// The sample scene: small coloured shapes that appear with sounds, on a still ground. Needs no
// hardware. It is of the kind that the embedded model was trained on (compressor/training), twice
// as large, and what it shows is known, so that a page can say whether an answer is right.

import { openSounds } from "./sounds.js";

const SIDE = 448;
const FRAME_RATE = 15;
const RADIUS = 25;
const ROUND_S = 20;
const COLOURS = {
  red: "rgb(220 40 40)",
  green: "rgb(40 190 60)",
  blue: "rgb(50 80 230)",
  yellow: "rgb(235 215 50)",
  purple: "rgb(170 60 200)",
};
// where a thing is at its start and at its end, in shares of the picture
const THINGS = [
  { colour: "red", shape: "triangle", startS: 1, endS: 5, from: [0.26, 0.3], to: [0.4, 0.42] },
  { colour: "green", shape: "square", startS: 4.5, endS: 9.5, from: [0.78, 0.28], to: [0.6, 0.34] },
  { colour: "blue", shape: "cross", startS: 10, endS: 14.5, from: [0.3, 0.72], to: [0.3, 0.72] },
  { colour: "yellow", shape: "ring", startS: 13, endS: 17, from: [0.72, 0.3], to: [0.72, 0.55] },
  { colour: "purple", shape: "circle", startS: 17, endS: 20, from: [0.66, 0.78], to: [0.44, 0.7] },
];
const SOUNDS = [
  { kind: "bell", atS: 1 },
  { kind: "chirp", atS: 7 },
  { kind: "buzz", atS: 10 },
  { kind: "beep", atS: 13 },
];

/** What the scene knows about itself: questions, answers, and when the evidence is complete. */
export const QUESTIONS = [
  { fromS: 3, text: "What shape was the red object?", answer: "triangle" },
  { fromS: 3, text: "What sound came with the red triangle?", answer: "bell" },
  { fromS: 9, text: "What color was visible during the chirp?", answer: "green" },
  { fromS: 12, text: "What color appeared with the buzz?", answer: "blue" },
  { fromS: 15, text: "What sound came with the yellow ring?", answer: "beep" },
  { fromS: 19, text: "What color was the circle?", answer: "purple" },
];

/** @returns {{stream: MediaStream, stop: () => void}} */
export function startScene() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const pen = canvas.getContext("2d", { alpha: false });
  const ground = drawGround();
  const sounds = openSounds();
  let scheduledS = 0;
  const draw = () => {
    const nowS = sounds.timeS();
    // sounds are planned a little ahead, so that they come with their picture
    for (const { kind, atS } of soundsBetween(scheduledS, nowS + 0.2)) sounds.play(kind, atS);
    scheduledS = Math.max(scheduledS, nowS + 0.2);
    pen.drawImage(ground, 0, 0);
    for (const thing of thingsAt(nowS)) drawThing(pen, thing);
  };
  draw();
  const timer = setInterval(draw, 1000 / FRAME_RATE);
  const stream = canvas.captureStream(FRAME_RATE);
  stream.addTrack(sounds.track);
  return {
    stream,
    stop() {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      sounds.stop();
    },
  };
}

/** What is on screen at a moment, with its place in pixels. */
export function thingsAt(timeS) {
  const inRound = timeS % ROUND_S;
  const visible = THINGS.filter(({ startS, endS }) => startS <= inRound && inRound < endS);
  return visible.map((thing) => {
    const way = (inRound - thing.startS) / (thing.endS - thing.startS);
    const [x, y] = [0, 1].map((i) => SIDE * (thing.from[i] + way * (thing.to[i] - thing.from[i])));
    return { ...thing, x, y };
  });
}

/** Sounds that start in [fromS, toS), rounds included. */
export function soundsBetween(fromS, toS) {
  const found = [];
  for (let begin = Math.floor(fromS / ROUND_S) * ROUND_S; begin < toS; begin += ROUND_S) {
    for (const { kind, atS } of SOUNDS) {
      if (fromS <= begin + atS && begin + atS < toS) found.push({ kind, atS: begin + atS });
    }
  }
  return found;
}

function drawThing(pen, { colour, shape, x, y }) {
  const r = RADIUS;
  pen.fillStyle = COLOURS[colour];
  pen.beginPath();
  if (shape === "square") pen.rect(x - 0.86 * r, y - 0.86 * r, 1.72 * r, 1.72 * r);
  else if (shape === "circle") pen.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "triangle") {
    pen.moveTo(x, y - r);
    pen.lineTo(x + 0.97 * r, y + 0.75 * r);
    pen.lineTo(x - 0.97 * r, y + 0.75 * r);
  } else if (shape === "cross") {
    pen.rect(x - r, y - 0.34 * r, 2 * r, 0.68 * r);
    pen.rect(x - 0.34 * r, y - r, 0.68 * r, 2 * r);
  } else {
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.arc(x, y, 0.55 * r, 0, 2 * Math.PI, true);
  }
  pen.fill();
}

// smooth, dull colours with a fine grain
function drawGround() {
  const coarse = new OffscreenCanvas(8, 8);
  const dots = coarse.getContext("2d");
  for (let i = 0; i < 64; i += 1) {
    const [hue, light] = [190 + 60 * noise(i), 26 + 18 * noise(i + 64)];
    dots.fillStyle = `hsl(${hue} 22% ${light}%)`;
    dots.fillRect(i % 8, Math.floor(i / 8), 1, 1);
  }
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(coarse, 1, 1, 6, 6, 0, 0, SIDE, SIDE);
  const grain = pen.getImageData(0, 0, SIDE, SIDE);
  for (let i = 0; i < grain.data.length; i += 4) {
    const shift = 14 * (noise(i) - 0.5);
    for (let c = 0; c < 3; c += 1) grain.data[i + c] += shift;
  }
  pen.putImageData(grain, 0, 0);
  return canvas;
}

// looks random, and is the same every time: 0 to 1
function noise(n) {
  const mixed = Math.sin(n * 127.1 + 311.7) * 43758.5453;
  return mixed - Math.floor(mixed);
}
