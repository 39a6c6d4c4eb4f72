// What moved the probability most: contributions of features, those of followers added to what they follow, as bars.

import { explain, predict } from "./service.js";
import { readable } from "./values.js";

const REASONS = 3;
const LEAST_POINTS = 0.05;
const logistic = (margin) => 1 / (1 + Math.exp(-margin));

/** Contributions of a record's features: their `scale`, the record's own `margin` on it, and one by feature. */
export async function contributionsOf(about, record, probability) {
  return (await explain(about, record)) ?? (await contributionsByReplacing(about, record, probability));
}

/** For a service that does not explain: by how much the probability falls if a value is a typical one, alone. */
async function contributionsByReplacing(about, record, probability) {
  const [typical] = about.starts;
  const changed = Object.keys(record).filter((name) => record[name] !== typical[name]);
  const without = changed.map((name) => ({ ...record, [name]: typical[name] }));
  const others = changed.length ? await predict(about, without) : [];
  const contributions = Object.fromEntries(changed.map((name, index) => [name, probability - others[index]]));
  return { scale: "probability", margin: probability, contributions };
}

/** The features that moved the probability most, and by how many percentage points. */
export function strongest(about, { scale, margin, contributions }) {
  const moved = new Map(Object.entries(contributions));
  for (const { feature, of } of [...about.follows, ...about.sums].reverse()) {
    const share = (moved.get(feature) ?? 0) / of.length;
    for (const name of of) moved.set(name, (moved.get(name) ?? 0) + share);
    moved.delete(feature);
  }
  const probability = scale === "log-odds" ? logistic : (value) => value;
  return [...moved]
    .map(([name, value]) => ({ name, points: 100 * (probability(margin) - probability(margin - value)) }))
    .filter(({ points }) => Math.abs(points) >= LEAST_POINTS)
    .sort((one, other) => Math.abs(other.points) - Math.abs(one.points))
    .slice(0, REASONS);
}

/** A list item for each reason: feature and value, what it does in words, and a bar that shows how much. */
export function bars(about, record, reasons) {
  const widest = Math.max(...reasons.map(({ points }) => Math.abs(points)));
  return reasons.map(({ name, points }) => {
    const feature = about.byName.get(name);
    const [item, effect, bar, fill] = ["li", "span", "span", "span"].map((tag) => document.createElement(tag));
    item.append(`${feature.title}: ${readable(feature, record[name])}`);
    effect.className = "effect";
    effect.textContent = `${points > 0 ? "raises" : "lowers"} it by ${Math.abs(points).toFixed(1)} percentage points`;
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    fill.className = `fill ${points > 0 ? "raises" : "lowers"}`;
    fill.style.width = `${(50 * Math.abs(points)) / widest}%`;
    bar.append(fill);
    item.append(effect, bar);
    return item;
  });
}
