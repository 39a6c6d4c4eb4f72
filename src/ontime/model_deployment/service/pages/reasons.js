// Bars: the probability of each class, and what moved the answer most: contributions of features, those of followers
// added to what they follow.

import { answerText, inPoints, percent, readable } from "./values.js";

const REASONS = 3;
const CLASSES = 10;
const LEAST_POINTS = 0.05;
const LEAST_SHARE = 1e-4;
const logistic = (margin) => 1 / (1 + Math.exp(-margin));

/** The features that moved the answer most by an explanation, and by how many percentage points or units. */
export function strongest(about, { scale, margin, contributions }) {
  const moved = new Map(Object.entries(contributions));
  for (const { feature, of } of [...about.follows, ...about.sums].reverse()) {
    const share = (moved.get(feature) ?? 0) / of.length;
    for (const name of of) moved.set(name, (moved.get(name) ?? 0) + share);
    moved.delete(feature);
  }
  const isNumber = scale === "prediction";
  const answer = scale === "log-odds" ? logistic : (value) => value;
  const least = isNumber ? Math.abs(margin) * LEAST_SHARE : LEAST_POINTS;
  return [...moved]
    .map(([name, value]) => ({ name, points: (isNumber ? 1 : 100) * (answer(margin) - answer(margin - value)) }))
    .filter(({ points }) => Math.abs(points) >= least)
    .sort((one, other) => Math.abs(other.points) - Math.abs(one.points))
    .slice(0, REASONS);
}

/** A list item for each of the most probable classes: its name, its probability, and a bar as long as that. */
export function classBars(classes) {
  return classes.slice(0, CLASSES).map(([name, probability]) => {
    const [item, effect, bar, fill] = ["li", "span", "span", "span"].map((tag) => document.createElement(tag));
    item.append(name);
    effect.className = "effect";
    effect.textContent = percent(probability);
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    fill.className = "fill share";
    fill.style.width = percent(probability).replace(" ", "");
    bar.append(fill);
    item.append(effect, bar);
    return item;
  });
}

/** A list item for each reason: feature and value, what it does in words, and a bar that shows how much. */
export function bars(about, record, reasons) {
  const widest = Math.max(...reasons.map(({ points }) => Math.abs(points)));
  return reasons.map(({ name, points }) => {
    const feature = about.byName.get(name);
    const [item, effect, bar, fill] = ["li", "span", "span", "span"].map((tag) => document.createElement(tag));
    item.append(`${feature.title}: ${readable(feature, record[name])}`);
    effect.className = "effect";
    const size = Math.abs(points);
    const by = inPoints(about) ? `${size.toFixed(1)} percentage points` : answerText(about, size);
    effect.textContent = `${points > 0 ? "raises" : "lowers"} it by ${by}`;
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    fill.className = `fill ${points > 0 ? "raises" : "lowers"}`;
    fill.style.width = `${(50 * Math.abs(points)) / widest}%`;
    bar.append(fill);
    item.append(effect, bar);
    return item;
  });
}
