// Decision: the newest answer of the player in words, with its alternatives and the figures of the last answers.

import { at, element, reconcile, setText } from "./elements.js";

const POINTS = 120; // of the age curve
const ALTERNATIVES = 4;
const ages = [];

/** Show an `act` message. */
export function showDecision(act) {
  setText(at("decision"), act.owner === "human" ? "Advice: a person plays" : "Next action");
  setText(at("words"), act.words);
  setText(at("later"), act.later.map((step) => `then ${step.words}`).join("; "));
  showAlternatives(act);
  setText(at("age"), `${act.latency.age_ms.toFixed(1)} ms`);
  setText(at("infer"), `${act.latency.infer_ms.toFixed(1)} ms`);
  setText(at("queue"), `${act.latency.queue_ms.toFixed(1)} ms`);
  setText(at("entropy"), `${act.entropy.toFixed(2)} nat`);
  setText(at("dropped"), String(act.dropped));
  ages.push(act.latency.age_ms);
  if (ages.length > POINTS) ages.shift();
  drawAges();
}

/** Nothing is decided any more. */
export function clearDecision() {
  setText(at("decision"), "Next action");
  setText(at("words"), "–");
  setText(at("later"), "");
  at("bars").replaceChildren();
  for (const id of ["hz", "age", "infer", "queue", "entropy", "dropped"]) setText(at(id), "–");
  ages.length = 0;
  drawAges();
}

/** The drawn action among the most probable ones; it need not be one of them. */
export function withDrawn(act) {
  const isDrawn = (option) => option.words === act.words && Math.abs(option.probability - act.probability) < 1e-6;
  const drawn = act.alternatives.findIndex(isDrawn);
  const options = act.alternatives.map((option, index) => ({ ...option, drawn: index === drawn }));
  const shown = options.slice(0, ALTERNATIVES);
  if (shown.some((option) => option.drawn)) return shown;
  return [...shown.slice(0, ALTERNATIVES - 1), { words: act.words, probability: act.probability, drawn: true }];
}

function showAlternatives(act) {
  const options = withDrawn(act);
  const row = () => {
    const made = document.createElement("li");
    const bar = element("progress", "bar", "");
    bar.max = 1;
    made.append(element("span", "what", ""), element("span", "mark", ""), element("span", "share", ""), bar);
    return made;
  };
  reconcile(at("bars"), options.map((_, index) => String(index)), row, (made, index) => {
    const option = options[Number(index)];
    made.classList.toggle("drawn", option.drawn);
    setText(made.querySelector(".what"), option.words);
    setText(made.querySelector(".mark"), option.drawn ? (act.owner === "human" ? "advised" : "played") : "");
    setText(made.querySelector(".share"), percent(option.probability));
    made.querySelector(".bar").value = option.probability;
    made.querySelector(".bar").setAttribute("aria-label", option.words);
  });
}

/** A probability for people; 0 is what a player without probabilities says. */
function percent(probability) {
  if (probability === 0) return "–";
  return probability < 0.005 ? "< 1 %" : `${Math.round(100 * probability)} %`;
}

function drawAges() {
  const canvas = at("spark");
  const draw = canvas.getContext("2d");
  const top = Math.max(20, ...ages);
  const x = (index) => (index / (POINTS - 1)) * canvas.width;
  draw.clearRect(0, 0, canvas.width, canvas.height);
  draw.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  draw.lineWidth = 2;
  draw.beginPath();
  setText(at("scale"), ages.length ? `age of the last ${ages.length} answers, 0 to ${Math.ceil(top)} ms` : "");
  ages.forEach((age, index) => draw.lineTo(x(index), canvas.height - 3 - (age / top) * (canvas.height - 8)));
  draw.stroke();
}
